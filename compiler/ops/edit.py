"""Composites that cut, move, bound or overwrite parts of a tensor: clip, crop, roll, pad, triangles, update_slice."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
from pydantic import model_validator

from ..ir.dims import decide, floordiv
from ..ir.graph import Builder
from ..ir.op import Access, ErrorSample, Op, OpError, Sample, Shapes, Sizes
from ..ir.types import DType, TensorType
from . import functional as fn
from .composite import Composite, Sloped
from .manipulate import AlongAxis, Move
from .rules import need_at_least, need_at_most, need_length, need_same_dtype
from .samples import bools, ints, normal, types
from .tensor import Tensor


class Clip(Sloped):
    """min(max(x, low), high), without a bound that is left out. NaN stays NaN. The slope is 1 at a bound."""

    name = "clip"
    kinds: ClassVar[tuple[str, ...]] = ("int", "float")
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self

    def infer(self, shapes: Shapes, *types: TensorType) -> TensorType:
        for bound in (self.low, self.high):
            if bound is not None and not types[0].dtype.is_float and not bound.is_integer():
                raise OpError(f"clip: the bound {bound} stands beside {types[0]}; cast it to a float first")
        return super().infer(shapes, *types)

    def formula(self, *operands: Tensor) -> Tensor:
        return fn.clip(operands[0], self.low, self.high)

    def pulled(self, x: Tensor, y: Tensor, g: Tensor) -> Tensor:
        # At a bound x counts as within, as in torch.
        if self.low is not None:
            g = fn.where(x < self.low, 0, g)
        return g if self.high is None else fn.where(x > self.high, 0, g)

    @classmethod
    def samples(cls) -> list[Sample]:
        edges = np.array([-np.inf, -1, 0, 0.5, 1, np.inf, np.nan], np.float32)
        return [
            Sample(cls(low=0, high=1), (normal(3, 5),), exact=True),
            Sample(cls(low=-0.5), (normal(3, 5),), exact=True),
            Sample(cls(high=0.25), (edges,), "infinite, NaN", exact=True),
            Sample(cls(low=2, high=5), (ints(4, 4),), "integers", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(low=1, high=0), types("float32[3]"), "low 1.0 is above high 0.0"),
            ErrorSample(lambda: cls(low=0.5), types("int64[3]"), "0.5 stands beside int64"),
            ErrorSample(cls, types("bool[3]"), "takes int or float"),
        ]


class CenterCrop2d(Move):
    """The middle of the last two axes of x, as large as those of ``like``; an odd margin is larger behind."""

    name = "center_crop2d"
    operands = ("x", "like")
    source = "Ronneberger, Fischer, Brox (2015), U-Net: Convolutional Networks for Biomedical Image Segmentation"

    def infer(self, shapes: Shapes, x: TensorType, like: TensorType) -> TensorType:
        if x.rank < 2 or like.rank < 2:
            raise OpError(f"center_crop2d: {x} and {like} must both have two axes at least")
        for axis in (-2, -1):
            what = f"center_crop2d of {x} to the size of {like}"
            need_at_most(shapes, like.shape[axis], x.shape[axis], what)
        return x.with_shape((*x.shape[:-2], *like.shape[-2:]))

    def decompose(self, build: Builder, x: Tensor, like: Tensor) -> Tensor:
        for axis in (-2, -1):
            start = floordiv(x.shape[axis] - like.shape[axis], 2)
            x = fn.slice_axis(x, axis, start, start + like.shape[axis])
        return x

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(2, 3, 8, 9), normal(2, 5, 4, 4)), exact=True),
            Sample(cls(), (normal(2, 3, 4, 4), normal(1, 1, 4, 4)), "as it is", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(cls, types("float32[1, 1, 4, 4]", "float32[1, 1, 4, 5]"), "5 is more than 4")]


class Roll(AlongAxis):
    """The elements of an axis moved by ``shift`` places toward its end; what leaves comes in again at the start."""

    name = "roll"
    shift: int

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        size = x.shape[self.axis]
        if not isinstance(size, int):
            need_at_least(shapes, size, abs(self.shift), f"roll of axis {self.axis} of {x} by {self.shift}")
        return x

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        size = x.shape[self.axis]
        shift = self.shift % max(size, 1) if isinstance(size, int) else self.shift
        cut = size - shift if shift >= 0 else -shift
        parts = [fn.slice_axis(x, self.axis, cut, size), fn.slice_axis(x, self.axis, 0, cut)]
        return x if shift == 0 else fn.concat(parts, self.axis)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(shift=2), (normal(5, 3),), exact=True),
            Sample(cls(shift=-1, axis=-1), (ints(2, 4),), exact=True),
            Sample(cls(shift=7, axis=1), (ints(2, 4),), "more than once around", exact=True),
            Sample(cls(shift=0), (normal(3),), "as it is", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(lambda: cls(shift=1, axis=1), types("float32[3]"), "axis 1")]


class PadConstant(Move):
    """x with ``low[k]`` elements of value ``fill`` before and ``high[k]`` behind axis k."""

    name = "pad_constant"
    low: Sizes
    high: Sizes
    fill: float = 0.0

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        for field, given in (("low", self.low), ("high", self.high)):
            need_length("pad_constant", field, given, x.rank, f"axes in {x}")
            if any(decide(size, "<", 0) for size in given):
                raise OpError(f"pad_constant: {field} has a negative entry in {list(map(str, given))}; take a slice")
        if not x.dtype.is_float and not self.fill.is_integer():
            raise OpError(f"pad_constant: {self.fill} does not fit into {x}")
        return x.with_shape(tuple(a + b + c for a, b, c in zip(self.low, x.shape, self.high, strict=True)))

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        return fn.pad(x, self.low, self.high, self.fill)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(low=(1, 0), high=(0, 2)), (normal(2, 3),), exact=True),
            Sample(cls(low=(0, 0, 2), high=(0, 0, 1), fill=-np.inf), (normal(2, 1, 3),), "minus infinity", exact=True),
            Sample(cls(low=(1,), high=(1,), fill=7), (ints(3),), "integers", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(low=(1,), high=(1,)), types("float32[2, 3]"), "1 entries"),
            ErrorSample(lambda: cls(low=(-1,), high=(1,)), types("float32[3]"), "take a slice"),
            ErrorSample(lambda: cls(low=(1,), high=(1,), fill=0.5), types("int64[3]"), "does not fit"),
        ]


class _Triangle(Composite):
    """Base: keeps a triangle of the last two axes, the rest is 0."""

    family: ClassVar[str] = "shape"
    access: ClassVar[tuple[Access, ...]] = (Access.SAME,)
    diagonal: int = 0

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        if x.rank < 2:
            raise OpError(f"{self.name}: takes rows and columns, not {x}")
        return x

    def kept(self, row: Tensor, column: Tensor) -> Tensor:
        """Where x is kept."""
        raise NotImplementedError(f"{type(self).__name__} declares no triangle")

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        row, column = fn.iota(build, x.shape[-2]), fn.iota(build, x.shape[-1])
        return fn.where(self.kept(row[:, None] + self.diagonal, column[None]), x, False if x.dtype is DType.BOOL else 0)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(4, 4),), exact=True),
            Sample(cls(diagonal=1), (normal(2, 3, 5),), exact=True),
            Sample(cls(diagonal=-2), (ints(5, 3),), exact=True),
            Sample(cls(), (bools(3, 3) | True,), "a mask", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(cls, types("float32[3]"), "rows and columns")]


class LowerTriangle(_Triangle):
    """x where column <= row + diagonal of the last two axes, else 0."""

    name = "lower_triangle"

    def kept(self, row: Tensor, column: Tensor) -> Tensor:
        return column <= row


class UpperTriangle(_Triangle):
    """x where column >= row + diagonal of the last two axes, else 0."""

    name = "upper_triangle"

    def kept(self, row: Tensor, column: Tensor) -> Tensor:
        return column >= row


class UpdateSlice(AlongAxis):
    """x with the elements from ``start`` on replaced along an axis by the update.

    ``start`` is an int64 scalar found at run time; one that leaves too little room is moved down until the update fits.
    """

    name = "update_slice"
    operands = ("x", "update", "start")

    def infer(self, shapes: Shapes, x: TensorType, update: TensorType, start: TensorType) -> TensorType:
        if start != TensorType(DType.INT64, ()):
            raise OpError(f"update_slice: the start is int64[], not {start}")
        need_same_dtype("update_slice", x, update)
        what = f"update_slice of {x} by {update} along axis {self.axis}"
        if update.rank != x.rank:
            raise OpError(f"{what}: they have different numbers of axes")
        for axis, (size, part) in enumerate(zip(x.shape, update.shape, strict=True)):
            if axis == self.axis:
                need_at_most(shapes, part, size, what)
            else:
                shapes.same(size, part, what)
        return x

    def decompose(self, build: Builder, x: Tensor, update: Tensor, start: Tensor) -> Tensor:
        return fn.dynamic_update_slice(x, update, [start if axis == self.axis else 0 for axis in range(x.rank)])

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(axis=1), (normal(2, 6, 3), normal(2, 2, 3, salt=1), np.array(3)), exact=True),
            Sample(cls(), (ints(5), ints(5, low=10, high=20), np.array(0)), "all of it", exact=True),
            Sample(cls(axis=-1), (normal(2, 5), normal(2, 3, salt=1), np.array(4)), "moved down", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(axis=1), types("float32[2, 6]", "float32[3, 2]", "int64[]"), "2 and 3 differ"),
            ErrorSample(cls, types("float32[6]", "float32[7]", "int64[]"), "7 is more than 6"),
            ErrorSample(cls, types("float32[6]", "float32[2]", "int64[1]"), "the start is"),
            ErrorSample(cls, types("float32[6]", "float16[2]", "int64[]"), "different dtypes"),
        ]


OPS: tuple[type[Op], ...] = (Clip, CenterCrop2d, Roll, PadConstant, LowerTriangle, UpperTriangle, UpdateSlice)
