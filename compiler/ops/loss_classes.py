"""Losses of scores, one for each class, beside what the class is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ..ir.dims import product
from ..ir.graph import Builder
from ..ir.op import ErrorSample, Op, OpError, Sample, Shapes
from ..ir.types import TensorType
from . import functional as fn
from .composite import widen
from .gating import log_softmax
from .loss_base import Loss, Reduction, reduced
from .rules import need_index, normal_axis
from .samples import ints, normal, types
from .tensor import Tensor


class CrossEntropy(Loss):
    """-mean(log_softmax(scores)[label]): classes lie along ``axis`` of the scores, labels (int) have the other axes.

    Labels of the shape of the scores (floats) are probabilities: -sum(label log_softmax(scores)) / examples.
    ``smoothing`` s mixes the labels with the even distribution over the C classes: 1 - s of the label, s / C of each.
    Examples whose label is ``ignore`` count nowhere; if all are, the mean is NaN and the gradient 0. ``reduction`` sum
    does not divide by the number of examples, none gives the loss of each.
    """

    name = "cross_entropy"
    operands = ("scores", "labels")
    source = "torch.nn.functional.cross_entropy (whose axis is 1)"
    axis: int = -1
    smoothing: Annotated[float, Field(ge=0, le=1)] = 0.0
    ignore: int | None = None
    reduction: Reduction = "mean"

    def canonical(self, scores: TensorType, labels: TensorType) -> Op:
        return self.model_copy(update={"axis": normal_axis("cross_entropy", self.axis, scores.rank)})

    def infer(self, shapes: Shapes, scores: TensorType, labels: TensorType) -> TensorType:
        what = f"cross_entropy of scores {scores} and labels {labels}"
        wanted = list(scores.shape)
        examples = (*wanted[: self.axis], *wanted[self.axis + 1 :])
        result = self.result(scores, examples if self.reduction == "none" else ())
        if labels.dtype.is_float:
            if self.ignore is not None:
                raise OpError(f"{what}: probabilities cannot be ignored by their value")
        else:
            need_index("cross_entropy: the labels", labels)
            del wanted[self.axis]
        if labels.rank != len(wanted):
            raise OpError(f"{what}: the labels should have {len(wanted)} axes, with the classes on axis {self.axis}")
        for a, b in zip(labels.shape, wanted, strict=True):
            shapes.same(a, b, what)
        return result

    def decompose(self, build: Builder, scores: Tensor, labels: Tensor) -> Tensor:
        logs = log_softmax(widen(scores), self.axis)
        if labels.dtype.is_float:
            return reduced(-fn.reduce_sum(self._smoothed(labels, logs) * logs, self.axis), self.reduction)
        counts = None if self.ignore is None else labels != self.ignore
        known = labels if counts is None else fn.where(counts, labels, 0)
        losses = -fn.gather_elements(logs, fn.expand_axes(known, (self.axis,)), self.axis)
        if self.smoothing:
            even = -fn.mean(logs, self.axis, keep=True)
            losses = losses * (1 - self.smoothing) + even * self.smoothing
        losses = losses.reshape(*labels.shape)
        if counts is None:
            return reduced(losses, self.reduction)
        losses = fn.where(counts, losses, 0)
        if self.reduction == "mean":
            return fn.reduce_sum(losses) / fn.reduce_sum(counts.cast(losses.dtype))
        return reduced(losses, self.reduction)

    def _smoothed(self, labels: Tensor, logs: Tensor) -> Tensor:
        """Probabilities mixed with the even distribution."""
        target = widen(labels).cast(logs.dtype)
        if not self.smoothing:
            return target
        return target * (1 - self.smoothing) + fn.scalar(logs.build, self.smoothing, logs.dtype) / logs.shape[self.axis]

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (scores, labels), (g,) = operands, gradients
        logs = log_softmax(widen(scores), self.axis)
        examples = product(size for axis, size in enumerate(scores.shape) if axis != self.axis)
        counts = None if self.ignore is None else fn.expand_axes(labels != self.ignore, (self.axis,))
        if self.reduction == "none":
            share = fn.expand_axes(g, (self.axis,))
        elif self.reduction == "sum":
            share = g
        else:
            share = g / (examples if counts is None else fn.reduce_sum(counts.cast(logs.dtype)))
        if labels.dtype.is_float:
            target = self._smoothed(labels, logs)
            slope = fn.exp(logs) * fn.reduce_sum(target, self.axis, keep=True) - target
            of_labels = logs * (share * (self.smoothing - 1))
            return [(slope * share).cast(scores.dtype), of_labels.cast(labels.dtype)]
        classes = fn.along(fn.iota(logs.build, scores.shape[self.axis], labels.dtype), logs.rank, self.axis)
        slope = fn.exp(logs) - self._one_hot(fn.expand_axes(labels, (self.axis,)) == classes, logs)
        pulled = slope * share if counts is None else fn.where(counts, slope * share, 0)
        return [pulled.cast(scores.dtype), None]

    def _one_hot(self, hit: Tensor, logs: Tensor) -> Tensor:
        """The distribution that a label stands for."""
        if not self.smoothing:
            return hit.cast(logs.dtype)
        even = fn.scalar(logs.build, self.smoothing, logs.dtype) / logs.shape[self.axis]
        return fn.where(hit, even + (1 - self.smoothing), even)

    @classmethod
    def samples(cls) -> list[Sample]:
        scores, labels = normal(6, 5) * 3, ints(6, high=5)
        some = np.where(labels == 2, -100, labels)
        soft = np.exp(normal(6, 5, salt=1))
        soft = soft / soft.sum(-1, keepdims=True)
        return [
            Sample(cls(), (scores, labels)),
            Sample(cls(smoothing=0.1), (scores, labels), "smoothing"),
            Sample(cls(ignore=-100), (scores, some), "some ignored"),
            Sample(cls(ignore=-100, smoothing=0.2), (scores, some), "some ignored, smoothing"),
            Sample(cls(), (scores, soft), "probabilities"),
            Sample(cls(smoothing=0.1), (scores, soft), "probabilities, smoothing"),
            Sample(cls(reduction="sum", ignore=2), (scores, labels), "sum, some ignored"),
            Sample(cls(reduction="none", ignore=2, smoothing=0.1), (scores, labels), "none, some ignored, smoothing"),
            Sample(cls(reduction="none"), (scores, soft), "none, probabilities"),
            Sample(cls(axis=1), (normal(2, 4, 3, 3), ints(2, 3, 3, high=4, dtype="int32")), "pixels"),
            Sample(cls(), (normal(2, 7, 5), ints(2, 7, high=5)), "a sequence"),
            Sample(cls(), (normal(5), np.array(3)), "one example"),
            Sample(cls(), (scores * 300, labels), "large scores"),
            Sample(cls(), (scores.astype(np.float16), labels), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[6, 5]", "int64[5]"), "5 and 6 differ"),
            ErrorSample(cls, types("float32[6, 5]", "int64[6, 5]"), "should have 1 axes"),
            ErrorSample(cls, types("float32[6, 5]", "bool[6]"), "indices are"),
            ErrorSample(cls, types("int64[6, 5]", "int64[6]"), "takes float"),
            ErrorSample(lambda: cls(ignore=0), types("float32[6, 5]", "float32[6, 5]"), "cannot be ignored"),
            ErrorSample(lambda: cls(smoothing=2), types("float32[6, 5]", "int64[6]"), "less than or equal to 1"),
        ]


class ZeroOne(Loss):
    """The share of examples whose largest score is not at the label: for evaluation, it has no gradient."""

    name = "zero_one"
    operands = ("scores", "labels")
    gradient = "zero"
    axis: int = -1

    def canonical(self, scores: TensorType, labels: TensorType) -> Op:
        return self.model_copy(update={"axis": normal_axis("zero_one", self.axis, scores.rank)})

    def infer(self, shapes: Shapes, scores: TensorType, labels: TensorType) -> TensorType:
        need_index("zero_one: the labels", labels)
        return CrossEntropy(axis=self.axis).infer(shapes, scores, labels)

    def decompose(self, build: Builder, scores: Tensor, labels: Tensor) -> Tensor:
        wrong = fn.arg_max(scores, self.axis) != labels
        return fn.mean(wrong.cast(self.result(scores.type).dtype))

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(20, 3), ints(20, high=3))),
            Sample(cls(axis=1), (normal(2, 3, 4, 4, dtype="float16"), ints(2, 4, 4, high=3)), "pixels"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(cls, types("float32[6, 5]", "int64[5]"), "5 and 6 differ")]


class Contrastive(Loss):
    """The mean of the cross entropies of the rows and of the columns of [N, N] scores, each with its diagonal place."""

    name = "contrastive"
    operands = ("scores",)
    source = "Radford et al. (2021), Learning Transferable Visual Models From Natural Language Supervision"

    def infer(self, shapes: Shapes, scores: TensorType) -> TensorType:
        if scores.rank != 2:
            raise OpError(f"contrastive: takes [N, N], not {scores}")
        shapes.same(scores.shape[0], scores.shape[1], f"contrastive of {scores}")
        return self.result(scores)

    def decompose(self, build: Builder, scores: Tensor) -> Tensor:
        scores = widen(scores)
        place = fn.iota(build, scores.shape[0])
        losses: Sequence[Tensor] = [
            fn.mean(fn.gather_elements(log_softmax(scores, axis), fn.expand_axes(place, (axis,)), axis))
            for axis in (0, 1)
        ]
        return (losses[0] + losses[1]) * -0.5

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (scores,), (g,) = operands, gradients
        wide = widen(scores)
        both = fn.exp(log_softmax(wide, 0)) + fn.exp(log_softmax(wide, 1))
        place = fn.iota(wide.build, wide.shape[0])
        diagonal = (place[:, None] == place[None]).cast(wide.dtype)
        return [((both - diagonal * 2) * (g * 0.5 / wide.shape[0])).cast(scores.dtype)]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [Sample(cls(), (normal(5, 5) * 3,)), Sample(cls(), (normal(3, 3, dtype="float16"),), "float16")]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[3, 4]"), "3 and 4 differ"),
            ErrorSample(cls, types("float32[3]"), r"takes \[N, N\]"),
        ]


OPS: tuple[type[Op], ...] = (CrossEntropy, ZeroOne, Contrastive)
