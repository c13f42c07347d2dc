"""Losses that say how far one distribution is from another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from typing import Literal as OneOf

import numpy as np

from ..ir.dims import product
from ..ir.graph import Builder
from ..ir.op import ErrorSample, Op, OpError, Sample, Shapes
from ..ir.types import TensorType
from . import functional as fn
from .composite import widen
from .loss_base import Loss, reduced
from .samples import normal, types
from .tensor import Tensor


class KlDivergence(Loss):
    """sum(target (log(target) - x)) / N for log-probabilities x and probabilities target; N is the size of axis 0.

    A target of 0 adds nothing. ``reduction`` sum does not divide, mean divides by the number of elements, none does not
    sum up.
    """

    name = "kl_divergence"
    operands = ("x", "target")
    source = "torch.nn.functional.kl_div"
    reduction: OneOf["batchmean", "mean", "sum", "none"] = "batchmean"

    def infer(self, shapes: Shapes, x: TensorType, target: TensorType) -> TensorType:
        if x.rank == 0 or x.rank != target.rank or x.dtype is not target.dtype:
            raise OpError(f"kl_divergence: {x} and {target} must have one dtype, and the same axes, one at least")
        for a, b in zip(x.shape, target.shape, strict=True):
            shapes.same(a, b, f"kl_divergence of {x} and {target}")
        return self.result(x, x.shape if self.reduction == "none" else ())

    def decompose(self, build: Builder, x: Tensor, target: Tensor) -> Tensor:
        x, target = widen(x), widen(target)
        losses = fn.where(target > 0, target * (self._logarithm(target) - x), 0)
        if self.reduction == "batchmean":
            return fn.reduce_sum(losses) / x.shape[0]
        return reduced(losses, self.reduction)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (given, wanted), (g,) = operands, gradients
        x, target = widen(given), widen(wanted)
        share = g
        if self.reduction in ("batchmean", "mean"):
            share = g / (x.shape[0] if self.reduction == "batchmean" else product(x.shape))
        of_x = fn.where(target > 0, -target, 0) * share
        of_target = fn.where(target > 0, self._logarithm(target) + 1 - x, 0) * share
        return [of_x.cast(given.dtype), of_target.cast(wanted.dtype)]

    def _logarithm(self, target: Tensor) -> Tensor:
        return fn.log(fn.where(target > 0, target, 1))

    @classmethod
    def samples(cls) -> list[Sample]:
        p = np.exp(normal(4, 6, salt=1))
        p[0, :3] = 0
        p = p / p.sum(-1, keepdims=True)
        q = normal(4, 6)
        q = q - np.log(np.exp(q).sum(-1, keepdims=True))
        return [
            Sample(cls(), (q, p), "zeros"),
            Sample(cls(reduction="mean"), (q, p), "mean"),
            Sample(cls(reduction="sum"), (q, p[1:2].repeat(4, 0)), "sum"),
            Sample(cls(reduction="none"), (q, p), "none"),
            Sample(cls(), (q.astype(np.float16), p.astype(np.float16)), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[3, 4]", "float32[3, 5]"), "4 and 5 differ"),
            ErrorSample(cls, types("float32[3]", "float64[3]"), "one dtype"),
        ]


class GaussianKl(Loss):
    """Divergence of N(mean, exp(logvar)) from N(0, 1): -sum(1 + logvar - mean^2 - exp(logvar)) / (2 N)."""

    name = "gaussian_kl"
    operands = ("mean", "logvar")
    source = "Kingma, Welling (2013), Auto-Encoding Variational Bayes, appendix B"

    def infer(self, shapes: Shapes, mean: TensorType, logvar: TensorType) -> TensorType:
        if mean.rank == 0 or mean.rank != logvar.rank or mean.dtype is not logvar.dtype:
            raise OpError(f"gaussian_kl: {mean} and {logvar} must have one dtype, and the same axes, one at least")
        for a, b in zip(mean.shape, logvar.shape, strict=True):
            shapes.same(a, b, f"gaussian_kl of {mean} and {logvar}")
        return self.result(mean)

    def decompose(self, build: Builder, mean: Tensor, logvar: Tensor) -> Tensor:
        mean, logvar = widen(mean), widen(logvar)
        return fn.reduce_sum(logvar + 1 - mean * mean - fn.exp(logvar)) / mean.shape[0] * -0.5

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(4, 6), normal(4, 6, salt=1))),
            Sample(cls(), (normal(2, 3, dtype="float16"), normal(2, 3, dtype="float16", salt=1)), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(cls, types("float32[3]", "float32[4]"), "3 and 4 differ")]


OPS: tuple[type[Op], ...] = (KlDivergence, GaussianKl)
