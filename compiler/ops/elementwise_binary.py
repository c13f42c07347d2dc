"""Primitives of two or three operands that work element by element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar
from typing import Literal as OneOf

import numpy as np

from ..ir.op import Access, ErrorSample, Op, OpError, Precision, Sample, Shapes
from ..ir.types import DType, TensorType
from .elementwise_base import FUNCTIONS, Binary, Bitwise, Shift, common_shape, floats, signed_pair
from .elementwise_unary import Log, Round
from .numeric import power, truncated_quotient
from .rules import widened
from .samples import bools, ints, normal, positive, types


class Add(Binary):
    """x + y. Integers wrap."""

    name = "add"
    numerics = "integers wrap"
    compute = np.add

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (g,) = gradients
        return [g, g]

    @classmethod
    def samples(cls) -> list[Sample]:
        far = ints(5, low=2**62, high=2**63 - 1)
        return [*super().samples(), Sample(cls(), (far, far), "wraps", exact=True)]


class Sub(Binary):
    """x - y. Integers wrap."""

    name = "sub"
    numerics = "integers wrap"
    compute = np.subtract

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (g,) = gradients
        return [g, -g]

    @classmethod
    def samples(cls) -> list[Sample]:
        far = ints(5, low=2**62, high=2**63 - 1)
        return [*super().samples(), Sample(cls(), (far, -far), "wraps", exact=True)]


class Mul(Binary):
    """x * y. Integers wrap."""

    name = "mul"
    numerics = "integers wrap"
    compute = np.multiply

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x, y), (g,) = operands, gradients
        return [g * y, g * x]

    @classmethod
    def samples(cls) -> list[Sample]:
        far = ints(5, low=2**62, high=2**63 - 1)
        return [*super().samples(), Sample(cls(), (far, far), "wraps", exact=True)]


class Div(Binary):
    """x / y. Integers truncate toward zero."""

    name = "div"
    numerics = "integers truncate toward zero (-7/2 is -3); x/0 is inf or NaN for floats, undefined for integers"
    compute = truncated_quotient

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (_, y), (z,), (g,) = operands, results, gradients
        return [g / y, -(g * z / y)]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(3, 4), positive(3, 4))),
            Sample(cls(), (floats(1, -1, 0, 2), floats(0, 0, 0, np.inf)), "by zero and infinity"),
            Sample(cls(), (np.array([-7, 7, -7, 7, 6]), np.array([2, 2, -2, -2, -3])), "truncates", exact=True),
            Sample(cls(), (np.array([7, 2**32 - 1], np.uint32), np.array([2, 2], np.uint32)), "words", exact=True),
        ]


class Rem(Binary):
    """x - y * trunc(x / y): the remainder, with the sign of x."""

    name = "rem"
    numerics = "the sign of x (-7 rem 2 is -1); x rem 0 is NaN for floats, undefined for integers; x rem inf is x"
    source = "IEEE 754-2019, 5.3.1; C99 fmod"
    compute = np.fmod

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x, y), (z,), (g,) = operands, results, gradients
        return [g, -(g * ((x - z) / y).then(Round()))]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(3, 4), positive(3, 4))),
            Sample(cls(), (floats(5.5, -5.5, 2, 1, np.inf), floats(2, 2, np.inf, 0, 2)), "signs and specials"),
            Sample(cls(), (np.array([-7, 7, -7, 7]), np.array([2, 2, -2, -2])), "sign of x", exact=True),
        ]


class Pow(Binary):
    """x to the y."""

    name = "pow"
    numerics = "x^0 is 1; NaN for negative x to a fraction; integers wrap, to a negative y they are undefined"
    source = FUNCTIONS
    precision_class = Precision.KEEP

    compute = power

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x, y), (z,), (g,) = operands, results, gradients
        # At x = 0 and at y = 0 the slopes are 0, not 0 times an infinity.
        base = choose((x == 0) & (y >= 0), x.like(1), x)
        return [g * choose(y == 0, y.like(0), y * x ** (y - 1)), g * (z * base.then(Log()))]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (positive(3, 4), normal(3, 4))),
            Sample(cls(), (floats(0, -2, -2, 0, -8, 4), floats(0, 3, 2, -1, 0.5, 0.5)), "zeros and signs"),
            Sample(cls(), (ints(3, 4, low=-3, high=4), ints(3, 4, high=5)), "integers", exact=True),
        ]


class Max(Binary):
    """The larger of x and y; NaN if either is NaN."""

    name = "max"
    numerics = "NaN if either is NaN"
    source = "IEEE 754-2019, 9.6: maximum"
    compute = np.maximum

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x, y), (g,) = operands, gradients
        return divided(g, x >= y, y >= x)

    @classmethod
    def samples(cls) -> list[Sample]:
        x, y = floats(np.nan, 1, np.nan, -np.inf, 2), floats(1, np.nan, np.nan, np.inf, 2)
        return [*super().samples(), Sample(cls(), (x, y), "NaN propagates", exact=True)]


class Min(Binary):
    """The smaller of x and y; NaN if either is NaN."""

    name = "min"
    numerics = "NaN if either is NaN"
    source = "IEEE 754-2019, 9.6: minimum"
    compute = np.minimum

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x, y), (g,) = operands, gradients
        return divided(g, x <= y, y <= x)

    @classmethod
    def samples(cls) -> list[Sample]:
        x, y = floats(np.nan, 1, np.nan, -np.inf, 2), floats(1, np.nan, np.nan, np.inf, 2)
        return [*super().samples(), Sample(cls(), (x, y), "NaN propagates", exact=True)]


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


class ShiftLeft(Shift):
    """x * 2^y: the bits of x moved up by y; what leaves is lost."""

    name = "shift_left"
    numerics = "undefined unless 0 <= y < bits"
    compute = np.left_shift


class ShiftRight(Shift):
    """floor(x / 2^y): the bits of x moved down by y. Unsigned x is filled with 0, signed x with its sign."""

    name = "shift_right"
    numerics = "undefined unless 0 <= y < bits"
    compute = np.right_shift


Direction = OneOf["eq", "ne", "lt", "le", "gt", "ge"]
_COMPARISONS: dict[Direction, Callable[..., Any]] = {
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
    numerics = "false where an operand is NaN, but for ne, which is true there; -0 equals 0"
    source = "IEEE 754-2019, 5.11"
    kinds = ("bool", "int", "float")
    direction: Direction
    gradient = "zero"

    def result(self, operand: TensorType) -> TensorType:
        return operand.with_dtype(DType.BOOL)

    def meaning(self, *arrays: np.ndarray) -> np.ndarray:
        return np.asarray(_COMPARISONS[self.direction](*(widened(array) for array in arrays)))

    @classmethod
    def samples(cls) -> list[Sample]:
        x, y = floats(1, 2, np.nan, 4, -0.0), floats(1, 3, np.nan, 3, 0.0)
        ops = [cls(direction=direction) for direction in _COMPARISONS]
        special = [Sample(op, (x, y), "NaN and zeros", exact=True) for op in ops]
        whole = [Sample(op, signed_pair("int64"), "integers", exact=True) for op in ops]
        flags = [Sample(op, (bools(8), bools(8, salt=1)), "bools", exact=True) for op in ops[:2]]
        return special + whole + flags

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(direction="eq"), types("float32[3]", "float32[4]"), "3 and 4 differ"),
            ErrorSample(lambda: cls(direction="eq"), types("float32[3]", "bool[3]"), "cast one of them"),
        ]


class Where(Op):
    """x where the condition is true, y elsewhere."""

    name = "where"
    numerics = "what is not chosen has no influence, NaN included"
    source = "numpy.where"
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

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        condition, (g,) = operands[0], gradients
        zero = g.like(0)
        return [None, choose(condition, g, zero), choose(condition, zero, g)]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (bools(3, 4), normal(3, 4), normal(3, 4, salt=1))),
            Sample(cls(), (np.array([True, False]), floats(1, np.nan), floats(np.nan, 2)), "NaN", exact=True),
            Sample(cls(), (bools(5), *(ints(5, salt=salt) for salt in (0, 1))), "integers", exact=True),
            Sample(cls(), (bools(5), bools(5, salt=1), bools(5, salt=2)), "bools", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("int64[3]", "float32[3]", "float32[3]"), "the condition is bool"),
            ErrorSample(cls, types("bool[3]", "float32[3]", "int64[3]"), "cast one of them"),
            ErrorSample(cls, types("bool[4]", "float32[3]", "float32[3]"), "3 and 4 differ"),
        ]


def choose(condition: Any, x: Any, y: Any) -> Any:
    """x where the condition holds, else y; tensors under construction of one shape."""
    return condition.then(Where(), x, y)


def divided(g: Any, first: Any, second: Any) -> list[Any]:
    """The gradient of a choice between two operands: to the one that was chosen, half to each where they are equal."""
    both, half, zero = first & second, g * 0.5, g.like(0)
    return [choose(both, half, choose(one, g, zero)) for one in (first, second)]
