"""Elementwise primitives: one ufunc or kernel each, written into memory that an operand may give up."""

from __future__ import annotations

from functools import partial

from ....compiler.ir import DType, Node, Shape, TensorType
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


def apply(scope: Scope, function: str, type: TensorType, *operands: Array) -> Array:
    """``function(*operands, out=...)``. Where all operands repeat along an axis, so does the result: lazily."""
    small = [compact(operand) for operand in operands]
    if all(operand.literal for operand in small):
        small[0] = scope.spelled(small[0])
    shape = _joint(type.shape, small)
    reuse = [operand for operand in small if operand.dtype is type.dtype]
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
    """Small whole exponents multiply: NumPy's power is 100 times slower."""
    exponent = compact(y).number
    if x.dtype.is_float and exponent in (2, 3, 4) and not compact(x).literal:
        name = {2: "np.square", 3: scope.kernel("cube") if exponent == 3 else "", 4: ""}[int(exponent)]
        squared = apply(scope, name or "np.square", node.output.type, x)
        return apply(scope, "np.square", node.output.type, squared) if exponent == 4 else squared
    name = "np.power" if x.dtype.is_float else scope.kernel("integer_power")
    return apply(scope, name, node.output.type, x, y)


def _compare(scope: Scope, node: Node, x: Array, y: Array) -> Array:
    assert isinstance(node.op, Compare)
    return apply(scope, COMPARISONS[node.op.direction], node.output.type, x, y)


def _where(scope: Scope, node: Node, condition: Array, x: Array, y: Array) -> Array:
    return apply(scope, scope.kernel("select"), node.output.type, condition, x, y)


def erf(scope: Scope, node: Node, x: Array) -> Array:
    """Another series for float64 than for float32."""
    name = "erf64" if x.dtype is DType.FLOAT64 else "erf"
    return apply(scope, scope.kernel(name), node.output.type, x)


LOWERINGS: dict[str, Lowering] = {
    **{name: partial(_ufunc, function) for name, function in UFUNCS.items()},
    "erf": erf,
    "sigmoid": partial(_kernel, "sigmoid"),
    "div": _div,
    "pow": _pow,
    "compare": _compare,
    "where": _where,
}
