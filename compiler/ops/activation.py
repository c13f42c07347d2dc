"""Activation functions made of straight pieces; the curved ones are in `activation_smooth`, softmax in `gating`."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from ..ir.op import ErrorSample, Op, Sample
from . import functional as fn
from .composite import Pointwise, Sloped
from .samples import normal, types
from .tensor import Tensor

Finite = Annotated[float, Field(allow_inf_nan=False)]

_INF = math.inf
_GRID = np.array(
    [-30, -6, -5, -3, -2.5, -1.5, -1, -0.5, -0.1, -1e-4, 0, 1e-4, 0.1, 0.5, 1, 1.5, 2.5, 3, 5, 6, 30], np.float32
)


class Activation(Sloped):
    """Base: one operand. Where the derivative jumps it is what torch takes there.

    ``image`` is the interval the values lie in for the default attributes, ``monotone`` whether they never fall,
    ``smooth`` whether the derivative is continuous.
    """

    family: ClassVar[str] = "activation"
    image: ClassVar[tuple[float, float]] = (-_INF, _INF)
    monotone: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    shown: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    """Attributes that the samples show."""

    @classmethod
    def samples(cls) -> list[Sample]:
        found = []
        for fields in cls.shown:
            op = cls(**fields)
            found += [Sample(op, (normal(2, 3, 5) * 3,)), Sample(op, (_GRID,), "edges")]
        return [
            *found,
            Sample(op, (normal(7, dtype="float64"),), "float64"),
            Sample(op, (normal(4, 3, dtype="float16"),), "float16"),
            Sample(op, (normal(4, 3, dtype="bfloat16"),), "bfloat16"),
            Sample(op, (np.array(0.7, np.float32),), "a scalar"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(lambda: cls(**cls.shown[0]), types("bool[3]"), "takes")]


class Identity(Activation):
    """x: the linear activation."""

    name = "identity"
    kinds: ClassVar[tuple[str, ...]] = ("bool", "int", "float")

    def formula(self, *operands: Tensor) -> Tensor:
        return operands[0]

    def pulled(self, x: Tensor, y: Tensor, g: Tensor) -> Tensor:
        return g

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return []


class Step(Activation):
    """1 where x >= 0, else 0, in the dtype of x. NaN gives 0."""

    name = "step"
    source = "McCulloch, Pitts (1943), A Logical Calculus of the Ideas Immanent in Nervous Activity"
    gradient = "zero"
    image = (0, 1)
    smooth = False

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return (x >= 0).cast(x.dtype)

    @classmethod
    def samples(cls) -> list[Sample]:
        edges = np.array([-1, -1e-30, -0.0, 0, 1e-30, np.nan, np.inf], np.float32)
        return [*super().samples(), Sample(cls(), (edges,), "both zeros, NaN", exact=True)]


class Relu(Activation):
    """max(x, 0). NaN stays NaN."""

    name = "relu"
    source = "Nair, Hinton (2010), Rectified Linear Units Improve Restricted Boltzmann Machines"
    kinds: ClassVar[tuple[str, ...]] = ("int", "float")
    image = (0, _INF)
    smooth = False

    def formula(self, *operands: Tensor) -> Tensor:
        return fn.maximum(operands[0], 0)

    def pulled(self, x: Tensor, y: Tensor, g: Tensor) -> Tensor:
        # By the result, which is kept for what follows anyway; NaN passes the gradient on.
        return fn.where(y <= 0, 0, g)

    @classmethod
    def samples(cls) -> list[Sample]:
        edges = np.array([-np.inf, -1, 0, 2, np.inf, np.nan], np.float32)
        return [
            *super().samples(),
            Sample(cls(), (edges,), "infinite, NaN", exact=True),
            Sample(cls(), (np.array([-2, 0, 3]),), "integers", exact=True),
        ]


class Relu6(Activation):
    """min(max(x, 0), 6)."""

    name = "relu6"
    source = "Howard et al. (2017), MobileNets"
    image = (0, 6)
    smooth = False

    def formula(self, *operands: Tensor) -> Tensor:
        return fn.clip(operands[0], 0, 6)

    def pulled(self, x: Tensor, y: Tensor, g: Tensor) -> Tensor:
        return fn.where((y <= 0) | (y >= 6), 0, g)


class LeakyRelu(Activation):
    """x where x > 0, else slope x."""

    name = "leaky_relu"
    source = "Maas, Hannun, Ng (2013), Rectifier Nonlinearities Improve Neural Network Acoustic Models"
    smooth = False
    shown = ({}, {"slope": 0.2})
    slope: Finite = 0.01

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return fn.where(x > 0, x, x * self.slope)

    def pulled(self, x: Tensor, y: Tensor, g: Tensor) -> Tensor:
        return fn.where(x > 0, g, g * self.slope)


class ParametricRelu(Pointwise):
    """x where x > 0, else slope x, with the slope given as an operand (a learned one: the layer `prelu`)."""

    name = "parametric_relu"
    family: ClassVar[str] = "activation"
    operands = ("x", "slope")
    source = "He, Zhang, Ren, Sun (2015), Delving Deep into Rectifiers"

    def formula(self, *operands: Tensor) -> Tensor:
        x, slope = operands
        return fn.where(x > 0, x, x * slope)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [Sample(cls(), (normal(2, 3, 5), normal(2, 3, 5, salt=1))), Sample(cls(), (_GRID, _GRID[::-1].copy()))]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("int64[3]", "int64[3]"), "takes float"),
            ErrorSample(cls, types("float32[3]", "float32[2]"), "3 and 2 differ"),
        ]


class Rrelu(Activation):
    """x where x > 0, else x (lower + upper) / 2, the mean of the slopes that training draws from U(lower, upper)."""

    name = "rrelu"
    source = "Xu, Wang, Chen, Li (2015), Empirical Evaluation of Rectified Activations in Convolutional Network"
    smooth = False
    shown = ({}, {"lower": 0.1, "upper": 0.5})
    lower: Finite = 1 / 8
    upper: Finite = 1 / 3

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lower > self.upper:
            raise ValueError(f"lower {self.lower} is above upper {self.upper}")
        return self

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return fn.where(x > 0, x, x * ((self.lower + self.upper) / 2))

    def pulled(self, x: Tensor, y: Tensor, g: Tensor) -> Tensor:
        return fn.where(x > 0, g, g * ((self.lower + self.upper) / 2))

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        wrong = ErrorSample(lambda: cls(lower=0.5, upper=0.1), types("float32[3]"), "lower 0.5 is above upper 0.1")
        return [*super().error_samples(), wrong]


class HardSigmoid(Activation):
    """x/6 + 1/2 between 0 and 1."""

    name = "hard_sigmoid"
    source = "Courbariaux, Bengio, David (2015), BinaryConnect; with the slope 1/6 of Howard et al. (2019), MobileNetV3"
    image = (0, 1)
    smooth = False

    def formula(self, *operands: Tensor) -> Tensor:
        return fn.clip(operands[0] / 6 + 0.5, 0, 1)

    def pulled(self, x: Tensor, y: Tensor, g: Tensor) -> Tensor:
        return fn.where((y <= 0) | (y >= 1), 0, g / 6)


class HardSwish(Activation):
    """x hard_sigmoid(x)."""

    name = "hard_swish"
    source = "Howard et al. (2019), Searching for MobileNetV3"
    image = (-0.375, _INF)
    monotone = False
    smooth = False

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return x * fn.clip(x / 6 + 0.5, 0, 1)

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return fn.where(x <= -3, 0, fn.where(x < 3, x / 3 + 0.5, 1))


class HardTanh(Activation):
    """x between low and high."""

    name = "hard_tanh"
    source = "Collobert (2004), Large Scale Machine Learning"
    image = (-1, 1)
    smooth = False
    shown = ({}, {"low": -2.0, "high": 0.5})
    low: Finite = -1.0
    high: Finite = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self

    def formula(self, *operands: Tensor) -> Tensor:
        return fn.clip(operands[0], self.low, self.high)

    def pulled(self, x: Tensor, y: Tensor, g: Tensor) -> Tensor:
        return fn.where((x <= self.low) | (x >= self.high), 0, g)

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        wrong = ErrorSample(lambda: cls(low=2, high=1), types("float32[3]"), "low 2.0 is above high 1.0")
        return [*super().error_samples(), wrong]


class SoftShrink(Activation):
    """x moved toward 0 by the threshold, and 0 within it: sign(x) max(|x| - threshold, 0)."""

    name = "soft_shrink"
    source = "Donoho (1995), De-Noising by Soft-Thresholding"
    smooth = False
    shown = ({}, {"threshold": 1.0})
    threshold: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return x - fn.clip(x, -self.threshold, self.threshold)

    def pulled(self, x: Tensor, y: Tensor, g: Tensor) -> Tensor:
        return fn.where(fn.absolute(x) <= self.threshold, 0, g)


class HardShrink(Activation):
    """x where |x| > threshold, else 0."""

    name = "hard_shrink"
    smooth = False
    shown = ({}, {"threshold": 1.0})
    threshold: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return fn.where(fn.absolute(x) <= self.threshold, 0, x)

    def pulled(self, x: Tensor, y: Tensor, g: Tensor) -> Tensor:
        return fn.where(fn.absolute(x) <= self.threshold, 0, g)


OPS: tuple[type[Op], ...] = (
    Identity, Step, Relu, Relu6, LeakyRelu, ParametricRelu, Rrelu, HardSigmoid, HardSwish, HardTanh, SoftShrink,
    HardShrink,
)  # fmt: skip
