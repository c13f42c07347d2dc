"""Primitives that work element by element on operands of one shape and one dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..ir.op import Access, ErrorSample, OneOf, Op, OpError, Precision, Sample, Shapes
from ..ir.types import DType, TensorType
from .numeric import erf, logistic, truncated_quotient
from .rules import need_kind, widened
from .samples import bools, ints, normal, positive, types, unit

IEEE = "IEEE 754-2019"


class Elementwise(Op):
    """Base: operands of equal type; the result has that type unless `result` says otherwise."""

    family: ClassVar[str] = "elementwise"
    elementwise: ClassVar[bool] = True
    source: ClassVar[str] = IEEE
    kinds: ClassVar[tuple[str, ...]] = ("int", "float")
    compute: ClassVar[Callable[..., Any]]
    """The NumPy function. It gets 16-bit floats as float32."""

    def infer(self, shapes: Shapes, *operands: TensorType) -> TensorType:
        first = operands[0]
        for other in operands:
            if other.dtype is not first.dtype:
                raise OpError(f"{self.name}: the operands are {first} and {other}; cast one of them")
        need_kind(self.name, first, *self.kinds)
        return self.result(first.with_shape(common_shape(self.name, shapes, operands)))

    def result(self, operand: TensorType) -> TensorType:
        """The result type from the common type of the operands."""
        return operand

    def meaning(self, *arrays: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            result = type(self).compute(*(widened(array) for array in arrays))
        return np.asarray(result).astype(arrays[0].dtype, copy=False)


def common_shape(what: str, shapes: Shapes, operands: tuple[TensorType, ...]) -> tuple[Any, ...]:
    """The one shape that all operands have. Raises `OpError`."""
    first = operands[0]
    shape = first.shape
    for other in operands[1:]:
        if other.rank != first.rank:
            raise OpError(f"{what}: the operands are {first} and {other}; their shapes differ")
        shape = tuple(
            shapes.same(a, b, f"{what} of {first} and {other}") for a, b in zip(shape, other.shape, strict=True)
        )
    return shape


class Unary(Elementwise):
    """Base: one operand."""

    operands = ("x",)
    access: ClassVar[tuple[Access, ...]] = (Access.SAME,)


class FloatUnary(Unary):
    """Base: one operand, of a float dtype."""

    kinds = ("float",)


class Binary(Elementwise):
    """Base: two operands."""

    operands = ("x", "y")
    access: ClassVar[tuple[Access, ...]] = (Access.SAME, Access.SAME)


class Bitwise(Binary):
    """Base: two operands of bool (logic) or of integers (bit by bit)."""

    kinds = ("bool", "int")
    gradient = "zero"


class Shift(Binary):
    """Base: an integer and by how many bits it moves."""

    kinds = ("int",)
    gradient = "zero"


class Neg(Unary):
    """-x. Integers wrap."""

    name = "neg"
    compute = np.negative


class Abs(Unary):
    """x where x >= 0, else -x. The least signed integer stays as it is."""

    name = "abs"
    compute = np.absolute


class Sign(Unary):
    """-1, 0 or 1, as x is below, equal to or above 0. NaN stays NaN."""

    name = "sign"
    gradient = "zero"
    compute = np.sign


class Floor(FloatUnary):
    """The largest whole number that is not above x."""

    name = "floor"
    gradient = "zero"
    compute = np.floor


class Round(FloatUnary):
    """The nearest whole number; halves go to the even one."""

    name = "round"
    gradient = "zero"
    compute = np.rint


class Exp(FloatUnary):
    """e to the x."""

    name = "exp"
    precision_class = Precision.KEEP
    compute = np.exp


class Log(FloatUnary):
    """The natural logarithm of x."""

    name = "log"
    precision_class = Precision.KEEP
    compute = np.log


class Sqrt(FloatUnary):
    """The square root of x."""

    name = "sqrt"
    precision_class = Precision.KEEP
    compute = np.sqrt


class Sin(FloatUnary):
    """The sine of x radians."""

    name = "sin"
    precision_class = Precision.KEEP
    compute = np.sin


class Cos(FloatUnary):
    """The cosine of x radians."""

    name = "cos"
    precision_class = Precision.KEEP
    compute = np.cos


class Tanh(FloatUnary):
    """(e^x - e^-x) / (e^x + e^-x)."""

    name = "tanh"
    compute = np.tanh


class Erf(FloatUnary):
    """2 / sqrt(pi) times the integral of e^(-t^2) for t from 0 to x."""

    name = "erf"
    compute = erf


class Sigmoid(FloatUnary):
    """1 / (1 + e^-x), the logistic function."""

    name = "sigmoid"
    compute = logistic


class Add(Binary):
    """x + y. Integers wrap."""

    name = "add"
    compute = np.add


class Sub(Binary):
    """x - y. Integers wrap."""

    name = "sub"
    compute = np.subtract


class Mul(Binary):
    """x * y. Integers wrap."""

    name = "mul"
    compute = np.multiply


class Div(Binary):
    """x / y. Integers truncate toward zero."""

    name = "div"
    compute = truncated_quotient


class Rem(Binary):
    """x - y * trunc(x / y): the remainder, with the sign of x."""

    name = "rem"
    compute = np.fmod


class Pow(Binary):
    """x to the y."""

    name = "pow"
    precision_class = Precision.KEEP

    @staticmethod
    def compute(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.power(x, np.maximum(y, 0) if y.dtype.kind == "i" else y)


class Max(Binary):
    """The larger of x and y; NaN if either is NaN."""

    name = "max"
    compute = np.maximum


class Min(Binary):
    """The smaller of x and y; NaN if either is NaN."""

    name = "min"
    compute = np.minimum


class And(Bitwise):
    """x and y: of bools logical, of integers bit by bit."""

    name = "and"
    compute = np.bitwise_and


class Or(Bitwise):
    """x or y: of bools logical, of integers bit by bit."""

    name = "or"
    compute = np.bitwise_or


class Xor(Bitwise):
    """Either x or y, not both: of bools logical, of integers bit by bit."""

    name = "xor"
    compute = np.bitwise_xor


class Not(Unary):
    """The opposite of a bool; all bits of an integer flipped."""

    name = "not"
    kinds = ("bool", "int")
    gradient = "zero"
    compute = np.invert


class ShiftLeft(Shift):
    """x * 2^y: the bits of x moved up by y; what leaves is lost."""

    name = "shift_left"
    compute = np.left_shift


class ShiftRight(Shift):
    """floor(x / 2^y): the bits of x moved down by y. Unsigned x is filled with 0, signed x with its sign."""

    name = "shift_right"
    compute = np.right_shift


_COMPARISONS: dict[str, Callable[..., Any]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


class Compare(Binary):
    """x == y, x != y, x < y, x <= y, x > y or x >= y, as bool."""

    name = "compare"
    kinds = ("bool", "int", "float")
    direction: OneOf["eq", "ne", "lt", "le", "gt", "ge"]
    gradient = "zero"

    def result(self, operand: TensorType) -> TensorType:
        return operand.with_dtype(DType.BOOL)

    def meaning(self, *arrays: np.ndarray) -> np.ndarray:
        return np.asarray(_COMPARISONS[self.direction](*(widened(array) for array in arrays)))


class Where(Op):
    """x where the condition is true, y elsewhere."""

    name = "where"
    family: ClassVar[str] = "elementwise"
    operands = ("condition", "x", "y")
    access = (Access.SAME, Access.SAME, Access.SAME)
    elementwise = True

    def infer(self, shapes: Shapes, condition: TensorType, x: TensorType, y: TensorType) -> TensorType:
        if condition.dtype is not DType.BOOL:
            raise OpError(f"where: the condition is bool, not {condition}")
        if x.dtype is not y.dtype:
            raise OpError(f"where: the operands are {x} and {y}; cast one of them")
        return x.with_shape(common_shape("where", shapes, (x, y, condition)))

    def meaning(self, condition: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(condition, x, y)


OPS: tuple[type[Op], ...] = (
    Neg, Abs, Sign, Floor, Round, Exp, Log, Sqrt, Sin, Cos, Tanh, Erf, Sigmoid,
    Add, Sub, Mul, Div, Rem, Pow, Max, Min, And, Or, Xor, Not, ShiftLeft, ShiftRight, Compare, Where,
)  # fmt: skip
