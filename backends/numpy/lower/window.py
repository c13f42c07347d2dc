"""Sliding windows: the sum or the largest, one axis after another (both are separable)."""

from __future__ import annotations

from ....compiler.ir import Node, TensorType
from ....compiler.ops.rules import lowest
from ....compiler.ops.window import Window, WindowMaxGrad
from ..code import Array
from ..scope import OUT, Lowering, Scope

UFUNCS = {"window_sum": "np.add", "window_max": "np.maximum"}


def _window(scope: Scope, node: Node, x: Array) -> Array:
    op = node.op
    assert isinstance(op, Window)
    result = x
    for axis, size in enumerate(node.output.type.shape):
        kernel, stride, padding, dilation = op.kernel[axis], op.stride[axis], op.padding[axis], op.dilation[axis]
        if (kernel, stride, padding) == (1, 1, (0, 0)):
            continue
        result = scope.spelled(result)
        shape = (*result.shape[:axis], size, *result.shape[axis + 1 :])
        least = lowest(x.dtype.numpy) if op.name == "window_max" else 0
        empty = "-np.inf" if isinstance(least, float) else repr(least)
        name = f"{scope.kernel('window')}({UFUNCS[op.name]}, {{}}, {axis}, {kernel}, {stride}, {padding[0]}, {dilation}"
        result = scope.fill(TensorType(x.dtype, shape), f"{name}, {empty}, out={{}})", result, OUT)
    return result


def _window_max_grad(scope: Scope, node: Node, x: Array, dy: Array) -> Array:
    op = node.op
    assert isinstance(op, WindowMaxGrad)
    name = f"{scope.kernel('window_max_grad')}({{}}, {{}}, {op.kernel}, {op.stride}, {op.padding}, {op.dilation}"
    return scope.fill(node.output.type, name + ", out={})", scope.spelled(x), scope.spelled(dy), OUT)


LOWERINGS: dict[str, Lowering] = {**dict.fromkeys(UFUNCS, _window), "window_max_grad": _window_max_grad}
