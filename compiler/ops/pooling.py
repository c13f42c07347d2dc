"""Pooling over one to three spatial axes of [N, C, ...], equal to torch's."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from ..ir.dims import exact_quotient
from ..ir.graph import Builder
from ..ir.op import Access, ErrorSample, Op, OpError, Sample, Shapes
from ..ir.types import TensorType
from . import functional as fn
from .composite import Composite, Precise, in_float32, need_float
from .geometry import Count, Padding, PerAxis, WindowAxis, explicit_padding, extent, per_axis, same_padding, window_axis
from .rules import need_at_least, need_kind
from .samples import ints, normal, types
from .tensor import Tensor, full

FORMS = {1: "[N, C, L]", 2: "[N, C, H, W]", 3: "[N, C, D, H, W]"}


class _Pool(Composite):
    """Base: windows over the spatial axes, each channel by itself.

    ``stride`` is the kernel by default. An axis has ``(size + low + high - dilation (kernel - 1) - 1) // stride + 1``
    windows. With ``ceil`` the division rounds up, and a window that would start in the padding behind is dropped.
    """

    family: ClassVar[str] = "pool"
    access: ClassVar[tuple[Access, ...]] = (Access.WINDOW,)
    spatial: ClassVar[int]
    kernel: PerAxis
    stride: PerAxis | None = None
    padding: Padding = 0
    ceil: bool = False

    def dilations(self) -> tuple[int, ...]:
        """Distance between the elements of a window, per axis."""
        return (1,) * self.spatial

    def canonical(self, x: TensorType) -> Op:
        if x.rank != self.spatial + 2:
            raise OpError(f"{self.name}: takes {FORMS[self.spatial]}, not {x}")
        kernel = per_axis(self.name, "kernel", self.kernel, self.spatial)
        stride = kernel if self.stride is None else per_axis(self.name, "stride", self.stride, self.spatial)
        pads = explicit_padding(self.name, self.padding, self.spatial)
        if pads is None:
            pads = same_padding(self.name, x.shape[2:], kernel, stride, self.dilations())
        for pair, k, d in zip(pads, kernel, self.dilations(), strict=True):
            if max(pair) >= extent(k, d):
                raise OpError(f"{self.name}: with padding {max(pair)} a window of {k} may lie outside of x altogether")
        return self.model_copy(update={"kernel": kernel, "stride": stride, "padding": pads})

    def axes(self, x: TensorType) -> list[WindowAxis]:
        """The windows along each spatial axis, of a canonical op."""
        assert isinstance(self.kernel, tuple) and isinstance(self.stride, tuple) and isinstance(self.padding, tuple)
        each = zip(x.shape[2:], self.kernel, self.dilations(), self.stride, self.padding, strict=True)
        what = f"{self.name} of {x}"
        return [window_axis(what, size, extent(k, d), s, pads, self.ceil) for size, k, d, s, pads in each]  # type: ignore[arg-type]

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        need_kind(self.name, x, "int", "float")
        axes = self.axes(x)
        for size, axis, k, d in zip(x.shape[2:], axes, self.kernel, self.dilations(), strict=True):  # type: ignore[arg-type]
            padded = size + axis.low + axis.high + axis.extra
            need_at_least(shapes, padded, extent(k, d), f"{self.name} of {x}: the padded axis, for the window")
        return x.with_shape((*x.shape[:2], *(axis.size for axis in axes)))

    def fields_for_window(self, x: Tensor) -> dict[str, tuple]:
        """The attributes of a window primitive over all axes of x."""
        pads = [(axis.low, axis.high + axis.extra) for axis in self.axes(x.type)]
        assert isinstance(self.kernel, tuple) and isinstance(self.stride, tuple), "the op is not canonical"
        return {
            "kernel": (1, 1, *self.kernel),
            "stride": (1, 1, *self.stride),
            "padding": ((0, 0), (0, 0), *pads),
        }

    def without_dropped(self, y: Tensor, x: Tensor) -> Tensor:
        """The windows without those that start in the padding behind."""
        for k, axis in enumerate(self.axes(x.type)):
            if y.shape[2 + k] != axis.size:
                y = fn.slice_axis(y, 2 + k, 0, axis.size)
        return y

    @classmethod
    def _image(cls, size: int, **options: object) -> np.ndarray:
        return normal(2, 3, *(size + k for k in range(cls.spatial)), **options)  # type: ignore[arg-type]

    @classmethod
    def samples(cls) -> list[Sample]:
        lows_and_highs = (0,) * cls.spatial + (1,) * cls.spatial
        return [
            Sample(cls(kernel=2), (cls._image(6),)),
            Sample(cls(kernel=3, stride=2, padding=1), (cls._image(7),), "overlap, padding"),
            Sample(cls(kernel=3, stride=2, ceil=True), (cls._image(6),), "ceil"),
            Sample(cls(kernel=2, stride=3, padding=1, ceil=True), (cls._image(6),), "ceil, a window dropped"),
            Sample(cls(kernel=2, stride=2, ceil=True, padding=1), (cls._image(5),), "ceil, padding"),
            Sample(cls(kernel=3, stride=1, padding="same"), (cls._image(4),), "same"),
            Sample(cls(kernel=2, stride=1, padding=lows_and_highs), (cls._image(4),), "lows, then highs"),
            Sample(cls(kernel=(2,) * cls.spatial, stride=(3,) * cls.spatial), (cls._image(8),), "gaps"),
            Sample(cls(kernel=3, stride=2, padding=1), (cls._image(7, dtype="float16"),), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        sizes = ", ".join(["4"] * cls.spatial)
        x = types(f"float32[2, 3, {sizes}]")
        return [
            ErrorSample(lambda: cls(kernel=5), x, "spans 5, more than the 4 elements"),
            ErrorSample(lambda: cls(kernel=2), types("float32[2, 3]"), r"takes \[N, C"),
            ErrorSample(lambda: cls(kernel=2), types(f"bool[2, 3, {sizes}]"), "takes"),
            ErrorSample(lambda: cls(kernel=2, padding=2), x, "outside of x altogether"),
            ErrorSample(lambda: cls(kernel=(2,) * 4), x, "kernel has 4 numbers"),
            ErrorSample(lambda: cls(kernel=0), x, "greater than or equal to 1"),
            ErrorSample(lambda: cls(kernel=2, padding=(1,) * 5), x, "padding has 5 numbers"),
        ]


_MAX = """The largest element of each window over {}; what lies in the padding counts as less than anything.

``stride`` is the kernel by default; an axis has ``(size + low + high - dilation (kernel - 1) - 1) // stride + 1``
windows. With ``ceil`` the division rounds up, and a window that would start in the padding behind is dropped.
NaN wins.
"""
_AVG = """The mean of the elements of x in each window over {}; with ``count_include_pad`` padding counts as 0.

``stride`` is the kernel by default; an axis has ``(size + low + high - kernel) // stride + 1`` windows. With ``ceil``
the division rounds up, and a window that would start in the padding behind is dropped; what rounding up adds behind the
padding never counts. 16-bit floats are summed in float32.
"""


class _MaxPool(_Pool):
    """Base of max pooling."""

    source = "torch.nn.functional.max_pool1d, max_pool2d, max_pool3d"
    dilation: PerAxis = 1

    def dilations(self) -> tuple[int, ...]:
        return per_axis(self.name, "dilation", self.dilation, self.spatial)

    def canonical(self, x: TensorType) -> Op:
        return super().canonical(x).model_copy(update={"dilation": self.dilations()})

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        y = fn.window_max(x, **self.fields_for_window(x), dilation=(1, 1, *self.dilations()))
        return self.without_dropped(y, x)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            *super().samples(),
            Sample(cls(kernel=2, dilation=2, stride=1), (cls._image(6),), "dilation"),
            Sample(cls(kernel=2, dilation=3, stride=2, padding=1, ceil=True), (cls._image(7),), "dilation, ceil"),
            Sample(cls(kernel=3, stride=2, padding=1), (-np.abs(cls._image(6)) - 1,), "below 0 beside padding"),
            Sample(cls(kernel=2), (ints(1, 2, *(4,) * cls.spatial, low=-9),), "integers", exact=True),
        ]


class MaxPool1d(_MaxPool):
    __doc__ = _MAX.format(FORMS[1])
    name = "max_pool1d"
    spatial = 1


class MaxPool2d(_MaxPool):
    __doc__ = _MAX.format(FORMS[2])
    name = "max_pool2d"
    spatial = 2


class MaxPool3d(_MaxPool):
    __doc__ = _MAX.format(FORMS[3])
    name = "max_pool3d"
    spatial = 3


class _AvgPool(_Pool):
    """Base of average pooling."""

    source = "torch.nn.functional.avg_pool1d, avg_pool2d, avg_pool3d (where count_include_pad is on by default)"
    precision_class = Precise.precision_class
    count_include_pad: bool = False

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        need_float(self.name, x)
        return super().infer(shapes, x)

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        return in_float32(self._mean, x)

    def _mean(self, x: Tensor) -> Tensor:
        fields = self.fields_for_window(x)
        total = self.without_dropped(fn.window_sum(x, **fields), x)
        axes = self.axes(x.type)
        for k, axis in enumerate(axes):
            partial = axis.extra or ((axis.low or axis.high) and not self.count_include_pad)
            if partial:
                total = total / fn.along(self._counts(x, k, axis), x.rank, 2 + k)
            else:
                total = total / fields["kernel"][2 + k]
        return total

    def _counts(self, x: Tensor, k: int, axis: WindowAxis) -> Tensor:
        """How many elements count in each window along one axis."""
        assert isinstance(self.kernel, tuple) and isinstance(self.stride, tuple), "the op is not canonical"
        inside = axis.low + axis.high if self.count_include_pad else 0
        ones = full(x.build, (x.shape[2 + k] + inside,), 1, x.dtype)
        outside = (0, axis.extra) if self.count_include_pad else (axis.low, axis.high + axis.extra)
        counts = fn.window_sum(ones, (self.kernel[k],), (self.stride[k],), (outside,))
        return counts if counts.shape == (axis.size,) else fn.slice_axis(counts, 0, 0, axis.size)

    @classmethod
    def samples(cls) -> list[Sample]:
        def counted(note: str, **fields: object) -> Sample:
            return Sample(cls(count_include_pad=True, **fields), (cls._image(6),), note)  # type: ignore[arg-type]

        return [
            *super().samples(),
            counted("padding counts", kernel=3, stride=2, padding=1),
            counted("padding counts, ceil", kernel=3, stride=2, padding=1, ceil=True),
            counted("padding counts, a window dropped", kernel=2, stride=3, padding=1, ceil=True),
        ]


class AvgPool1d(_AvgPool):
    __doc__ = _AVG.format(FORMS[1])
    name = "avg_pool1d"
    spatial = 1


class AvgPool2d(_AvgPool):
    __doc__ = _AVG.format(FORMS[2])
    name = "avg_pool2d"
    spatial = 2


class AvgPool3d(_AvgPool):
    __doc__ = _AVG.format(FORMS[3])
    name = "avg_pool3d"
    spatial = 3


class AdaptiveAvgPool2d(Precise):
    """The mean of ``size`` x ``size`` (or [rows, columns]) regions of [N, C, H, W], whatever H and W are.

    Region i of n covers the elements from floor(i H / n) to ceil((i + 1) H / n) - 1. H and W must be known, unless the
    size is 1.
    """

    name = "adaptive_avg_pool2d"
    family: ClassVar[str] = "pool"
    access: ClassVar[tuple[Access, ...]] = (Access.WINDOW,)
    source = "torch.nn.functional.adaptive_avg_pool2d"
    size: Annotated[Count | tuple[Count, Count], Field(description="regions along both axes, or [rows, columns]")]

    def canonical(self, x: TensorType) -> Op:
        if x.rank != 4:
            raise OpError(f"{self.name}: takes [N, C, H, W], not {x}")
        size = per_axis(self.name, "size", self.size, 2)
        for wanted, given in zip(size, x.shape[2:], strict=True):
            if wanted != 1 and not isinstance(given, int):
                raise OpError(f"{self.name}: the sizes of {x} must be known for regions {list(size)}")
        return self.model_copy(update={"size": size})

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        need_float(self.name, x)
        assert isinstance(self.size, tuple), "the op is not canonical"
        return x.with_shape((*x.shape[:2], *self.size))

    def formula(self, build: Builder, x: Tensor) -> Tensor:
        assert isinstance(self.size, tuple), "the op is not canonical"
        whole = tuple(2 + k for k, wanted in enumerate(self.size) if wanted == 1)
        x = fn.mean(x, whole, keep=True) if whole else x
        windows = [exact_quotient(size, wanted) for size, wanted in zip(x.shape[2:], self.size, strict=True)]
        if all(isinstance(window, int) for window in windows):
            kernel = (1, 1, *(int(window) for window in windows))  # type: ignore[arg-type]
            if kernel == (1, 1, 1, 1):
                return x
            return fn.window_sum(x, kernel, kernel, ((0, 0),) * 4) / int(np.prod(kernel))
        for k, wanted in enumerate(self.size):
            shares = fn.array(build, _shares(int(x.shape[2 + k]), wanted), x.dtype)  # type: ignore[arg-type]
            x = fn.move_axis(fn.dot(x, shares, ((2 + k,), (1,))), 3, 2 + k)
        return x

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(size=1), (normal(2, 3, 5, 7),)),
            Sample(cls(size=(2, 3)), (normal(2, 3, 8, 6),), "divides"),
            Sample(cls(size=7), (normal(1, 2, 7, 7),), "as it is"),
            Sample(cls(size=(3, 4)), (normal(2, 3, 8, 6),), "overlaps"),
            Sample(cls(size=(7, 1)), (normal(1, 2, 5, 9),), "more regions than rows"),
            Sample(cls(size=2), (normal(2, 3, 5, 5, dtype="float16"),), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(size=2), types("float32[2, 3, H, 8]"), "must be known"),
            ErrorSample(lambda: cls(size=2), types("float32[3, 8, 8]"), r"takes \[N, C, H, W\]"),
            ErrorSample(lambda: cls(size=0), types("float32[2, 3, 8, 8]"), "greater than or equal to 1"),
        ]


def _shares(size: int, regions: int) -> np.ndarray:
    """[regions, size]: what each element adds to the mean of each region."""
    shares = np.zeros((regions, size))
    for k in range(regions):
        start, stop = k * size // regions, -(-(k + 1) * size // regions)
        shares[k, start:stop] = 1 / (stop - start)
    return shares


OPS: tuple[type[Op], ...] = (
    MaxPool1d, MaxPool2d, MaxPool3d, AvgPool1d, AvgPool2d, AvgPool3d, AdaptiveAvgPool2d,
)  # fmt: skip
