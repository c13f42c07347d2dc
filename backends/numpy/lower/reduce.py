"""Primitives along an axis: reductions, the largest, running sums, order."""

from __future__ import annotations

from ....compiler.ir import Node
from ....compiler.ops.reduce import ArgMax, CumulativeSum, Reduction, TopK
from ..code import Array, Statement, line
from ..scope import OUT, Lowering, Scope, numpy_name

UFUNCS = {"reduce_sum": "np.add", "reduce_max": "np.maximum", "reduce_min": "np.minimum", "reduce_prod": "np.multiply"}


def _reduce(scope: Scope, node: Node, x: Array) -> Array:
    op = node.op
    assert isinstance(op, Reduction) and isinstance(op.axes, tuple)
    x = scope.spelled(x)
    axes = repr(op.axes[0] if len(op.axes) == 1 else op.axes)
    # NumPy sums narrow integers in wide ones unless it is told.
    dtype = f", dtype={numpy_name(x.dtype)}" if x.dtype.kind == "int" else ""
    keep = ", keepdims=True" if op.keep else ""
    template = f"{UFUNCS[op.name]}.reduce({{}}, axis={axes}{dtype}{keep}, out={{}})"
    return scope.fill(node.output.type, template, x, OUT)


def _arg_max(scope: Scope, node: Node, x: Array) -> Array:
    op = node.op
    assert isinstance(op, ArgMax)
    keep = ", keepdims=True" if op.keep else ""
    template = f"np.argmax({{}}, axis={op.axis}{keep}, out={{}})"
    return scope.fill(node.output.type, template, scope.spelled(x), OUT)


def _cumulative_sum(scope: Scope, node: Node, x: Array) -> Array:
    op = node.op
    assert isinstance(op, CumulativeSum)
    template = f"{scope.kernel('cumulative_sum')}({{}}, {op.axis}, {op.exclusive}, {op.reverse}, {{}})"
    return scope.fill(node.output.type, template, scope.spelled(x), OUT)


def _top_k(scope: Scope, node: Node, x: Array) -> list[Array]:
    op = node.op
    assert isinstance(op, TopK)
    x = scope.spelled(x)
    block = scope.home(x, op.k, *node.outputs[0].type.shape)
    buffers = [scope.buffer(value.type.dtype, value.type.shape) for value in node.outputs]
    scope.place(block, *buffers)
    values, indices = (
        scope.array(value.type, buffer, block) for value, buffer in zip(node.outputs, buffers, strict=True)
    )
    kernel = scope.kernel("top_k")
    lines = (
        line("{} = {}", values, buffers[0]),
        line("{} = {}", indices, buffers[1]),
        line(kernel + "({}, {}, {}, {}, {})", x, op.k, op.axis, values, indices),
    )
    scope.add(block, Statement(lines))
    return [values, indices]


LOWERINGS: dict[str, Lowering] = {
    **dict.fromkeys(UFUNCS, _reduce),
    "arg_max": _arg_max,
    "cumulative_sum": _cumulative_sum,
    "top_k": _top_k,
}
