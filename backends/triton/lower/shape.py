"""Moves: views where strides can say them, else one kernel."""

from __future__ import annotations

from collections.abc import Sequence

from ....compiler.ir import Node
from ....compiler.ops.shape import Broadcast, Concat, Pad, Reshape, Reverse, Slice, Transpose
from .. import arrays
from ..arrays import Array
from ..body import load
from ..scope import Lowering, Scope
from ..templates.moves import Move, by_axis


def _reshape(scope: Scope, node: Node, x: Array) -> Array:
    assert isinstance(node.op, Reshape)
    return scope.reshape(x, node.output.type.shape)


def _transpose(scope: Scope, node: Node, x: Array) -> Array:
    assert isinstance(node.op, Transpose)
    return arrays.transpose(x, node.op.axes)


def _broadcast(scope: Scope, node: Node, x: Array) -> Array:
    assert isinstance(node.op, Broadcast)
    return arrays.broadcast(x, node.output.type.shape, node.op.axes)


def _slice(scope: Scope, node: Node, x: Array) -> Array:
    assert isinstance(node.op, Slice)
    return arrays.cut(x, node.op.start, node.output.type.shape, node.op.stride)


def _reverse(scope: Scope, node: Node, x: Array) -> Array:
    assert isinstance(node.op, Reverse)
    return arrays.reverse(x, node.op.axes)


def _concat(scope: Scope, node: Node, xs: Sequence[Array]) -> Array:
    assert isinstance(node.op, Concat)
    out = scope.result(node.output)
    for x, part in zip(xs, arrays.parts(out, node.op.axis, node.inputs), strict=True):
        if not (x.buffer is part.buffer and x.offset == part.offset and x.strides == part.strides):
            scope.store(part, x)
    return out


def _pad(scope: Scope, node: Node, x: Array, fill: Array) -> Array:
    op = node.op
    assert isinstance(op, Pad)
    out = scope.result(node.output)
    changed = [
        axis
        for axis, (low, high, gap) in enumerate(zip(op.low, op.high, op.interior, strict=True))
        if (low, high, gap) != (0, 0, 0)
    ]
    barriers = {*changed, *(axis + 1 for axis in changed)}
    move = Move("pad", out.shape, [by_axis(x, leave=changed), by_axis(out)], sorted(barriers))
    inside, steps = ["m"], []
    for axis in changed:
        low, gap, size = op.low[axis], op.interior[axis], x.shape[axis]
        at = move.draft.let(f"{move.at(axis)} - {move.draft.size(low)}", "p")
        span = size + (size - 1) * gap
        inside.append(f"({at} >= 0) & ({at} < {move.draft.size(span)})")
        if gap:
            inside.append(f"({at} % {gap + 1} == 0)")
            at = f"{at} // {gap + 1}"
        stride = x.strides[axis]
        if stride != 0:
            steps.append(at if stride == 1 else f"{at} * {move.draft.size(stride)}")
    mask = move.draft.let(" & ".join(inside), "m")
    where = " + ".join([move.address(x, move.strides[0]), *steps])
    value = move.load(x, where, mask)
    around = move.draft.let(load(move.draft, fill, move.draft.size(fill.offset), None), "v")
    text = move.draft.let(f"tl.where({mask}, {value}, {around})")
    move.store(out, move.address(out, move.strides[1]), text)
    scope.launch(move.launch(), out=out)
    return out


WRITERS = frozenset({"concat", "pad"})
LOWERINGS: dict[str, Lowering] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast": _broadcast,
    "slice": _slice,
    "reverse": _reverse,
    "concat": _concat,
    "pad": _pad,
}
