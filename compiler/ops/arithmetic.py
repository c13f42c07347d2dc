"""Arithmetic beyond the primitives: exact forms near zero, divisions that round down, powers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..ir.op import ErrorSample, Op, Precision, Sample
from . import functional as fn
from .composite import Pointwise, Sloped
from .samples import ints, normal, positive, types
from .tensor import Tensor, apply


class Expm1(Sloped):
    """exp(x) - 1, exact near 0: tanh(x/2) (exp(x) + 1), which loses no digits to the subtraction."""

    name = "expm1"
    precision_class = Precision.KEEP

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return fn.tanh(x * 0.5) * (fn.exp(x) + 1)

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return fn.exp(x)

    @classmethod
    def samples(cls) -> list[Sample]:
        edges = np.array([-np.inf, -50, -1, -1e-6, 0, 1e-6, 0.5, 20, np.inf], np.float32)
        return [Sample(cls(), (normal(3, 5),)), Sample(cls(), (edges,), "tiny, infinite")]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(cls, types("int64[3]"), "takes float")]


class Log1p(Sloped):
    """log(1 + x), exact near 0: -inf at -1, NaN below.

    For |x| < 1/2 one step of Newton's method for exp(y) - 1 = x mends what the rounding of 1 + x lost in
    y = log(1 + x): y - (expm1(y) - x) / (expm1(y) + 1).
    """

    name = "log1p"
    precision_class = Precision.KEEP
    numerics = "the well-known log(u) x / (u - 1) with u = 1 + x is no option: XLA makes x of u - 1"

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        y = fn.log(x + 1)
        near = fn.absolute(x) < 0.5
        start = fn.where(near, y, 0)
        reached = expm1(start)
        return fn.where(near, start - (reached - x) / (reached + 1), y)

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return 1 / (x + 1)

    @classmethod
    def samples(cls) -> list[Sample]:
        edges = np.array([-1, -0.5, -1e-6, 0, 1e-30, 1e-8, 1e-3, 0.5, 1, 100, np.inf], np.float32)
        return [Sample(cls(), (positive(3, 5),)), Sample(cls(), (edges,), "tiny, pole, infinite")]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(cls, types("bool[3]"), "takes float")]


class Ceil(Pointwise):
    """The least whole number that is not below x."""

    name = "ceil"
    gradient = "zero"

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return -fn.floor(-x)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [Sample(cls(), (np.array([-1.5, -1, -0.2, 0, 0.2, 2, 2.5, np.inf], np.float32),), exact=True)]


class Square(Sloped):
    """x x."""

    name = "square"
    kinds: ClassVar[tuple[str, ...]] = ("int", "float")

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return x * x

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return x * 2

    @classmethod
    def samples(cls) -> list[Sample]:
        return [Sample(cls(), (normal(3, 5),)), Sample(cls(), (ints(4, low=-9),), exact=True)]


class Rsqrt(Sloped):
    """1 / sqrt(x): inf at 0, NaN below."""

    name = "rsqrt"
    precision_class = Precision.KEEP

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return 1 / fn.sqrt(x)

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return y * y * y * -0.5

    @classmethod
    def samples(cls) -> list[Sample]:
        return [Sample(cls(), (positive(3, 5),)), Sample(cls(), (np.array([0, np.inf, 4], np.float32),), "pole")]


class Reciprocal(Sloped):
    """1 / x: inf at 0 with the sign of the zero."""

    name = "reciprocal"

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return 1 / x

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return -(y * y)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [Sample(cls(), (normal(3, 5),)), Sample(cls(), (np.array([0, -np.inf, 4], np.float32),), "pole")]


class Mod(Pointwise):
    """x % y with the sign of y, as in Python: x - y floor(x / y). Integers by 0 are undefined, floats NaN."""

    name = "mod"
    operands = ("x", "y")
    kinds: ClassVar[tuple[str, ...]] = ("int", "float")

    def formula(self, *operands: Tensor) -> Tensor:
        x, y = operands
        rest = x.rem(y)
        return fn.where((rest != 0) & ((rest < 0) != (y < 0)), rest + y, rest)

    @classmethod
    def samples(cls) -> list[Sample]:
        return _division_samples(cls)

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("bool[3]", "bool[3]"), "takes int or float"),
            ErrorSample(cls, types("int64[3]", "int64[4]"), "3 and 4 differ"),
            ErrorSample(cls, types("int64[3]", "float32[3]"), "cast one of them"),
        ]


class FloorDiv(Pointwise):
    """x // y, rounded down, as in Python: (x - x % y) / y. Integers by 0 are undefined, floats give x / y."""

    name = "floor_div"
    gradient = "zero"
    operands = ("x", "y")
    kinds: ClassVar[tuple[str, ...]] = ("int", "float")

    def formula(self, *operands: Tensor) -> Tensor:
        x, y = operands
        rest = x.rem(y)
        crosses = (rest != 0) & ((rest < 0) != (y < 0))
        if x.dtype.is_float:
            whole = fn.round_even((x - rest) / y)
            return fn.where(y == 0, x / y, fn.where(crosses, whole - 1, whole))
        return fn.quotient(x, y) - crosses.cast(x.dtype)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [*_division_samples(cls), Sample(cls(), (np.array([1.0, -2.0], np.float32), np.zeros(2, np.float32)))]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(cls, types("bool[3]", "bool[3]"), "takes int or float")]


def _division_samples(op: type[Op]) -> list[Sample]:
    whole = (np.array([-7, 7, -7, 7, 6, -6]), np.array([2, 2, -2, -2, 3, 3]))
    parts = tuple(np.array(values, np.float32) for values in ([-7.5, 7.5, -7.5, 7.5, 1, 6], [2, 2, -2, -2, 0.1, -3]))
    return [
        Sample(op(), whole, "signs", exact=True),
        Sample(op(), parts, "signs of floats"),
        Sample(op(), (normal(4, 3) * 10, positive(4, 3))),
        Sample(op(), (np.array([7, 250], np.uint8), np.array([4, 16], np.uint8)), "unsigned", exact=True),
    ]


def expm1(x: Tensor) -> Tensor:
    """exp(x) - 1."""
    return apply(x.build, Expm1(), x)


def log1p(x: Tensor) -> Tensor:
    """log(1 + x)."""
    return apply(x.build, Log1p(), x)


OPS: tuple[type[Op], ...] = (Expm1, Log1p, Ceil, Square, Rsqrt, Reciprocal, Mod, FloorDiv)
