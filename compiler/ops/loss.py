"""Losses: one number from what a network says and what is right. A mean over the examples, as in torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from ..ir.dims import product
from ..ir.graph import Builder
from ..ir.op import Access, ErrorSample, Op, OpError, Precision, Sample, Shapes
from ..ir.types import DType, TensorType
from . import functional as fn
from .arithmetic import log1p
from .composite import Composite, need_float, widen
from .gating import log_softmax
from .rules import need_index, normal_axis
from .samples import bools, ints, normal, types, unit
from .tensor import Tensor

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Loss(Composite):
    """Base: a scalar in the dtype of the first operand; of 16-bit floats in float32."""

    family: ClassVar[str] = "loss"
    access: ClassVar[tuple[Access, ...]] = (Access.REDUCE,)
    precision_class = Precision.KEEP

    def result(self, x: TensorType) -> TensorType:
        """The type of the loss. Raises `OpError` unless x is a float."""
        need_float(self.name, x)
        return TensorType(DType.FLOAT32 if x.dtype.is_half else x.dtype, ())


class _Pairwise(_Loss):
    """Base: x and target have one shape; the target may be bool or int."""

    operands = ("x", "target")

    def infer(self, shapes: Shapes, x: TensorType, target: TensorType) -> TensorType:
        what = f"{self.name} of {x} and {target}"
        if x.rank != target.rank:
            raise OpError(f"{what}: they have different numbers of axes")
        for a, b in zip(x.shape, target.shape, strict=True):
            shapes.same(a, b, what)
        return self.result(x)

    def formula(self, x: Tensor, target: Tensor) -> Tensor:
        """The loss of each element."""
        raise NotImplementedError(f"{type(self).__name__} declares no formula")

    def decompose(self, build: Builder, x: Tensor, target: Tensor) -> Tensor:
        wide = widen(x)
        return fn.mean(self.formula(wide, target.cast(wide.dtype)))

    @classmethod
    def shown(cls) -> tuple[np.ndarray, np.ndarray]:
        """Operands that suit the loss."""
        return normal(4, 5) * 2, normal(4, 5, salt=1)

    @classmethod
    def samples(cls) -> list[Sample]:
        x, target = cls.shown()
        return [
            Sample(cls(), (x, target)),
            Sample(cls(), (x[0, 0], target[0, 0]), "scalars"),
            Sample(cls(), (x.astype(np.float16), target.astype(np.float16)), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[3]", "float32[3, 1]"), "different numbers of axes"),
            ErrorSample(cls, types("float32[3]", "float32[4]"), "3 and 4 differ"),
            ErrorSample(cls, types("int64[3]", "float32[3]"), "takes float"),
        ]


class SquaredError(_Pairwise):
    """mean((x - target)^2)."""

    name = "squared_error"
    source = "torch.nn.functional.mse_loss"

    def formula(self, x: Tensor, target: Tensor) -> Tensor:
        return (x - target) * (x - target)


class AbsoluteError(_Pairwise):
    """mean(|x - target|)."""

    name = "absolute_error"
    source = "torch.nn.functional.l1_loss"

    def formula(self, x: Tensor, target: Tensor) -> Tensor:
        return fn.absolute(x - target)


class Huber(_Pairwise):
    """mean of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = x - target."""

    name = "huber"
    source = "Huber (1964), Robust Estimation of a Location Parameter"
    delta: Positive = 1.0

    def formula(self, x: Tensor, target: Tensor) -> Tensor:
        size = fn.absolute(x - target)
        near = fn.minimum(size, self.delta)
        return near * (size - near * 0.5)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [*super().samples(), Sample(cls(delta=0.3), cls.shown(), "another delta")]


class Hinge(_Pairwise):
    """mean(max(0, 1 - x target)) for targets of -1 and 1."""

    name = "hinge"
    source = "Cortes, Vapnik (1995), Support-Vector Networks"

    def formula(self, x: Tensor, target: Tensor) -> Tensor:
        return fn.maximum(1 - x * target, 0)

    @classmethod
    def shown(cls) -> tuple[np.ndarray, np.ndarray]:
        return normal(4, 5) * 2, (bools(4, 5) * 2 - 1).astype(np.float32)


class BinaryCrossEntropy(_Pairwise):
    """-mean(t log(x) + (1 - t) log(1 - x)) for probabilities x and targets t from 0 to 1.

    A logarithm is held at -100, so that a probability of exactly 0 or 1 gives a finite loss.
    """

    name = "binary_cross_entropy"
    source = "torch.nn.functional.binary_cross_entropy"

    def formula(self, x: Tensor, target: Tensor) -> Tensor:
        yes, no = fn.maximum(fn.log(x), -100), fn.maximum(log1p(-x), -100)
        return -(target * yes + (1 - target) * no)

    @classmethod
    def shown(cls) -> tuple[np.ndarray, np.ndarray]:
        return (unit(4, 5) + 1) / 2, bools(4, 5).astype(np.float32)

    @classmethod
    def samples(cls) -> list[Sample]:
        certain = np.array([0, 1, 0, 1], np.float32), np.array([True, True, False, False])
        return [*super().samples(), Sample(cls(), certain, "certain, bool targets")]


class BinaryCrossEntropyScores(_Pairwise):
    """`binary_cross_entropy` of sigmoid(x), exact for scores of any size: mean(max(x, 0) - x t + log(1 + e^-|x|))."""

    name = "binary_cross_entropy_scores"
    source = "torch.nn.functional.binary_cross_entropy_with_logits"

    def formula(self, x: Tensor, target: Tensor) -> Tensor:
        return fn.maximum(x, 0) - x * target + log1p(fn.exp(-fn.absolute(x)))

    @classmethod
    def shown(cls) -> tuple[np.ndarray, np.ndarray]:
        return normal(4, 5) * 4, bools(4, 5).astype(np.float32)

    @classmethod
    def samples(cls) -> list[Sample]:
        far = np.array([-1000, 1000, -50, 50], np.float32), np.array([1, 1, 0, 0])
        return [*super().samples(), Sample(cls(), far, "far out, int targets")]


class KlDivergence(_Loss):
    """sum(target (log(target) - x)) / N for log-probabilities x and probabilities target; N is the size of axis 0.

    A target of 0 adds nothing.
    """

    name = "kl_divergence"
    operands = ("x", "target")
    source = "torch.nn.functional.kl_div with reduction batchmean"

    def infer(self, shapes: Shapes, x: TensorType, target: TensorType) -> TensorType:
        if x.rank == 0 or x.rank != target.rank or x.dtype is not target.dtype:
            raise OpError(f"kl_divergence: {x} and {target} must have one dtype, and the same axes, one at least")
        for a, b in zip(x.shape, target.shape, strict=True):
            shapes.same(a, b, f"kl_divergence of {x} and {target}")
        return self.result(x)

    def decompose(self, build: Builder, x: Tensor, target: Tensor) -> Tensor:
        x, target = widen(x), widen(target)
        logarithm = fn.log(fn.where(target > 0, target, 1))
        return fn.reduce_sum(fn.where(target > 0, target * (logarithm - x), 0)) / x.shape[0]

    @classmethod
    def samples(cls) -> list[Sample]:
        p = np.exp(normal(4, 6, salt=1))
        p[0, :3] = 0
        p = p / p.sum(-1, keepdims=True)
        q = normal(4, 6)
        q = q - np.log(np.exp(q).sum(-1, keepdims=True))
        return [
            Sample(cls(), (q, p), "zeros"),
            Sample(cls(), (q.astype(np.float16), p.astype(np.float16)), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[3, 4]", "float32[3, 5]"), "4 and 5 differ"),
            ErrorSample(cls, types("float32[3]", "float64[3]"), "one dtype"),
        ]


class GaussianKl(_Loss):
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


class CrossEntropy(_Loss):
    """-mean(log_softmax(scores)[label]): classes lie along ``axis`` of the scores, labels (int) have the other axes.

    Labels of the shape of the scores (floats) are probabilities: -sum(label log_softmax(scores)) / examples.
    ``smoothing`` s mixes the labels with the even distribution over the C classes: 1 - s of the label, s / C of each.
    Examples whose label is ``ignore`` count nowhere; if all are, the loss is NaN.
    """

    name = "cross_entropy"
    operands = ("scores", "labels")
    source = "torch.nn.functional.cross_entropy (whose axis is 1)"
    axis: int = -1
    smoothing: Annotated[float, Field(ge=0, le=1)] = 0.0
    ignore: int | None = None

    def canonical(self, scores: TensorType, labels: TensorType) -> Op:
        return self.model_copy(update={"axis": normal_axis("cross_entropy", self.axis, scores.rank)})

    def infer(self, shapes: Shapes, scores: TensorType, labels: TensorType) -> TensorType:
        result = self.result(scores)
        what = f"cross_entropy of scores {scores} and labels {labels}"
        wanted = list(scores.shape)
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
        classes = scores.shape[self.axis]
        if labels.dtype.is_float:
            target = widen(labels).cast(logs.dtype)
            if self.smoothing:
                target = target * (1 - self.smoothing) + fn.scalar(build, self.smoothing, logs.dtype) / classes
            examples = product(size for axis, size in enumerate(scores.shape) if axis != self.axis)
            return -fn.reduce_sum(target * logs) / examples
        counts = None if self.ignore is None else labels != self.ignore
        known = labels if counts is None else fn.where(counts, labels, 0)
        losses = -fn.gather_elements(logs, fn.expand_axes(known, (self.axis,)), self.axis)
        if self.smoothing:
            even = -fn.mean(logs, self.axis, keep=True)
            losses = losses * (1 - self.smoothing) + even * self.smoothing
        losses = losses.reshape(*labels.shape)
        if counts is None:
            return fn.mean(losses)
        return fn.reduce_sum(fn.where(counts, losses, 0)) / fn.reduce_sum(counts.cast(losses.dtype))

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


class ZeroOne(_Loss):
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


class Contrastive(_Loss):
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

    @classmethod
    def samples(cls) -> list[Sample]:
        return [Sample(cls(), (normal(5, 5) * 3,)), Sample(cls(), (normal(3, 3, dtype="float16"),), "float16")]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[3, 4]"), "3 and 4 differ"),
            ErrorSample(cls, types("float32[3]"), r"takes \[N, N\]"),
        ]


OPS: tuple[type[Op], ...] = (
    SquaredError, AbsoluteError, Huber, Hinge, BinaryCrossEntropy, BinaryCrossEntropyScores, KlDivergence, GaussianKl,
    CrossEntropy, ZeroOne, Contrastive,
)  # fmt: skip
