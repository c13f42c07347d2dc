"""Curved activation functions: exponential, logistic, normal, hyperbolic, radial."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ..ir.op import Op, Precision, Sample
from . import functional as fn
from .activation import Activation, Finite
from .arithmetic import expm1, log1p
from .tensor import Tensor

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


class Elu(Activation):
    """x where x > 0, else alpha (exp(x) - 1)."""

    name = "elu"
    source = "Clevert, Unterthiner, Hochreiter (2015), Fast and Accurate Deep Network Learning by ELUs"
    precision_class = Precision.KEEP
    image = (-1, math.inf)
    shown = ({}, {"alpha": 0.5})
    alpha: Finite = 1.0

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return fn.where(x > 0, x, expm1(fn.minimum(x, 0)) * self.alpha)

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return fn.where(x > 0, 1, y + self.alpha)


class Selu(Activation):
    """lambda x where x > 0, else lambda alpha (exp(x) - 1); lambda and alpha keep mean 0 and variance 1."""

    name = "selu"
    source = "Klambauer, Unterthiner, Mayr, Hochreiter (2017), Self-Normalizing Neural Networks"
    precision_class = Precision.KEEP
    image = (-1.7580993408473766, math.inf)
    smooth = False

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return fn.where(x > 0, x * _SELU_SCALE, expm1(fn.minimum(x, 0)) * (_SELU_SCALE * _SELU_ALPHA))

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return fn.where(x > 0, _SELU_SCALE, y + _SELU_SCALE * _SELU_ALPHA)


class Celu(Activation):
    """max(x, 0) + min(0, alpha (exp(x / alpha) - 1))."""

    name = "celu"
    source = "Barron (2017), Continuously Differentiable Exponential Linear Units"
    precision_class = Precision.KEEP
    image = (-1, math.inf)
    shown = ({}, {"alpha": 2.0})
    alpha: Positive = 1.0

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return fn.where(x > 0, x, expm1(fn.minimum(x, 0) / self.alpha) * self.alpha)

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return fn.where(x > 0, 1, y / self.alpha + 1)


class Gelu(Activation):
    """x Phi(x), Phi the normal distribution: x/2 (1 + erf(x / sqrt(2))).

    ``approximate: tanh`` is x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
    """

    name = "gelu"
    source = "Hendrycks, Gimpel (2016), Gaussian Error Linear Units"
    precision_class = Precision.KEEP
    image = (-0.17, math.inf)
    monotone = False
    shown = ({}, {"approximate": "tanh"})
    approximate: Literal["none", "tanh"] = "none"

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return gelu(x) if self.approximate == "none" else tanh_gelu(x)

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return gelu_slope(x) if self.approximate == "none" else tanh_gelu_slope(x)


class QuickGelu(Activation):
    """x sigmoid(1.702 x)."""

    name = "quick_gelu"
    source = "Hendrycks, Gimpel (2016), Gaussian Error Linear Units, section 2"
    precision_class = Precision.KEEP
    image = (-0.164, math.inf)
    monotone = False

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return x * fn.sigmoid(x * 1.702)

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return swish_slope(x, 1.702)


class Silu(Activation):
    """x sigmoid(x)."""

    name = "silu"
    source = "Elfwing, Uchibe, Doya (2017), Sigmoid-Weighted Linear Units for Neural Network Function Approximation"
    precision_class = Precision.KEEP
    image = (-0.2785, math.inf)
    monotone = False

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return x * fn.sigmoid(x)

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return swish_slope(x, 1)


class Swish(Activation):
    """x sigmoid(beta x); `silu` is beta = 1."""

    name = "swish"
    source = "Ramachandran, Zoph, Le (2017), Searching for Activation Functions"
    precision_class = Precision.KEEP
    image = (-0.2785, math.inf)
    monotone = False
    shown = ({}, {"beta": 2.5})
    beta: Finite = 1.0

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return x * fn.sigmoid(x * self.beta)

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return swish_slope(x, self.beta)


class Softplus(Activation):
    """log(1 + exp(beta x)) / beta, computed as max(z, 0) + log(1 + exp(-|z|)) with z = beta x: never overflows."""

    name = "softplus"
    source = "Dugas et al. (2000), Incorporating Second-Order Functional Knowledge for Better Option Pricing"
    precision_class = Precision.KEEP
    image = (0, math.inf)
    shown = ({}, {"beta": 2.0})
    beta: Positive = 1.0

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return softplus(x) if self.beta == 1 else softplus(x * self.beta) / self.beta

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return fn.sigmoid(x * self.beta)

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

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        away = fn.absolute(x) + 1
        return 1 / (away * away)


class Mish(Activation):
    """x tanh(softplus(x))."""

    name = "mish"
    source = "Misra (2019), Mish: A Self Regularized Non-Monotonic Activation Function"
    precision_class = Precision.KEEP
    image = (-0.309, math.inf)
    monotone = False

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return x * fn.tanh(softplus(x))

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        share, bent = fn.sigmoid(x), fn.tanh(softplus(x))
        return bent + x * share * (1 - bent * bent)


class LogSigmoid(Activation):
    """log(sigmoid(x)) = -softplus(-x)."""

    name = "log_sigmoid"
    precision_class = Precision.KEEP
    image = (-math.inf, 0)

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return fn.minimum(x, 0) - log1p(fn.exp(-fn.absolute(x)))

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return fn.sigmoid(-x)


class TanhShrink(Activation):
    """x - tanh(x)."""

    name = "tanh_shrink"

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return x - fn.tanh(x)

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        bent = fn.tanh(x)
        return bent * bent


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

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y * (-1 / self.sigma**2)


class Multiquadric(Activation):
    """sqrt(x^2 + scale^2): with x a distance, a radial basis function."""

    name = "multiquadric"
    source = "Hardy (1971), Multiquadric Equations of Topography and Other Irregular Surfaces"
    precision_class = Precision.KEEP
    image = (1, math.inf)
    monotone = False
    shown = ({}, {"scale": 0.5})
    scale: Positive = 1.0

    def formula(self, *operands: Tensor) -> Tensor:
        (x,) = operands
        return fn.sqrt(x * x + self.scale**2)

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        return x / y


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)) without overflow."""
    return fn.maximum(x, 0) + log1p(fn.exp(-fn.absolute(x)))


def gelu(x: Tensor) -> Tensor:
    """x Phi(x) by the error function."""
    return x * 0.5 * (fn.erf(x * math.sqrt(0.5)) + 1)


def tanh_gelu(x: Tensor) -> Tensor:
    """x Phi(x) by its approximation with tanh."""
    return x * 0.5 * (fn.tanh((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)) + 1)


def gelu_slope(x: Tensor) -> Tensor:
    """Phi(x) + x phi(x), with phi the density of the normal distribution."""
    density = fn.exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))
    return (fn.erf(x * math.sqrt(0.5)) + 1) * 0.5 + x * density


def tanh_gelu_slope(x: Tensor) -> Tensor:
    """The derivative of `tanh_gelu`."""
    square, factor = x * x, math.sqrt(2 / math.pi)
    bent = fn.tanh((x + square * x * 0.044715) * factor)
    rises = (square * (3 * 0.044715) + 1) * factor
    return (bent + 1) * 0.5 + x * 0.5 * (1 - bent * bent) * rises


def swish_slope(x: Tensor, beta: float) -> Tensor:
    """The derivative of x s with s = sigmoid(beta x): s + beta x s (1 - s)."""
    z = x if beta == 1 else x * beta
    share = fn.sigmoid(z)
    return share * (z * (1 - share) + 1)


OPS: tuple[type[Op], ...] = (
    Elu, Selu, Celu, Gelu, QuickGelu, Silu, Swish, Softplus, Softsign, Mish, LogSigmoid, TanhShrink, Gaussian,
    Multiquadric,
)  # fmt: skip
