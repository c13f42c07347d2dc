"""Elements by index: gathers, and slices whose place is found at run time."""

from __future__ import annotations

from collections.abc import Sequence

from ....compiler.ir import Node
from ....compiler.ops.index import DynamicSlice, Gather, GatherElements
from ..arrays import Array
from ..body import load
from ..scope import Lowering, Scope
from ..templates.moves import Move, by_axis


def _gather(scope: Scope, node: Node, x: Array, indices: Array) -> Array:
    op = node.op
    assert isinstance(op, Gather)
    out, axis, many = scope.result(node.output), op.axis, len(indices.shape)
    from_x = {place if place < axis else place + many - 1: stride for place, stride in by_axis(x, leave=[axis]).items()}
    move = Move("gather", out.shape, [from_x, by_axis(indices, axis), by_axis(out)])
    at = move.read(indices, move.strides[1])
    where = f"{move.address(x, move.strides[0])} + {at} * {move.draft.size(x.strides[axis])}"
    move.store(out, move.address(out, move.strides[2]), move.load(x, where))
    scope.launch(move.launch(), out=out)
    return out


def _gather_elements(scope: Scope, node: Node, x: Array, indices: Array) -> Array:
    op = node.op
    assert isinstance(op, GatherElements)
    out = scope.result(node.output)
    move = Move("gather_elements", out.shape, [by_axis(x, leave=[op.axis]), by_axis(indices), by_axis(out)])
    at = move.read(indices, move.strides[1])
    where = f"{move.address(x, move.strides[0])} + {at} * {move.draft.size(x.strides[op.axis])}"
    move.store(out, move.address(out, move.strides[2]), move.load(x, where))
    scope.launch(move.launch(), out=out)
    return out


def _starts(move: Move, x: Array, part: Sequence[object], starts: Sequence[Array]) -> str:
    """The text of the offset of a part of x whose starts are found at run time, clamped to where it fits."""
    steps = []
    for size, length, stride, start in zip(x.shape, part, x.strides, starts, strict=True):
        if size == length:
            continue
        at = load(move.draft, start, move.draft.size(start.offset), None)
        last = move.draft.size(size - length)  # type: ignore[operator]
        low = move.draft.let(f"tl.minimum(tl.maximum({at}, 0), {last})", "o")
        steps.append(low if stride == 1 else f"{low} * {move.draft.size(stride)}")
    return "".join(f" + {step}" for step in steps)


def _dynamic_slice(scope: Scope, node: Node, x: Array, starts: Sequence[Array]) -> Array:
    assert isinstance(node.op, DynamicSlice)
    out = scope.result(node.output)
    move = Move("slice", out.shape, [by_axis(x), by_axis(out)])
    where = move.address(x, move.strides[0]) + _starts(move, x, out.shape, starts)
    move.store(out, move.address(out, move.strides[1]), move.load(x, where))
    scope.launch(move.launch(), out=out)
    return out


def _dynamic_update_slice(scope: Scope, node: Node, x: Array, update: Array, starts: Sequence[Array]) -> Array:
    base = scope.copy(x)
    move = Move("update", update.shape, [by_axis(update), by_axis(base)])
    value = move.read(update, move.strides[0])
    where = move.address(base, move.strides[1]) + _starts(move, base, update.shape, starts)
    move.store(base, where, value)
    scope.launch(move.launch())
    return base


WRITERS = frozenset({"gather", "gather_elements", "dynamic_slice"})
LOWERINGS: dict[str, Lowering] = {
    "gather": _gather,
    "gather_elements": _gather_elements,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
}
