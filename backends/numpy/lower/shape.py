"""Primitives that move elements. Most are views; a broadcast stays lazy until somebody needs it spelled out."""

from __future__ import annotations

from collections.abc import Sequence

from ....compiler.ir import AnyDim, Node, Shape
from ....compiler.ops.shape import Broadcast, Concat, Pad, Reverse, Slice, Transpose
from ..code import Array
from ..scope import OUT, Lowering, Scope, compact


def _reshape(scope: Scope, node: Node, x: Array) -> Array:
    shape = node.output.type.shape
    small = compact(x)
    if x.lazy and all(size == 1 for size in small.shape):
        return scope.lazy(small if small.literal else scope.reshape(small, ()), shape)
    return scope.reshape(x, shape)


def _padded(scope: Scope, x: Array) -> Array:
    """The compact form of a lazy array with as many axes as the array."""
    small = scope.spelled(compact(x))
    return scope.reshape(small, (1,) * (len(x.shape) - len(small.shape)) + small.shape)


def _transpose(scope: Scope, node: Node, x: Array) -> Array:
    assert isinstance(node.op, Transpose)
    if x.lazy:
        if compact(x).literal:
            return scope.lazy(compact(x), node.output.type.shape)
        return scope.lazy(scope.transpose(_padded(scope, x), node.op.axes), node.output.type.shape)
    return scope.transpose(x, node.op.axes)


def _broadcast(scope: Scope, node: Node, x: Array) -> Array:
    assert isinstance(node.op, Broadcast)
    shape, axes = node.output.type.shape, node.op.axes
    small = compact(x)
    if small.literal:
        return scope.lazy(small, shape)
    if x.lazy:
        small = _padded(scope, x)
    spread: list[AnyDim] = [1] * len(shape)
    for size, axis in zip(small.shape, axes, strict=True):
        spread[axis] = size
    # Leading sizes of 1 go without saying.
    first = next((axis for axis, size in enumerate(spread) if size != 1), len(shape))
    small = scope.reshape(small, tuple(spread[first:]))
    return small if small.shape == shape else scope.lazy(small, shape)


def concat(scope: Scope, node: Node, xs: Sequence[Array]) -> Array:
    """The operands copied side by side."""
    assert isinstance(node.op, Concat)
    if len(xs) == 1:
        return xs[0]
    parts = [scope.spelled(x) for x in xs]
    template = f"np.concatenate(({', '.join(['{}'] * len(parts))}), axis={node.op.axis}, out={{}})"
    return scope.fill(node.output.type, template, *parts, OUT)


def cut(scope: Scope, x: Array, start: Shape, stop: Shape, stride: Shape, shape: Shape) -> Array:
    """``x[start:stop:stride]`` as a view."""
    if x.lazy:
        small = compact(x)
        if small.literal:
            return scope.lazy(small, shape)
        small = _padded(scope, x)
        kept = [size == 1 and whole != 1 for size, whole in zip(small.shape, x.shape, strict=True)]
        inner = [
            tuple(default if lone else value for lone, value in zip(kept, values, strict=True))
            for values, default in ((start, 0), (stop, 1), (stride, 1), (shape, 1))
        ]
        return scope.lazy(cut(scope, small, inner[0], inner[1], inner[2], inner[3]), shape)
    x = scope.spelled(x)
    items: list[str] = []
    pieces: list[AnyDim] = []
    for a, b, step, size in zip(start, stop, stride, x.shape, strict=True):
        text = ""
        if a != 0:
            text, pieces = "{}", [*pieces, a]
        text += ":"
        if b != size:
            text, pieces = text + "{}", [*pieces, b]
        items.append(text + (f":{step}" if step != 1 else ""))
    while items and items[-1] == ":":
        items.pop()
    if not items:
        return x
    strides = tuple(stride * step for stride, step in zip(x.strides, stride, strict=True))
    return scope.view(x, "{}[" + ", ".join(items) + "]", *pieces, shape=shape, strides=strides)


def _slice(scope: Scope, node: Node, x: Array) -> Array:
    op = node.op
    assert isinstance(op, Slice)
    return cut(scope, x, op.start, op.stop, op.stride, node.output.type.shape)


def _reverse(scope: Scope, node: Node, x: Array) -> Array:
    assert isinstance(node.op, Reverse)
    x = scope.spelled(x)
    if not node.op.axes:
        return x
    last = max(node.op.axes)
    items = ", ".join("::-1" if axis in node.op.axes else ":" for axis in range(last + 1))
    strides = tuple(-stride if axis in node.op.axes else stride for axis, stride in enumerate(x.strides))
    return scope.view(x, "{}[" + items + "]", shape=x.shape, strides=strides)


def _pad(scope: Scope, node: Node, x: Array, fill: Array) -> Array:
    op = node.op
    assert isinstance(op, Pad)
    x = scope.spelled(x)
    kernel = scope.kernel("pad")
    return scope.fill(node.output.type, kernel + "({}, {}, {}, {}, {})", x, compact(fill), op.low, op.interior, OUT)


LOWERINGS: dict[str, Lowering] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast": _broadcast,
    "concat": concat,
    "slice": _slice,
    "reverse": _reverse,
    "pad": _pad,
}
