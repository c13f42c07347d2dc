"""Elementwise primitives: one ufunc or kernel each, written into memory that an operand may give up."""

from __future__ import annotations

from functools import partial

from ....compiler.ir import DType, Node, Shape, TensorType
from ....compiler.ops.activation_smooth import Gelu
from ....compiler.ops.elementwise import Compare
from ..code import Array
from ..scope import OUT, Lowering, Scope, compact

UFUNCS = {
    "neg": "np.negative",
    "abs": "np.absolute",
    "sign": "np.sign",
    "floor": "np.floor",
    "round": "np.rint",
    "exp": "np.exp",
    "log": "np.log",
    "sqrt": "np.sqrt",
    "sin": "np.sin",
    "cos": "np.cos",
    "tanh": "np.tanh",
    "add": "np.add",
    "sub": "np.subtract",
    "mul": "np.multiply",
    "rem": "np.fmod",
    "max": "np.maximum",
    "min": "np.minimum",
    "and": "np.bitwise_and",
    "or": "np.bitwise_or",
    "xor": "np.bitwise_xor",
    "not": "np.invert",
    "shift_left": "np.left_shift",
    "shift_right": "np.right_shift",
}
COMPARISONS = {
    "eq": "np.equal",
    "ne": "np.not_equal",
    "lt": "np.less",
    "le": "np.less_equal",
    "gt": "np.greater",
    "ge": "np.greater_equal",
}


def apply(scope: Scope, function: str, type: TensorType, *operands: Array, kept: Array | None = None) -> Array:
    """``function(*operands, out=...)``. Where all operands repeat along an axis, so does the result: lazily.

    The function must bear that ``out`` is one of its operands, but for ``kept``.
    """
    small = [compact(operand) for operand in operands]
    if all(operand.literal for operand in small):
        small[0] = scope.spelled(small[0])
    shape = _joint(type.shape, small)
    reuse = [operand for operand in small if operand.dtype is type.dtype and operand is not kept]
    template = f"{function}({', '.join(['{}'] * len(small))}, out={{}})"
    result = scope.fill(type.with_shape(shape), template, *small, OUT, reuse=reuse)
    return result if shape == type.shape else scope.lazy(result, type.shape)


def _joint(shape: Shape, operands: list[Array]) -> Shape:
    """The shape that the operands broadcast to among themselves: 1 along axes where all repeat."""
    if any(operand.shape == shape for operand in operands):
        return shape
    joint = list(shape)
    for axis in range(-len(shape), 0):
        if all(len(operand.shape) < -axis or operand.shape[axis] == 1 for operand in operands):
            joint[axis] = 1
    return tuple(joint)


def _ufunc(function: str, scope: Scope, node: Node, *operands: Array) -> Array:
    return apply(scope, function, node.output.type, *operands)


def _kernel(name: str, scope: Scope, node: Node, *operands: Array) -> Array:
    return apply(scope, scope.kernel(name), node.output.type, *operands)


def _div(scope: Scope, node: Node, x: Array, y: Array) -> Array:
    name = {"f": "np.divide", "u": "np.floor_divide"}.get(x.dtype.numpy.kind)
    return apply(scope, name or scope.kernel("truncated_quotient"), node.output.type, x, y)


def _pow(scope: Scope, node: Node, x: Array, y: Array) -> Array:
    """Small whole exponents multiply: NumPy's power is 100 times slower there."""
    type, exponent = node.output.type, compact(y).number
    if not x.dtype.is_float:
        return apply(scope, scope.kernel("integer_power"), type, x, y)
    if exponent == 2:
        return apply(scope, "np.square", type, x)
    if exponent == 3:
        return apply(scope, scope.kernel("cube"), type, x)
    if exponent == 4:
        return apply(scope, "np.square", type, apply(scope, "np.square", type, x))
    return apply(scope, "np.power", type, x, y)


def _compare(scope: Scope, node: Node, x: Array, y: Array) -> Array:
    assert isinstance(node.op, Compare)
    return apply(scope, COMPARISONS[node.op.direction], node.output.type, x, y)


def _where(scope: Scope, node: Node, condition: Array, x: Array, y: Array) -> Array:
    return apply(scope, scope.kernel("select"), node.output.type, condition, x, y, kept=compact(condition))


def erf(scope: Scope, node: Node, x: Array) -> Array:
    """Another series for float64 than for float32."""
    name = "erf64" if x.dtype is DType.FLOAT64 else "erf"
    return apply(scope, scope.kernel(name), node.output.type, x)


def _gelu(scope: Scope, node: Node, x: Array) -> Array:
    assert isinstance(node.op, Gelu)
    name = "gelu" if node.op.approximate == "none" else "tanh_gelu"
    return apply(scope, scope.kernel(name), node.output.type, x)


LOWERINGS: dict[str, Lowering] = {
    **{name: partial(_ufunc, function) for name, function in UFUNCS.items()},
    "erf": erf,
    "sigmoid": partial(_kernel, "sigmoid"),
    "div": _div,
    "pow": _pow,
    "compare": _compare,
    "where": _where,
    "gelu": _gelu,
}
