"""Losses of numbers beside the numbers that they should be. Means, unless ``reduction`` says otherwise, as in torch."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from ..ir.op import Op, Sample
from . import functional as fn
from .arithmetic import log1p
from .loss_base import Pairwise
from .samples import bools, normal, unit
from .tensor import Tensor

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class SquaredError(Pairwise):
    """mean((x - target)^2)."""

    name = "squared_error"
    source = "torch.nn.functional.mse_loss"

    def formula(self, x: Tensor, target: Tensor) -> Tensor:
        return (x - target) * (x - target)

    def slopes(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        slope = (x - target) * 2
        return slope, -slope


class AbsoluteError(Pairwise):
    """mean(|x - target|)."""

    name = "absolute_error"
    source = "torch.nn.functional.l1_loss"

    def formula(self, x: Tensor, target: Tensor) -> Tensor:
        return fn.absolute(x - target)

    def slopes(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        slope = fn.sign(x - target)
        return slope, -slope


class Huber(Pairwise):
    """mean of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = x - target."""

    name = "huber"
    source = "Huber (1964), Robust Estimation of a Location Parameter"
    delta: Positive = 1.0

    def formula(self, x: Tensor, target: Tensor) -> Tensor:
        size = fn.absolute(x - target)
        near = fn.minimum(size, self.delta)
        return near * (size - near * 0.5)

    def slopes(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        slope = fn.clip(x - target, -self.delta, self.delta)
        return slope, -slope

    @classmethod
    def samples(cls) -> list[Sample]:
        return [*super().samples(), Sample(cls(delta=0.3), cls.shown(), "another delta")]


class Hinge(Pairwise):
    """mean(max(0, 1 - x target)) for targets of -1 and 1."""

    name = "hinge"
    source = "Cortes, Vapnik (1995), Support-Vector Networks"

    def formula(self, x: Tensor, target: Tensor) -> Tensor:
        return fn.maximum(1 - x * target, 0)

    def slopes(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        # Where both are 0 the loss counts as rising, as torch's hinge_embedding_loss has it.
        within = 1 - x * target >= 0
        return fn.where(within, -target, 0), fn.where(within, -x, 0)

    @classmethod
    def shown(cls) -> tuple[np.ndarray, np.ndarray]:
        return normal(4, 5) * 2, (bools(4, 5) * 2 - 1).astype(np.float32)


class BinaryCrossEntropy(Pairwise):
    """-mean(t log(x) + (1 - t) log(1 - x)) for probabilities x and targets t from 0 to 1.

    A logarithm is held at -100, so that a probability of exactly 0 or 1 gives a finite loss.
    """

    name = "binary_cross_entropy"
    source = "torch.nn.functional.binary_cross_entropy"

    def formula(self, x: Tensor, target: Tensor) -> Tensor:
        yes, no = fn.maximum(fn.log(x), -100), fn.maximum(log1p(-x), -100)
        return -(target * yes + (1 - target) * no)

    def slopes(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        # As torch has it, the slope at a certainty that is wrong is large, not infinite.
        slope = (x - target) / fn.maximum(x * (1 - x), 1e-12)
        return slope, fn.maximum(log1p(-x), -100) - fn.maximum(fn.log(x), -100)

    @classmethod
    def shown(cls) -> tuple[np.ndarray, np.ndarray]:
        return (unit(4, 5) + 1) / 2, bools(4, 5).astype(np.float32)

    @classmethod
    def samples(cls) -> list[Sample]:
        certain = np.array([0, 1, 0, 1], np.float32), np.array([True, True, False, False])
        return [*super().samples(), Sample(cls(), certain, "certain, bool targets")]


class BinaryCrossEntropyScores(Pairwise):
    """`binary_cross_entropy` of sigmoid(x), exact for scores of any size: mean(max(x, 0) - x t + log(1 + e^-|x|))."""

    name = "binary_cross_entropy_scores"
    source = "torch.nn.functional.binary_cross_entropy_with_logits"

    def formula(self, x: Tensor, target: Tensor) -> Tensor:
        return fn.maximum(x, 0) - x * target + log1p(fn.exp(-fn.absolute(x)))

    def slopes(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return fn.sigmoid(x) - target, -x

    @classmethod
    def shown(cls) -> tuple[np.ndarray, np.ndarray]:
        return normal(4, 5) * 4, bools(4, 5).astype(np.float32)

    @classmethod
    def samples(cls) -> list[Sample]:
        far = np.array([-1000, 1000, -50, 50], np.float32), np.array([1, 1, 0, 0])
        return [*super().samples(), Sample(cls(), far, "far out, int targets")]


OPS: tuple[type[Op], ...] = (
    SquaredError, AbsoluteError, Huber, Hinge, BinaryCrossEntropy, BinaryCrossEntropyScores,
)  # fmt: skip
