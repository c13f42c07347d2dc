"""Lines for primitives that move elements."""

from __future__ import annotations

from ....compiler.ir import Node, Op
from ....compiler.ops import shape as ops
from ..scope import Lowering, Ref, Scope, tuple_text


def _reshape(scope: Scope, node: Node, op: ops.Reshape) -> None:
    ref = scope.ref(node.inputs[0])
    if ref.literal:
        scope.refs[node.output] = Ref("", ref.loose, (), literal=True)
    else:
        scope.assign(node, f"jnp.reshape({scope.use(node.inputs[0])}, {scope.sizes.shape(op.shape)})")


def _transpose(scope: Scope, node: Node, op: ops.Transpose) -> None:
    scope.assign(node, f"jnp.transpose({scope.use(node.inputs[0])}, {op.axes})")


def _broadcast(scope: Scope, node: Node, op: ops.Broadcast) -> None:
    """No line: whoever reads it broadcasts by itself, or asks for the whole array."""
    (value,) = node.inputs
    ref = scope.ref(value)
    if ref.literal:
        scope.refs[node.output] = Ref("", ref.loose, (), literal=True)
        return
    text, shape = scope.use(value), value.type.shape
    if shape == node.output.type.shape:
        scope.bind(node.output, text)
        return
    first = op.axes[0] if op.axes else len(op.shape)
    loose_shape = tuple(shape[op.axes.index(axis)] if axis in op.axes else 1 for axis in range(first, len(op.shape)))
    if loose_shape != shape:
        places = ", ".join(":" if axis in op.axes else "None" for axis in range(first, len(op.shape)))
        text = f"{text}[{places}]"
    scope.refs[node.output] = Ref("", text, loose_shape)


def _concat(scope: Scope, node: Node, op: ops.Concat) -> None:
    texts = tuple_text([scope.use(value) for value in node.inputs])
    scope.assign(node, f"jnp.concatenate({texts}, axis={op.axis})")


def _slice(scope: Scope, node: Node, op: ops.Slice) -> None:
    (value,) = node.inputs
    text, whole = scope.sizes.text, value.type.shape
    cut = [
        axis
        for axis in range(len(whole))
        if op.start[axis] != 0 or op.stop[axis] != whole[axis] or op.stride[axis] != 1
    ]
    if len(cut) == 1:
        (axis,) = cut
        step = f", {op.stride[axis]}" if op.stride[axis] != 1 else ""
        bounds = f"{text(op.start[axis])}, {text(op.stop[axis])}{step}"
        scope.assign(node, f"lax.slice_in_dim({scope.use(value)}, {bounds}, axis={axis})")
        return
    step = f", {op.stride}" if any(stride != 1 for stride in op.stride) else ""
    bounds = f"{scope.sizes.shape(op.start)}, {scope.sizes.shape(op.stop)}{step}"
    scope.assign(node, f"lax.slice({scope.use(value)}, {bounds})")


def _reverse(scope: Scope, node: Node, op: ops.Reverse) -> None:
    scope.assign(node, f"lax.rev({scope.use(node.inputs[0])}, {op.axes})")


def _pad(scope: Scope, node: Node, op: ops.Pad) -> None:
    text = scope.sizes.text
    edges = [
        f"({text(low)}, {text(high)}, {interior})"
        for low, high, interior in zip(op.low, op.high, op.interior, strict=True)
    ]
    scope.assign(node, f"lax.pad({scope.use_all(node.inputs)}, {tuple_text(edges)})")


LOWERINGS: dict[type[Op], Lowering] = {
    ops.Reshape: _reshape,
    ops.Transpose: _transpose,
    ops.Broadcast: _broadcast,
    ops.Concat: _concat,
    ops.Slice: _slice,
    ops.Reverse: _reverse,
    ops.Pad: _pad,
}
