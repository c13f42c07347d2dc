"""Windows, each with what is fused behind it, as kernels of the template."""

from __future__ import annotations

from collections.abc import Sequence

from ....compiler.ir import DType, Graph, TensorType
from ....compiler.ir.dims import product
from ....compiler.ops.window import Window
from ..arrays import Array
from ..kernel import Draft, Tiles
from ..scope import Scope, Template
from ..templates.epilogue import Region
from ..templates.window import (
    CONSTANTS,
    Slide,
    window_tiles,
    write_choice,
    write_gradient,
    write_max,
    write_sum,
)

WRITE = {"window_sum": write_sum, "window_max": write_max}


def _window(scope: Scope, graph: Graph, inputs: Sequence[Array]) -> Sequence[Array]:
    region = Region.of(scope, graph, inputs)
    op = region.anchor.op
    assert isinstance(op, Window)
    x = region.arrays[region.anchor.inputs[0]]
    draft = Draft(op.name, CONSTANTS)
    WRITE[op.name](draft, Slide.of(op, x.shape, region.anchor.output.type.shape), x)
    return _finish(scope, draft, region)


def _window_max_grad(scope: Scope, graph: Graph, inputs: Sequence[Array]) -> Sequence[Array]:
    region = Region.of(scope, graph, inputs)
    op = region.anchor.op
    assert isinstance(op, Window)
    x, dy = (region.arrays[value] for value in region.anchor.inputs)
    slide = Slide.of(op, x.shape, dy.shape)
    chosen = scope.new(TensorType(DType.INT32, dy.shape))
    draft = Draft("window_choice", CONSTANTS)
    write_choice(draft, slide, x, chosen)
    count = product(dy.shape)
    scope.launch(draft.launch(((Tiles(count, "BLOCK"),),), *window_tiles(count)), out=chosen)
    draft = Draft(op.name, CONSTANTS)
    write_gradient(draft, slide, chosen, dy)
    return _finish(scope, draft, region)


def _finish(scope: Scope, draft: Draft, region: Region) -> Sequence[Array]:
    type = region.anchor.output.type
    count = product(type.shape)
    where = region.spread(draft, range(type.rank), "at", "inside")
    region.finish(draft, "acc", {"at": where}, "inside")
    region.launch(scope, draft.launch(((Tiles(count, "BLOCK"),),), *window_tiles(count)))
    return region.outputs()


TEMPLATES: dict[str, Template] = {
    "window_sum": _window,
    "window_max": _window,
    "window_max_grad": _window_max_grad,
}
