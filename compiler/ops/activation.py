"""Activation functions, element by element. `softmax` and the gated family are in `gating`."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from ..ir.op import ErrorSample, Op, Precision, Sample
from . import functional as fn
from .arithmetic import Expm1, Log1p
from .composite import Pointwise
from .samples import normal, types
from .tensor import Tensor, apply

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]

_INF = math.inf
_GRID = np.array(
    [-30, -6, -5, -3, -2.5, -1.5, -1, -0.5, -0.1, -1e-4, 0, 1e-4, 0.1, 0.5, 1, 1.5, 2.5, 3, 5, 6, 30], np.float32
)


class Activation(Pointwise):
    """Base: one operand.

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

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        wrong = ErrorSample(lambda: cls(lower=0.5, upper=0.1), types("float32[3]"), "lower 0.5 is above upper 0.1")
        return [*super().error_samples(), wrong]


class Elu(Activation):
    """x where x > 0, else alpha (exp(x) - 1)."""

    name = "elu"
    source = "Clevert, Unterthiner, Hochreiter (2015), Fast and Accurate Deep Network Learning by ELUs"
    precision_class = Precision.KEEP
    image = (-1, _INF)
    shown = ({}, {"alpha": 0.5})
    alpha: Finite = 1.0

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return fn.where(x > 0, x, expm1(fn.minimum(x, 0)) * self.alpha)


class Selu(Activation):
    """lambda x where x > 0, else lambda alpha (exp(x) - 1); lambda and alpha keep mean 0 and variance 1."""

    name = "selu"
    source = "Klambauer, Unterthiner, Mayr, Hochreiter (2017), Self-Normalizing Neural Networks"
    precision_class = Precision.KEEP
    image = (-1.7580993408473766, _INF)
    smooth = False

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        scale, alpha = 1.0507009873554805, 1.6732632423543772
        return fn.where(x > 0, x * scale, expm1(fn.minimum(x, 0)) * (scale * alpha))


class Celu(Activation):
    """max(x, 0) + min(0, alpha (exp(x / alpha) - 1))."""

    name = "celu"
    source = "Barron (2017), Continuously Differentiable Exponential Linear Units"
    precision_class = Precision.KEEP
    image = (-1, _INF)
    shown = ({}, {"alpha": 2.0})
    alpha: Positive = 1.0

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return fn.where(x > 0, x, expm1(fn.minimum(x, 0) / self.alpha) * self.alpha)


class Gelu(Activation):
    """x Phi(x), Phi the normal distribution: x/2 (1 + erf(x / sqrt(2))).

    ``approximate: tanh`` is x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
    """

    name = "gelu"
    source = "Hendrycks, Gimpel (2016), Gaussian Error Linear Units"
    precision_class = Precision.KEEP
    image = (-0.17, _INF)
    monotone = False
    shown = ({}, {"approximate": "tanh"})
    approximate: Literal["none", "tanh"] = "none"

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return gelu(x) if self.approximate == "none" else tanh_gelu(x)


class QuickGelu(Activation):
    """x sigmoid(1.702 x)."""

    name = "quick_gelu"
    source = "Hendrycks, Gimpel (2016), Gaussian Error Linear Units, section 2"
    precision_class = Precision.KEEP
    image = (-0.164, _INF)
    monotone = False

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return x * fn.sigmoid(x * 1.702)


class Silu(Activation):
    """x sigmoid(x)."""

    name = "silu"
    source = "Elfwing, Uchibe, Doya (2017), Sigmoid-Weighted Linear Units for Neural Network Function Approximation"
    precision_class = Precision.KEEP
    image = (-0.2785, _INF)
    monotone = False

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return x * fn.sigmoid(x)


class Swish(Activation):
    """x sigmoid(beta x); `silu` is beta = 1."""

    name = "swish"
    source = "Ramachandran, Zoph, Le (2017), Searching for Activation Functions"
    precision_class = Precision.KEEP
    image = (-0.2785, _INF)
    monotone = False
    shown = ({}, {"beta": 2.5})
    beta: Finite = 1.0

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return x * fn.sigmoid(x * self.beta)


class Softplus(Activation):
    """log(1 + exp(beta x)) / beta, computed as max(z, 0) + log(1 + exp(-|z|)) with z = beta x: never overflows."""

    name = "softplus"
    source = "Dugas et al. (2000), Incorporating Second-Order Functional Knowledge for Better Option Pricing"
    precision_class = Precision.KEEP
    image = (0, _INF)
    shown = ({}, {"beta": 2.0})
    beta: Positive = 1.0

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return softplus(x) if self.beta == 1 else softplus(x * self.beta) / self.beta

    @classmethod
    def samples(cls) -> list[Sample]:
        return [*super().samples(), Sample(cls(), (np.array([-1e4, -100, 100, 1e4], np.float32),), "no overflow")]


class Softsign(Activation):
    """x / (1 + |x|)."""

    name = "softsign"
    source = "Turian, Bergstra, Bengio (2009), Quadratic Features and Deep Architectures for Chunking"
    image = (-1, 1)

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return x / (fn.absolute(x) + 1)


class Mish(Activation):
    """x tanh(softplus(x))."""

    name = "mish"
    source = "Misra (2019), Mish: A Self Regularized Non-Monotonic Activation Function"
    precision_class = Precision.KEEP
    image = (-0.309, _INF)
    monotone = False

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return x * fn.tanh(softplus(x))


class LogSigmoid(Activation):
    """log(sigmoid(x)) = -softplus(-x)."""

    name = "log_sigmoid"
    precision_class = Precision.KEEP
    image = (-_INF, 0)

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return fn.minimum(x, 0) - log1p(fn.exp(-fn.absolute(x)))


class HardSigmoid(Activation):
    """x/6 + 1/2 between 0 and 1."""

    name = "hard_sigmoid"
    source = "Courbariaux, Bengio, David (2015), BinaryConnect; with the slope 1/6 of Howard et al. (2019), MobileNetV3"
    image = (0, 1)
    smooth = False

    def formula(self, *operands: Tensor) -> Tensor:
        return fn.clip(operands[0] / 6 + 0.5, 0, 1)


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

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        wrong = ErrorSample(lambda: cls(low=2, high=1), types("float32[3]"), "low 2.0 is above high 1.0")
        return [*super().error_samples(), wrong]


class TanhShrink(Activation):
    """x - tanh(x)."""

    name = "tanh_shrink"

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return x - fn.tanh(x)


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


class HardShrink(Activation):
    """x where |x| > threshold, else 0."""

    name = "hard_shrink"
    smooth = False
    shown = ({}, {"threshold": 1.0})
    threshold: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return fn.where(fn.absolute(x) <= self.threshold, 0, x)


class Gaussian(Activation):
    """exp(-x^2 / (2 sigma^2)): with x a distance, a radial basis function."""

    name = "gaussian"
    source = "Broomhead, Lowe (1988), Multivariable Functional Interpolation and Adaptive Networks"
    precision_class = Precision.KEEP
    image = (0, 1)
    monotone = False
    shown = ({}, {"sigma": 2.0})
    sigma: Positive = 1.0

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return fn.exp(x * x * (-0.5 / self.sigma**2))


class Multiquadric(Activation):
    """sqrt(x^2 + scale^2): with x a distance, a radial basis function."""

    name = "multiquadric"
    source = "Hardy (1971), Multiquadric Equations of Topography and Other Irregular Surfaces"
    precision_class = Precision.KEEP
    image = (1, _INF)
    monotone = False
    shown = ({}, {"scale": 0.5})
    scale: Positive = 1.0

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return fn.sqrt(x * x + self.scale**2)


def expm1(x: Tensor) -> Tensor:
    """exp(x) - 1."""
    return apply(x.build, Expm1(), x)


def log1p(x: Tensor) -> Tensor:
    """log(1 + x)."""
    return apply(x.build, Log1p(), x)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)) without overflow."""
    return fn.maximum(x, 0) + log1p(fn.exp(-fn.absolute(x)))


def gelu(x: Tensor) -> Tensor:
    """x Phi(x) by the error function."""
    return x * 0.5 * (fn.erf(x * math.sqrt(0.5)) + 1)


def tanh_gelu(x: Tensor) -> Tensor:
    """x Phi(x) by its approximation with tanh."""
    return x * 0.5 * (fn.tanh((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)) + 1)


OPS: tuple[type[Op], ...] = (
    Identity, Step, Relu, Relu6, LeakyRelu, ParametricRelu, Rrelu, Elu, Selu, Celu, Gelu, QuickGelu, Silu, Swish,
    Softplus, Softsign, Mish, LogSigmoid, HardSigmoid, HardSwish, HardTanh, TanhShrink, SoftShrink, HardShrink,
    Gaussian, Multiquadric,
)  # fmt: skip
