"""Larger pictures from smaller ones: upsampling by whole factors, pixel shuffle."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ..ir.dims import AnyDim, decide, floordiv
from ..ir.graph import Builder
from ..ir.op import Access, ErrorSample, Op, OpError, Sample, Shapes
from ..ir.types import TensorType
from . import functional as fn
from .composite import Composite, in_float32, need_float
from .geometry import Count, per_axis
from .samples import ints, normal, types
from .tensor import Tensor


class Upsample2d(Composite):
    """[N, C, H, W] to [N, C, H scale, W scale], by whole factors: one for both axes, or [rows, columns].

    ``nearest`` repeats each element. ``bilinear`` interpolates between the two nearest along each axis: element i of
    the result lies at (i + 1/2) / scale - 1/2 of the operand, held at its edges; with ``align_corners`` at
    i (size - 1) / (size scale - 1), so that first and last elements coincide.
    """

    name = "upsample2d"
    family: ClassVar[str] = "resample"
    access: ClassVar[tuple[Access, ...]] = (Access.WINDOW,)
    source = "torch.nn.functional.interpolate"
    scale: Annotated[Count | tuple[Count, Count], Field(description="factor for both axes, or [rows, columns]")]
    mode: Literal["nearest", "bilinear"] = "nearest"
    align_corners: bool = False

    def canonical(self, x: TensorType) -> Op:
        if x.rank != 4:
            raise OpError(f"upsample2d: takes [N, C, H, W], not {x}")
        if self.align_corners and self.mode == "nearest":
            raise OpError("upsample2d: align_corners goes with mode bilinear")
        return self.model_copy(update={"scale": per_axis("upsample2d", "scale", self.scale, 2)})

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        if self.mode == "bilinear":
            need_float("upsample2d", x)
        rows, columns = self._factors()
        return x.with_shape((*x.shape[:2], x.shape[2] * rows, x.shape[3] * columns))

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        return self._repeated(x) if self.mode == "nearest" else in_float32(self._between, x)

    def _factors(self) -> tuple[int, int]:
        assert isinstance(self.scale, tuple), "the op is not canonical"
        return self.scale

    def _repeated(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        rows, columns = self._factors()
        wide = x.reshape(n, c, h, 1, w, 1).broadcast_to((n, c, h, rows, w, columns))
        return wide.reshape(n, c, h * rows, w * columns)

    def _between(self, x: Tensor) -> Tensor:
        for axis, factor in zip((2, 3), self._factors(), strict=True):
            if factor > 1:
                x = _from_corner_to_corner(x, axis, factor) if self.align_corners else _between_centres(x, axis, factor)
        return x

    @classmethod
    def samples(cls) -> list[Sample]:
        x = normal(2, 3, 4, 5)
        return [
            Sample(cls(scale=2), (x,), exact=True),
            Sample(cls(scale=(3, 1)), (ints(1, 2, 3, 2),), "rows only, integers", exact=True),
            Sample(cls(scale=2, mode="bilinear"), (x,), "bilinear"),
            Sample(cls(scale=(3, 4), mode="bilinear"), (x,), "bilinear, odd and even"),
            Sample(cls(scale=2, mode="bilinear", align_corners=True), (x,), "corners"),
            Sample(cls(scale=(1, 5), mode="bilinear", align_corners=True), (normal(1, 1, 2, 3),), "corners, columns"),
            Sample(cls(scale=3, mode="bilinear"), (normal(1, 2, 1, 1),), "one pixel"),
            Sample(cls(scale=3, mode="bilinear", align_corners=True), (normal(1, 2, 1, 2),), "one row, corners"),
            Sample(cls(scale=2, mode="bilinear"), (normal(1, 2, 3, 3, dtype="float16"),), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(scale=2), types("float32[3, 4, 4]"), r"takes \[N, C, H, W\]"),
            ErrorSample(lambda: cls(scale=2, mode="bilinear"), types("int64[1, 3, 4, 4]"), "takes float"),
            ErrorSample(lambda: cls(scale=2, align_corners=True), types("float32[1, 3, 4, 4]"), "mode bilinear"),
            ErrorSample(lambda: cls(scale=0), types("float32[1, 3, 4, 4]"), "greater than or equal to 1"),
        ]


def _between_centres(x: Tensor, axis: int, factor: int) -> Tensor:
    """Interpolates along an axis. Each element makes ``factor`` new ones, from itself and one neighbour."""
    size = x.shape[axis]
    before = fn.concat([fn.slice_axis(x, axis, 0, 1), fn.slice_axis(x, axis, 0, size - 1)], axis)
    behind = fn.concat([fn.slice_axis(x, axis, 1, size), fn.slice_axis(x, axis, size - 1, size)], axis)
    phases = []
    for k in range(factor):
        offset = (k + 0.5) / factor - 0.5
        neighbour = before if offset < 0 else behind
        phases.append(x * (1 - abs(offset)) + neighbour * abs(offset) if offset else x)
    stacked = fn.concat([fn.expand_axes(phase, (axis + 1,)) for phase in phases], axis + 1)
    return stacked.reshape(*x.shape[:axis], size * factor, *x.shape[axis + 1 :])


def _from_corner_to_corner(x: Tensor, axis: int, factor: int) -> Tensor:
    """Interpolates along an axis at i (size - 1) / (size factor - 1); whole parts in integers, so they are exact."""
    build, size = x.build, x.shape[axis]
    steps = _at_least_one(x, size * factor - 1)
    place = fn.iota(build, size * factor) * fn.dimension(build, size - 1)
    low = fn.quotient(place, steps)
    high = fn.minimum(low + 1, fn.dimension(build, size - 1))
    share = (place - low * steps).cast(x.dtype) / steps.cast(x.dtype)
    share = fn.along(share, x.rank, axis)
    return fn.gather(x, low, axis) * (1 - share) + fn.gather(x, high, axis) * share


def _at_least_one(x: Tensor, size: AnyDim) -> Tensor:
    return fn.maximum(fn.dimension(x.build, size), 1)


class PixelShuffle(Composite):
    """[N, C factor^2, H, W] to [N, C, H factor, W factor]: factor^2 channels become a square of pixels."""

    name = "pixel_shuffle"
    family: ClassVar[str] = "resample"
    source = "Shi et al. (2016), Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel CNN"
    factor: Count

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        if x.rank != 4:
            raise OpError(f"pixel_shuffle: takes [N, C, H, W], not {x}")
        r = self.factor
        channels = floordiv(x.shape[1], r * r)
        if decide(channels * (r * r), "!=", x.shape[1]):
            raise OpError(f"pixel_shuffle: the channels of {x} are no multiple of {r * r}")
        return x.with_shape((x.shape[0], channels, x.shape[2] * r, x.shape[3] * r))

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        shape, r = self.infer(build.shapes, x.type).shape, self.factor
        squares = x.reshape(shape[0], shape[1], r, r, x.shape[2], x.shape[3])
        return fn.transpose(squares, (0, 1, 4, 2, 5, 3)).reshape(*shape)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(factor=2), (normal(2, 8, 3, 4),), exact=True),
            Sample(cls(factor=3), (ints(1, 9, 2, 1),), exact=True),
            Sample(cls(factor=1), (normal(1, 2, 3, 3),), "as it is", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(factor=2), types("float32[1, 6, 3, 3]"), "no multiple of 4"),
            ErrorSample(lambda: cls(factor=2), types("float32[4, 3, 3]"), r"takes \[N, C, H, W\]"),
        ]


OPS: tuple[type[Op], ...] = (Upsample2d, PixelShuffle)
