"""Batch normalisation while a model learns: by the statistics of the batch, which also move the running ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from ..ir.dims import maximum, product
from ..ir.graph import Builder
from ..ir.op import Access, ErrorSample, Op, OpError, Sample, Shapes
from ..ir.types import TensorType
from . import functional as fn
from .composite import Precise, in_float32, need_float
from .normalize import deviations, pulled
from .rules import need_same_dtype
from .samples import normal, positive, types
from .tensor import Tensor


class NormalizeBatchTraining(Precise):
    """(x - m) / sqrt(v + eps) scale + shift with the mean m and variance v of each channel over the batch.

    x is [N, C, ...]; all others are [C]. Also gives the next running statistics: ``mean`` and ``variance`` moved by
    ``momentum`` towards m and towards the variance of the population that the batch is a sample of, v n / (n - 1).
    """

    name = "normalize_batch_training"
    family: ClassVar[str] = "normalize"
    operands = ("x", "scale?", "shift?", "mean", "variance")
    results = ("y", "mean", "variance")
    access: ClassVar[tuple[Access, ...]] = (Access.REDUCE, *(Access.BROADCAST,) * 4)
    source = "Ioffe, Szegedy (2015), Batch Normalization; torch.nn.BatchNorm2d"
    numerics = "a single element per channel counts as its own sample: v n / (n - 1) is 0"
    eps: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-5
    momentum: Annotated[float, Field(ge=0, le=1)] = 0.1

    def infer(self, shapes: Shapes, x: TensorType, *others: TensorType | None) -> tuple[TensorType, ...]:
        need_float(self.name, x)
        if x.rank < 2:
            raise OpError(f"{self.name}: takes [N, C, ...], not {x}")
        for what, given in zip(("scale", "shift", "mean", "variance"), others, strict=True):
            if given is None:
                continue
            need_same_dtype(self.name, x, given)
            if given.rank != 1:
                raise OpError(f"{self.name}: the {what} has one axis, not {given}")
            shapes.same(given.shape[0], x.shape[1], f"{self.name} of {x}: the {what} {given}")
        statistics = x.with_shape((x.shape[1],))
        return x, statistics, statistics

    def formula(
        self, build: Builder, x: Tensor, scale: Tensor | None, shift: Tensor | None, mean: Tensor, variance: Tensor
    ) -> list[Tensor]:
        axes = (0, *range(2, x.rank))
        count = product(x.shape[axis] for axis in axes)
        middle = fn.mean(x, axes, keep=True)
        away = x - middle
        spread = fn.mean(away * away, axes, keep=True)
        y = away / fn.sqrt(spread + self.eps)
        y = y if scale is None else y * fn.along(scale, x.rank, 1)
        y = y if shift is None else y + fn.along(shift, x.rank, 1)
        sample = spread.reshape(x.shape[1]) * fn.scalar(build, count, x.dtype)
        sample = sample / fn.scalar(build, maximum(count - 1, 1), x.dtype)
        return [y, self._moved(mean, middle.reshape(x.shape[1])), self._moved(variance, sample)]

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        return in_float32(self._pulled, *operands, *gradients)

    def _pulled(
        self, x: Tensor, scale: Tensor | None, shift: Tensor | None, mean: Tensor, variance: Tensor,
        g: Tensor | None, of_mean: Tensor | None, of_variance: Tensor | None,
    ) -> list[Tensor | None]:  # fmt: skip
        axes = (0, *range(2, x.rank))
        count = product(x.shape[axis] for axis in axes)
        away, spread = deviations(x, axes, self.eps)
        parts: list[Tensor] = []
        if g is not None:
            parts.append(pulled(away, spread, g if scale is None else g * fn.along(scale, x.rank, 1), axes))
        if of_mean is not None:
            parts.append(fn.along(of_mean * self.momentum / count, x.rank, 1).broadcast_to(x.shape))
        if of_variance is not None:
            parts.append(away * fn.along(of_variance * (2 * self.momentum) / maximum(count - 1, 1), x.rank, 1))
        kept = 1 - self.momentum
        return [
            sum(parts[1:], parts[0]),
            None if scale is None or g is None else fn.reduce_sum(g * (away / spread), axes),
            None if shift is None or g is None else fn.reduce_sum(g, axes),
            None if of_mean is None else of_mean * kept,
            None if of_variance is None else of_variance * kept,
        ]

    def _moved(self, running: Tensor, seen: Tensor) -> Tensor:
        return running * (1 - self.momentum) + seen * self.momentum

    @classmethod
    def samples(cls) -> list[Sample]:
        c = 5
        scale, shift, mean, variance = normal(c, salt=1), normal(c, salt=2), normal(c, salt=3), positive(c)
        return [
            Sample(cls(), (normal(2, c, 3, 4), scale, shift, mean, variance)),
            Sample(cls(eps=1e-3, momentum=0.3), (normal(4, c), None, None, mean, variance), "no space, no parameters"),
            Sample(cls(), (normal(2, c, 6), scale, None, mean, variance), "no shift"),
            Sample(cls(), tuple(np.asarray(a, np.float16) for a in (normal(2, c, 3), scale, shift, mean, variance))),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[2, 6, 3]", None, None, "float32[5]", "float32[6]"), "mean.*5 and 6"),
            ErrorSample(cls, types("float32[6]", None, None, "float32[6]", "float32[6]"), r"takes \[N, C, ...\]"),
            ErrorSample(cls, types("float32[2, 6]", None, None, "float32[6]", "float64[6]"), "different dtypes"),
        ]


OPS: tuple[type[Op], ...] = (NormalizeBatchTraining,)
