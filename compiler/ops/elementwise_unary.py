"""Primitives of one operand that work element by element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..ir.op import ErrorSample, Precision, Sample
from .elementwise_base import BITS, ROUNDING, FloatUnary, Unary, floats
from .numeric import erf, logistic
from .samples import bools, ints, positive, types


class Neg(Unary):
    """-x. Integers wrap."""

    name = "neg"
    numerics = "integers wrap: the least one stays as it is"
    source = ROUNDING
    compute = np.negative

    def slope(self, x: Any, y: Any) -> Any:
        return x.like(-1)


class Abs(Unary):
    """x where x >= 0, else -x. The least signed integer stays as it is."""

    name = "abs"
    numerics = "integers wrap: the least one stays as it is; NaN gives NaN"
    source = ROUNDING
    compute = np.absolute

    def slope(self, x: Any, y: Any) -> Any:
        return x.then(Sign())


class Sign(Unary):
    """-1, 0 or 1, as x is below, equal to or above 0. NaN stays NaN."""

    name = "sign"
    numerics = "NaN gives NaN, 0 and -0 give 0"
    source = "XLA operation semantics: element-wise unary functions"
    gradient = "zero"
    compute = np.sign


class Floor(FloatUnary):
    """The largest whole number that is not above x."""

    name = "floor"
    numerics = "infinities and NaN stay"
    source = ROUNDING
    gradient = "zero"
    compute = np.floor


class Round(FloatUnary):
    """The nearest whole number; halves go to the even one."""

    name = "round"
    numerics = "0.5 gives 0, 1.5 gives 2; infinities and NaN stay"
    source = ROUNDING
    gradient = "zero"
    compute = np.rint

    @classmethod
    def samples(cls) -> list[Sample]:
        return [*super().samples(), Sample(cls(), (floats(-1.5, -0.5, 0.5, 1.5, 2.5, 3.49),), "halves", exact=True)]


class Exp(FloatUnary):
    """e to the x."""

    name = "exp"
    numerics = "exp(-inf) is 0, too large gives inf, NaN gives NaN"
    precision_class = Precision.KEEP
    compute = np.exp

    def slope(self, x: Any, y: Any) -> Any:
        return y

    @classmethod
    def samples(cls) -> list[Sample]:
        return [*super().samples(), Sample(cls(), (floats(-200, 88, 100),), "saturates to 0 and inf")]


class Log(FloatUnary):
    """The natural logarithm of x."""

    name = "log"
    numerics = "log(0) is -inf, log of a negative number NaN"
    domain = positive
    precision_class = Precision.KEEP
    compute = np.log

    def slope(self, x: Any, y: Any) -> Any:
        return 1 / x


class Sqrt(FloatUnary):
    """The square root of x."""

    name = "sqrt"
    numerics = "the root of a negative number is NaN, that of -0 is -0"
    domain = positive
    precision_class = Precision.KEEP
    compute = np.sqrt

    def slope(self, x: Any, y: Any) -> Any:
        return 0.5 / y


class Sin(FloatUnary):
    """The sine of x radians."""

    name = "sin"
    numerics = "NaN for infinities"
    precision_class = Precision.KEEP
    compute = np.sin

    def slope(self, x: Any, y: Any) -> Any:
        return x.then(Cos())


class Cos(FloatUnary):
    """The cosine of x radians."""

    name = "cos"
    numerics = "NaN for infinities"
    precision_class = Precision.KEEP
    compute = np.cos

    def slope(self, x: Any, y: Any) -> Any:
        return -x.then(Sin())


class Tanh(FloatUnary):
    """(e^x - e^-x) / (e^x + e^-x)."""

    name = "tanh"
    numerics = "-1 and 1 at the infinities, NaN gives NaN"
    compute = np.tanh

    def slope(self, x: Any, y: Any) -> Any:
        return 1 - y * y


class Erf(FloatUnary):
    """2 / sqrt(pi) times the integral of e^(-t^2) for t from 0 to x."""

    name = "erf"
    numerics = "-1 and 1 at the infinities, NaN gives NaN"
    source = "NIST Digital Library of Mathematical Functions, 7.2.1"
    compute = erf

    def slope(self, x: Any, y: Any) -> Any:
        return (-(x * x)).then(Exp()) * (2 / math.sqrt(math.pi))

    @classmethod
    def samples(cls) -> list[Sample]:
        return [*super().samples(), Sample(cls(), (floats(-4, -2, -1e-4, 1e-4, 0.5, 2, 4),), "small and large")]


class Sigmoid(FloatUnary):
    """1 / (1 + e^-x), the logistic function."""

    name = "sigmoid"
    numerics = "never overflows: 0 and 1 at the infinities, NaN gives NaN"
    source = "NIST Digital Library of Mathematical Functions, 4.2.19"
    compute = logistic

    def slope(self, x: Any, y: Any) -> Any:
        return y * (1 - y)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [*super().samples(), Sample(cls(), (floats(-100, -20, 20, 100),), "does not overflow")]


class Not(Unary):
    """The opposite of a bool; all bits of an integer flipped."""

    name = "not"
    numerics = "exact"
    source = BITS
    kinds = ("bool", "int")
    gradient = "zero"
    compute = np.invert

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (bools(3, 4),), "logic", exact=True),
            Sample(cls(), (ints(3, 4, low=-5, high=6),), "bit by bit", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(cls, types("float32[3]"), "takes bool or int")]
