"""Normalisation arithmetic with its parameters as operands; the layers that own them stand in the spec language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from ..ir.dims import AnyDim, decide, floordiv, product
from ..ir.graph import Builder
from ..ir.op import Access, ErrorSample, Op, OpError, Sample, Shapes
from ..ir.types import TensorType
from . import functional as fn
from .composite import Precise, in_float32, need_float
from .rules import need_same_dtype, normal_axis
from .samples import normal, positive, types
from .tensor import Tensor

Epsilon = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Normalize(Precise):
    """Base. Statistics and scaling of 16-bit floats are computed in float32."""

    family: ClassVar[str] = "normalize"
    eps: Epsilon = 1e-5

    def need_vector(self, shapes: Shapes, what: str, given: TensorType | None, x: TensorType, size: AnyDim) -> None:
        """Raises `OpError` unless an operand that is there has the dtype of x and one element per channel."""
        if given is None:
            return
        need_same_dtype(self.name, x, given)
        if given.rank != 1:
            raise OpError(f"{self.name}: the {what} has one axis, not {given}")
        shapes.same(given.shape[0], size, f"{self.name} of {x}: the {what} {given}")


def deviations(x: Tensor, axes: tuple[int, ...], eps: float, centred: bool = True) -> tuple[Tensor, Tensor]:
    """x without its mean over the axes (as it is, unless ``centred``), and sqrt(mean of its squares + eps)."""
    away = x - fn.mean(x, axes, keep=True) if centred else x
    return away, fn.sqrt(fn.mean(away * away, axes, keep=True) + eps)


def pulled(away: Tensor, spread: Tensor, g: Tensor, axes: tuple[int, ...], centred: bool = True) -> Tensor:
    """The gradient of x from that of away / spread, as `deviations` gives them."""
    y = away / spread
    rest = g - y * fn.mean(g * y, axes, keep=True)
    return (rest - fn.mean(g, axes, keep=True) if centred else rest) / spread


class NormalizeLayer(_Normalize):
    """(x - mean) / sqrt(variance + eps) scale + shift, with the statistics of each element over the axes from ``axis``.

    The variance is the population's. ``scale`` and ``shift`` have the shape of x from ``axis`` on.
    """

    name = "normalize_layer"
    operands = ("x", "scale?", "shift?")
    access: ClassVar[tuple[Access, ...]] = (Access.REDUCE, Access.BROADCAST, Access.BROADCAST)
    source = "Ba, Kiros, Hinton (2016), Layer Normalization"
    axis: int = -1

    def canonical(self, x: TensorType, *others: TensorType | None) -> Op:
        return self.model_copy(update={"axis": normal_axis(self.name, self.axis, x.rank)})

    def infer(self, shapes: Shapes, x: TensorType, *others: TensorType | None) -> TensorType:
        need_float(self.name, x)
        for what, given in zip(("scale", "shift"), others, strict=True):
            if given is None:
                continue
            need_same_dtype(self.name, x, given)
            if given.rank != x.rank - self.axis:
                raise OpError(f"{self.name}: the {what} has the axes of {x} from axis {self.axis} on, not {given}")
            for size, wanted in zip(given.shape, x.shape[self.axis :], strict=True):
                shapes.same(size, wanted, f"{self.name} of {x}: the {what} {given}")
        return x

    def formula(self, build: Builder, x: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
        away, spread = deviations(x, tuple(range(self.axis, x.rank)), self.eps)
        y = away / spread
        y = y if scale is None else y * scale
        return y if shift is None else y + shift

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        return in_float32(self._pulled, *operands, gradients[0])

    def _pulled(self, x: Tensor, scale: Tensor | None, shift: Tensor | None, g: Tensor) -> list[Tensor | None]:
        axes, first = tuple(range(self.axis, x.rank)), tuple(range(self.axis))
        away, spread = deviations(x, axes, self.eps)
        return [
            pulled(away, spread, g if scale is None else g * scale, axes),
            None if scale is None else fn.reduce_sum(g * (away / spread), first),
            None if shift is None else fn.reduce_sum(g, first),
        ]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(2, 3, 8) * 3 + 1, normal(8, salt=1), normal(8, salt=2))),
            Sample(cls(eps=1e-12), (normal(3, 7), normal(7, salt=1), None), "no shift"),
            Sample(cls(axis=1), (normal(2, 3, 5), None, None), "two axes, no parameters"),
            Sample(cls(axis=-2), (normal(2, 3, 5), normal(3, 5, salt=1), normal(3, 5, salt=2)), "two axes"),
            Sample(cls(), (normal(4, 6, dtype="float64"), None, normal(6, dtype="float64")), "only a shift"),
            Sample(cls(), (np.full((2, 5), 3, np.float32), normal(5), normal(5, salt=1)), "no variance"),
            Sample(cls(), _halves(normal(4, 64), normal(64, salt=1), normal(64, salt=2)), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[2, 8]", "float32[7]", None), "7 and 8 differ"),
            ErrorSample(cls, types("float32[2, 8]", "float32[2, 8]", None), "from axis 1 on"),
            ErrorSample(cls, types("float32[2, 8]", "float16[8]", None), "different dtypes"),
            ErrorSample(cls, types("int64[2, 8]", None, None), "takes float"),
            ErrorSample(lambda: cls(eps=-1), types("float32[2, 8]", None, None), "greater than or equal to 0"),
        ]


class NormalizeRms(_Normalize):
    """x / sqrt(mean(x^2) + eps) scale, the mean over the axes from ``axis``. ``scale`` has the shape of those axes."""

    name = "normalize_rms"
    operands = ("x", "scale?")
    access: ClassVar[tuple[Access, ...]] = (Access.REDUCE, Access.BROADCAST)
    source = "Zhang, Sennrich (2019), Root Mean Square Layer Normalization"
    axis: int = -1
    eps: Epsilon = 1e-6

    def canonical(self, x: TensorType, *others: TensorType | None) -> Op:
        return self.model_copy(update={"axis": normal_axis(self.name, self.axis, x.rank)})

    def infer(self, shapes: Shapes, x: TensorType, scale: TensorType | None) -> TensorType:
        return NormalizeLayer.infer(self, shapes, x, scale, None)  # type: ignore[arg-type]

    def formula(self, build: Builder, x: Tensor, scale: Tensor | None) -> Tensor:
        away, spread = deviations(x, tuple(range(self.axis, x.rank)), self.eps, centred=False)
        return away / spread if scale is None else away / spread * scale

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        return in_float32(self._pulled, *operands, gradients[0])

    def _pulled(self, x: Tensor, scale: Tensor | None, g: Tensor) -> list[Tensor | None]:
        axes = tuple(range(self.axis, x.rank))
        away, spread = deviations(x, axes, self.eps, centred=False)
        return [
            pulled(away, spread, g if scale is None else g * scale, axes, centred=False),
            None if scale is None else fn.reduce_sum(g * (away / spread), tuple(range(self.axis))),
        ]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(2, 3, 8) * 3, normal(8, salt=1))),
            Sample(cls(axis=1, eps=1e-5), (normal(2, 3, 5), None), "two axes, no scale"),
            Sample(cls(), (np.zeros((2, 5), np.float32), None), "zeros"),
            Sample(cls(), _halves(normal(4, 64), normal(64, salt=1)), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[2, 8]", "float32[7]"), "7 and 8 differ"),
            ErrorSample(cls, types("float32[]", None), "axis -1 of a tensor with 0 axes"),
        ]


class NormalizeGroup(_Normalize):
    """(x - mean) / sqrt(variance + eps) scale + shift, with the statistics of each example and group of channels.

    x is [N, C, ...]; ``groups`` divides C; ``scale`` and ``shift`` are [C]. As many groups as channels is instance
    normalisation.
    """

    name = "normalize_group"
    operands = ("x", "scale?", "shift?")
    access: ClassVar[tuple[Access, ...]] = (Access.REDUCE, Access.BROADCAST, Access.BROADCAST)
    source = "Wu, He (2018), Group Normalization; Ulyanov, Vedaldi, Lempitsky (2016), Instance Normalization"
    groups: Annotated[int, Field(ge=1)]

    def infer(self, shapes: Shapes, x: TensorType, scale: TensorType | None, shift: TensorType | None) -> TensorType:
        need_float(self.name, x)
        if x.rank < 2:
            raise OpError(f"{self.name}: takes [N, C, ...], not {x}")
        size = floordiv(x.shape[1], self.groups)
        if decide(size * self.groups, "!=", x.shape[1]):
            raise OpError(f"{self.name}: {self.groups} groups do not divide the {x.shape[1]} channels of {x}")
        shapes.same(size * self.groups, x.shape[1], f"{self.name}: {self.groups} groups of the channels of {x}")
        self.need_vector(shapes, "scale", scale, x, x.shape[1])
        self.need_vector(shapes, "shift", shift, x, x.shape[1])
        return x

    def formula(self, build: Builder, x: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
        away, spread = deviations(self._grouped(x), (2,), self.eps)
        y = (away / spread).reshape(*x.shape)
        y = y if scale is None else y * fn.along(scale, x.rank, 1)
        return y if shift is None else y + fn.along(shift, x.rank, 1)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        return in_float32(self._pulled, *operands, gradients[0])

    def _pulled(self, x: Tensor, scale: Tensor | None, shift: Tensor | None, g: Tensor) -> list[Tensor | None]:
        rest = (0, *range(2, x.rank))
        away, spread = deviations(self._grouped(x), (2,), self.eps)
        scaled = g if scale is None else g * fn.along(scale, x.rank, 1)
        return [
            pulled(away, spread, self._grouped(scaled), (2,)).reshape(*x.shape),
            None if scale is None else fn.reduce_sum(g * (away / spread).reshape(*x.shape), rest),
            None if shift is None else fn.reduce_sum(g, rest),
        ]

    def _grouped(self, x: Tensor) -> Tensor:
        """x as [N, groups, elements of each]."""
        return x.reshape(x.shape[0], self.groups, floordiv(x.shape[1], self.groups) * product(x.shape[2:]))

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(groups=2), (normal(2, 6, 3, 5) + 1, normal(6, salt=1), normal(6, salt=2))),
            Sample(cls(groups=6), (normal(2, 6, 4), None, None), "instance normalisation"),
            Sample(cls(groups=1, eps=1e-6), (normal(3, 4, 2, 2, 2), normal(4, salt=1), None), "all channels, 3-D"),
            Sample(cls(groups=4), (normal(3, 8), None, normal(8, salt=1)), "no space"),
            Sample(cls(groups=2), _halves(normal(2, 8, 4, 4), normal(8, salt=1), normal(8, salt=2)), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(groups=4), types("float32[2, 6, 3]", None, None), "do not divide the 6 channels"),
            ErrorSample(lambda: cls(groups=2), types("float32[2, 6, 3]", "float32[2]", None), "2 and 6 differ"),
            ErrorSample(lambda: cls(groups=2), types("float32[2, 6, 3]", None, "float32[6, 1]"), "one axis"),
            ErrorSample(lambda: cls(groups=2), types("float32[6]", None, None), r"takes \[N, C, ...\]"),
        ]


class NormalizeBatch(_Normalize):
    """(x - mean) / sqrt(variance + eps) scale + shift with given statistics: batch normalisation at inference.

    x is [N, C, ...]; all others are [C]. Computed as x a + b with a = scale / sqrt(variance + eps) and
    b = shift - mean a, which depend on parameters only.
    """

    name = "normalize_batch"
    operands = ("x", "scale?", "shift?", "mean", "variance")
    access: ClassVar[tuple[Access, ...]] = (Access.SAME, *(Access.BROADCAST,) * 4)
    source = "Ioffe, Szegedy (2015), Batch Normalization"

    def infer(self, shapes: Shapes, x: TensorType, *others: TensorType | None) -> TensorType:
        need_float(self.name, x)
        if x.rank < 2:
            raise OpError(f"{self.name}: takes [N, C, ...], not {x}")
        for what, given in zip(("scale", "shift", "mean", "variance"), others, strict=True):
            self.need_vector(shapes, what, given, x, x.shape[1])
        return x

    def formula(
        self, build: Builder, x: Tensor, scale: Tensor | None, shift: Tensor | None, mean: Tensor, variance: Tensor
    ) -> Tensor:
        spread = fn.sqrt(variance + self.eps)
        factor = 1 / spread if scale is None else scale / spread
        offset = -(mean * factor) if shift is None else shift - mean * factor
        return x * fn.along(factor, x.rank, 1) + fn.along(offset, x.rank, 1)

    @classmethod
    def samples(cls) -> list[Sample]:
        c = 5
        scale, shift, mean, variance = normal(c, salt=1), normal(c, salt=2), normal(c, salt=3), positive(c)
        return [
            Sample(cls(), (normal(2, c, 3, 4), scale, shift, mean, variance)),
            Sample(cls(eps=1e-3), (normal(4, c), None, None, mean, variance), "no space, no parameters"),
            Sample(cls(), (normal(2, c, 6), scale, None, mean, variance), "no shift"),
            Sample(cls(), (normal(2, c, 2, 2, 2), None, shift, mean, variance), "only a shift, 3-D"),
            Sample(cls(), _halves(normal(2, c, 3), scale, shift, mean, variance), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[2, 6, 3]", None, None, "float32[5]", "float32[6]"), "mean.*5 and 6"),
            ErrorSample(cls, types("float32[6]", None, None, "float32[6]", "float32[6]"), r"takes \[N, C, ...\]"),
            ErrorSample(cls, types("float32[2, 6]", None, None, "float32[6]", "float64[6]"), "different dtypes"),
        ]


class LocalResponseNorm(Precise):
    """x / (k + alpha/size sum(x^2))^beta, the sum over ``size`` neighbouring channels (axis 1).

    The neighbours are size // 2 channels before and (size - 1) // 2 behind; channels that are not there count 0.
    alpha is divided by the size, as in torch and Caffe (not as in the paper).
    """

    name = "local_response_norm"
    family: ClassVar[str] = "normalize"
    access: ClassVar[tuple[Access, ...]] = (Access.WINDOW,)
    source = "Krizhevsky, Sutskever, Hinton (2012), ImageNet Classification with Deep Convolutional Neural Networks"
    size: Annotated[int, Field(ge=1)]
    alpha: Annotated[float, Field(allow_inf_nan=False)] = 1e-4
    beta: Annotated[float, Field(allow_inf_nan=False)] = 0.75
    k: Annotated[float, Field(allow_inf_nan=False)] = 1.0

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        need_float(self.name, x)
        if x.rank < 2:
            raise OpError(f"{self.name}: takes [N, C, ...], not {x}")
        return x

    def formula(self, build: Builder, x: Tensor) -> Tensor:
        kernel, padding = [1] * x.rank, [(0, 0)] * x.rank
        kernel[1], padding[1] = self.size, (self.size // 2, (self.size - 1) // 2)
        around = fn.window_sum(x * x, kernel, (1,) * x.rank, padding)
        return x / (around * (self.alpha / self.size) + self.k) ** self.beta

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(size=5), (normal(2, 7, 3, 4) * 10,)),
            Sample(cls(size=4, alpha=0.5, beta=0.5, k=2), (normal(2, 6, 5),), "an even size"),
            Sample(cls(size=9, alpha=0.1), (normal(2, 3, 2),), "wider than the channels"),
            Sample(cls(size=3, alpha=0.1), (normal(2, 8, 3, 3, dtype="float16"),), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(size=3), types("float32[6]"), r"takes \[N, C, ...\]"),
            ErrorSample(lambda: cls(size=0), types("float32[2, 6]"), "greater than or equal to 1"),
        ]


def _halves(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(array.astype(np.float16) for array in arrays)


OPS: tuple[type[Op], ...] = (NormalizeLayer, NormalizeRms, NormalizeGroup, NormalizeBatch, LocalResponseNorm)
