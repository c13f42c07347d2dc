"""Elementwise primitives. Where onnxruntime lacks an integer kernel, values go through another integer type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....compiler.ir import DType, Node
from ..capabilities import FLOATS, INTS, NO_BFLOAT16, NUMBERS, SINGLE, Lowering
from ..emit import Emitter

Make = Callable[..., str]
"""From an emitter, a node and names of its operands (which broadcast) to the name of the result."""


def pointwise(make: Make, **facts: Any) -> Lowering:
    """A lowering that works element by element."""

    def emit(e: Emitter, node: Node) -> None:
        e.elementwise(node, lambda *names: make(e, node, *names))

    return Lowering(emit, **facts)


def operator(op: str, **facts: Any) -> Lowering:
    """A lowering that is one operator."""
    return pointwise(lambda e, node, *names: e.op(op, *names), **facts)


def dtype_of(node: Node) -> DType:
    """The dtype of the first operand."""
    return node.inputs[0].type.dtype


def through(e: Emitter, wide: DType, dtype: DType, make: Callable[..., str], *names: str) -> str:
    """``make`` in another dtype that holds all values; integers come back modulo their width."""
    return e.cast(make(*(e.cast(name, wide) for name in names)), dtype)


def _neg(e: Emitter, node: Node, x: str) -> str:
    dtype = dtype_of(node)
    return e.op("Sub", e.number(0, dtype), x) if dtype in (DType.UINT8, DType.UINT32) else e.op("Neg", x)


def _not(e: Emitter, node: Node, x: str) -> str:
    return e.op("Not" if dtype_of(node) is DType.BOOL else "BitwiseNot", x)


def _bitwise(logic: str) -> Lowering:
    def make(e: Emitter, node: Node, x: str, y: str) -> str:
        return e.op(logic if dtype_of(node) is DType.BOOL else f"Bitwise{logic}", x, y)

    return pointwise(make)


def _div(e: Emitter, node: Node, x: str, y: str) -> str:
    turns, by = _divisor(e, dtype_of(node), y)
    quotient = e.op("Div", x, by)
    return e.op("Where", turns, e.op("Neg", x), quotient) if turns else quotient


def _rem(e: Emitter, node: Node, x: str, y: str) -> str:
    return e.op("Mod", x, _divisor(e, dtype_of(node), y)[1], fmod=1)


def _divisor(e: Emitter, dtype: DType, y: str) -> tuple[str, str]:
    """Where a divisor is -1, and the divisor with 1 there; "" and itself if it never is.

    The processor traps at the least integer divided by -1, which ends the process.
    """
    known = e.constants.get(y)
    if dtype not in (DType.INT8, DType.INT32, DType.INT64) or (known is not None and not (known == -1).any()):
        return "", y
    turns = e.op("Equal", y, e.number(-1, dtype))
    return turns, e.op("Where", turns, e.number(1, dtype), y)


def _pow(e: Emitter, node: Node, x: str, y: str) -> str:
    dtype = dtype_of(node)
    if dtype.is_float:
        return e.op("Pow", x, y)
    # By squaring: Pow computes integers in float64, which is exact to 2^53 only.
    return through(e, DType.INT64, dtype, lambda a, b: _integer_power(e, a, b), x, y)


def _integer_power(e: Emitter, x: str, y: str) -> str:
    """x^y in int64, wrapping, for y below `_POWERS`; beyond, for 0, 1, -1 and even x, which all that fits are among."""
    one, two, limit = (e.number(value, DType.INT64) for value in (1, 2, _POWERS // 2))
    beyond = e.op("Add", e.op("Mod", y, limit), limit)
    y = e.op("Where", e.op("Less", y, limit), y, beyond)
    result = ""
    for _ in range(_POWERS.bit_length() - 1):
        factor = e.op("Where", e.op("Equal", e.op("Mod", y, two), one), x, one)
        result = e.op("Mul", result, factor) if result else factor
        x, y = e.op("Mul", x, x), e.op("Div", y, two)
    return result


_POWERS = 256


def _shift(direction: str) -> Make:
    def make(e: Emitter, node: Node, x: str, y: str) -> str:
        dtype = dtype_of(node)
        if dtype in (DType.UINT8, DType.UINT32):
            return e.op("BitShift", x, y, direction=direction)
        bits = e.op("Cast", y, to=UINT64)
        if direction == "LEFT":
            return e.cast(e.op("BitShift", e.op("Cast", x, to=UINT64), bits, direction=direction), dtype)
        # BitShift knows no sign: a negative x is shifted with its bits flipped, there and back.
        wide = x if dtype is DType.INT64 else e.cast(x, DType.INT64)
        negative = e.op("Less", wide, e.number(0, DType.INT64))
        even = e.op("Where", negative, e.op("BitwiseNot", wide), wide)
        moved = e.op("BitShift", e.op("Cast", even, to=UINT64), bits, direction=direction)
        moved = e.cast(moved, DType.INT64)
        moved = e.op("Where", negative, e.op("BitwiseNot", moved), moved)
        return moved if dtype is DType.INT64 else e.cast(moved, dtype)

    return make


UINT64 = 13
"""TensorProto.UINT64, which is no dtype of ours."""

_COMPARISONS = {"eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"}


def _compare(e: Emitter, node: Node, x: str, y: str) -> str:
    direction = node.op.direction  # type: ignore[attr-defined]
    if direction == "ne":
        return e.op("Not", e.op("Equal", x, y))
    if dtype_of(node) is DType.BOOL and direction != "eq":
        x, y = e.cast(x, DType.UINT8), e.cast(y, DType.UINT8)
    return e.op(_COMPARISONS[direction], x, y)


def _where(e: Emitter, node: Node, condition: str, x: str, y: str) -> str:
    return select(e, node.output.type.dtype, condition, x, y)


def select(e: Emitter, dtype: DType, condition: str, x: str, y: str) -> str:
    """Where, for every dtype but bfloat16."""
    if dtype is DType.BOOL:
        return e.op("Or", e.op("And", condition, x), e.op("And", e.op("Not", condition), y))
    if dtype is DType.UINT32:
        return through(e, DType.INT32, dtype, lambda a, b: e.op("Where", condition, a, b), x, y)
    return e.op("Where", condition, x, y)


LOWERINGS: dict[str, Lowering] = {
    "neg": pointwise(_neg, dtypes=NUMBERS),
    "abs": operator("Abs", dtypes=NUMBERS),
    "sign": operator("Sign", dtypes=NUMBERS - {DType.FLOAT16}),
    "floor": operator("Floor", dtypes=FLOATS),
    "round": operator("Round", dtypes=FLOATS),
    "exp": operator("Exp", dtypes=FLOATS),
    "log": operator("Log", dtypes=FLOATS),
    "sqrt": operator("Sqrt", dtypes=FLOATS),
    "sin": operator("Sin", dtypes=FLOATS),
    "cos": operator("Cos", dtypes=FLOATS),
    "tanh": operator("Tanh", dtypes=FLOATS),
    "erf": operator("Erf", dtypes=SINGLE),
    "sigmoid": operator("Sigmoid", dtypes=FLOATS),
    "sub": operator("Sub", dtypes=NUMBERS),
    "mul": operator("Mul", dtypes=NUMBERS),
    "div": pointwise(_div, dtypes=NUMBERS),
    "rem": pointwise(_rem, dtypes=NUMBERS),
    "pow": pointwise(_pow, dtypes=NUMBERS),
    "max": operator("Max", dtypes=NUMBERS),
    "min": operator("Min", dtypes=NUMBERS),
    "and": _bitwise("And"),
    "or": _bitwise("Or"),
    "xor": _bitwise("Xor"),
    "not": pointwise(_not),
    "shift_left": pointwise(_shift("LEFT"), dtypes=INTS),
    "shift_right": pointwise(_shift("RIGHT"), dtypes=INTS),
    "compare": pointwise(_compare, dtypes=NO_BFLOAT16),
    "where": pointwise(_where, dtypes=NO_BFLOAT16, operand=1),
}
