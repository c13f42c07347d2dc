"""Windows, each with what is fused behind it, as kernels of the template."""

from __future__ import annotations

from collections.abc import Sequence

from ....compiler.ir import DType, Graph, TensorType
from ....compiler.ir.dims import product
from ....compiler.ops.window import Window, WindowMaxGrad
from ..arrays import Array
from ..kernel import Draft, Tiles
from ..scope import Scope, Template
from ..templates.epilogue import Index, Region
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
    return (_grad if isinstance(region.anchor.op, WindowMaxGrad) else _slide)(scope, region)


def _slide(scope: Scope, region: Region) -> Sequence[Array]:
    op = region.anchor.op
    assert isinstance(op, Window)
    x = region.arrays[region.anchor.inputs[0]]
    draft = Draft(op.name, CONSTANTS)
    WRITE[op.name](draft, Slide.of(op, x.shape, region.anchor.output.type.shape), x)
    return _finish(scope, draft, region)


def _grad(scope: Scope, region: Region) -> Sequence[Array]:
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
    region.finish(draft, "acc", [Index("at", range(type.rank), "inside")], "inside")
    region.launch(scope, draft.launch(((Tiles(count, "BLOCK"),),), *window_tiles(count)))
    return region.outputs()


TEMPLATES: dict[str, Template] = dict.fromkeys(("window", "window_sum", "window_max", "window_max_grad"), _window)
