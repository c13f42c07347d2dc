"""Tensors from numbers: filled, evenly spaced, one-hot."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from ..ir.dims import decide
from ..ir.graph import Builder
from ..ir.op import Access, ErrorSample, Op, OpError, Sample, Shapes, Size, Sizes
from ..ir.types import DType, TensorType
from . import functional as fn
from .composite import Composite
from .rules import need_kind
from .samples import ints, types
from .tensor import Tensor, constant, full

_LARGEST_TABLE = 65536


class Full(Composite):
    """A tensor of one shape, filled with one number."""

    name = "full"
    family: ClassVar[str] = "source"
    operands = ()
    access = ()
    gradient = "zero"
    shape: Sizes
    fill: bool | int | float
    dtype: DType = DType.FLOAT32

    def infer(self, shapes: Shapes) -> TensorType:
        if self.dtype.kind != "float" and isinstance(self.fill, float) and not self.fill.is_integer():
            raise OpError(f"full: {self.fill} does not fit into {self.dtype.value}")
        return TensorType(self.dtype, self.shape)

    def decompose(self, build: Builder) -> Tensor:
        return full(build, self.shape, self.fill, self.dtype)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(shape=(2, 3), fill=1.5), (), exact=True),
            Sample(cls(shape=(4,), fill=7, dtype=DType.INT64), (), exact=True),
            Sample(cls(shape=(), fill=True, dtype=DType.BOOL), (), "a scalar", exact=True),
            Sample(cls(shape=(2, 0), fill=-np.inf), (), "no elements", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(shape=(2,), fill=0.5, dtype=DType.INT64), (), "0.5 does not fit into int64"),
            ErrorSample(lambda: cls(shape=(-2,), fill=0), (), "negative"),
        ]


class Linspace(Composite):
    """``length`` numbers from start to stop, both included, evenly spaced; one number is start."""

    name = "linspace"
    family: ClassVar[str] = "source"
    operands = ()
    access = ()
    gradient = "zero"
    start: Annotated[float, Field(allow_inf_nan=False)]
    stop: Annotated[float, Field(allow_inf_nan=False)]
    length: Size
    dtype: DType = DType.FLOAT32

    def infer(self, shapes: Shapes) -> TensorType:
        if not self.dtype.is_float:
            raise OpError(f"linspace: gives floats, not {self.dtype.value}; count with iota")
        if decide(self.length, "<", 1):
            raise OpError(f"linspace: the length is 1 at least, not {self.length}")
        return TensorType(self.dtype, (self.length,))

    def decompose(self, build: Builder) -> Tensor:
        if isinstance(self.length, int) and self.length <= _LARGEST_TABLE:
            # Worked out in float64: the steps of a table are as exact as its dtype allows.
            return constant(build, np.linspace(self.start, self.stop, self.length), self.dtype)
        place = fn.iota(build, self.length, DType.FLOAT32)
        last = fn.maximum(fn.dimension(build, self.length - 1).cast(DType.FLOAT32), 1)
        return (place * ((self.stop - self.start) / last) + self.start).cast(self.dtype)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(start=0, stop=1, length=11), ()),
            Sample(cls(start=0.0292, stop=0.1095, length=1000, dtype=DType.FLOAT64), (), "noise schedule"),
            Sample(cls(start=3, stop=-2, length=4), (), "falling"),
            Sample(cls(start=2, stop=5, length=1), (), "one number"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(start=0, stop=1, length=0), (), "1 at least"),
            ErrorSample(lambda: cls(start=0, stop=1, length=3, dtype=DType.INT64), (), "count with iota"),
        ]


class OneHot(Composite):
    """1 at the place of each label along a new last axis of ``classes``, else 0; a label outside gives zeros only."""

    name = "one_hot"
    family: ClassVar[str] = "index"
    access = (Access.BROADCAST,)
    gradient = "zero"
    classes: Size
    dtype: DType = DType.FLOAT32

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        need_kind("one_hot", x, "int")
        return TensorType(self.dtype, (*x.shape, self.classes))

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        return (x[..., None] == fn.iota(build, self.classes, x.dtype)).cast(self.dtype)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(classes=10), (ints(5),), exact=True),
            Sample(cls(classes=4, dtype=DType.INT64), (ints(2, 3, high=4, dtype="int32"),), exact=True),
            Sample(cls(classes=3, dtype=DType.BOOL), (np.array([-1, 0, 2, 3]),), "outside", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(lambda: cls(classes=3), types("float32[2]"), "takes int")]


OPS: tuple[type[Op], ...] = (Full, Linspace, OneHot)
