"""Kernels that compute each element from the same element of their operands, whatever the strides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ....compiler.fusion import Space, space
from ....compiler.ir import Graph, Node, Value
from ....compiler.ops.source import StopGradient
from ..arrays import Array
from ..body import Body, Coordinate
from ..kernel import Config, Draft, Launch, Tiles
from .walk import Walk, coordinates, power_of_two, walk

CONFIGS = (
    Config({"BLOCK": 1024}, warps=4, stages=1),
    Config({"BLOCK": 512}, warps=4, stages=1),
    Config({"BLOCK": 2048}, warps=8, stages=1),
    Config({"BLOCK": 256}, warps=2, stages=1),
)


def pointwise(
    region: Graph, inputs: Mapping[Value, Array], outputs: Mapping[Value, Array], label: str = "map"
) -> tuple[Launch, list[Array]]:
    """The launch of a region of elementwise ops and moves, and the operands whose memory the first result may take."""
    where = space(region)
    steps = walk(where, real(region, inputs, outputs))
    draft = Draft(label, ("BLOCK",))
    draft.wide("block", "tl.program_id(0)")
    draft.add("i = block * BLOCK + tl.arange(0, BLOCK)", f"m = i < {draft.size(steps.rows)}")
    places = coordinates(draft, "i", "m", steps.parallel)
    body = Body(draft, where, region.nodes, inputs, places, strides=steps.strides, tile=Coordinate("i", "m"))
    body.store(*outputs.items())
    interpreted = Config({"BLOCK": power_of_two(steps.rows, unknown=4096)})
    launch = draft.launch([[Tiles(steps.rows, "BLOCK")]], CONFIGS, interpreted)
    return launch, replaceable(steps, where, inputs, outputs)


def real(region: Graph, inputs: Mapping[Value, Array], outputs: Mapping[Value, Array]) -> dict[Value, Array]:
    """The arrays that have addresses: all but numbers, and inputs that nothing reads."""
    used = {value for node in region.nodes for value in node.inputs}
    found = {value: array for value, array in inputs.items() if value in used and array.number is None}
    return {**found, **outputs}


def replaceable(
    steps: Walk, where: Space, inputs: Mapping[Value, Array], outputs: Mapping[Value, Array]
) -> list[Array]:
    """The inputs that lie in memory exactly as the first output does: an element is read where it is written."""
    value, out = next(iter(outputs.items()))
    wanted = steps.strides[value]
    same: list[Array] = []
    others = {array.buffer for each, array in inputs.items() if each in steps.strides and steps.strides[each] != wanted}
    for each, array in inputs.items():
        fits = each in steps.strides and steps.strides[each] == wanted and array.offset == out.offset
        if fits and array.buffer not in others and array.dtype is out.dtype:
            same.append(array)
    return same


def move(target: Array, source: Array) -> Launch:
    """A copy of elements between two arrays of one shape."""
    old, new = Value(source.type), Value(target.type)
    node = Node(StopGradient(), (old,), (new,))
    launch, _ = pointwise(Graph((old,), (node,), (new,)), {old: source}, {new: target}, "copy")
    return launch


def given(region: Graph, operands: Sequence[Array]) -> dict[Value, Array]:
    """The arrays of a region's inputs."""
    return dict(zip(region.inputs, operands, strict=True))
