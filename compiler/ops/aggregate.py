"""Means, variances, norms, tests of all elements, order: composites over the reductions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from ..ir.dims import decide, product
from ..ir.graph import Builder
from ..ir.op import Access, ErrorSample, Op, OpError, Sample, Shapes
from ..ir.types import DType, TensorType
from . import functional as fn
from .composite import Composite, Precise, in_float32, need_float
from .rules import need_kind, normal_axis
from .samples import bools, ints, normal, types
from .tensor import Tensor, full


class _OverAxes(Precise):
    """Base: ``axes`` None are all; ``keep`` leaves them with size 1."""

    family: ClassVar[str] = "reduce"
    access: ClassVar[tuple[Access, ...]] = (Access.REDUCE,)
    axes: tuple[int, ...] | int | None = None
    keep: bool = False

    def canonical(self, x: TensorType) -> Op:
        return self.model_copy(update={"axes": fn.all_axes(self.name, self.axes, x.rank)})

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        need_float(self.name, x)
        return x.with_shape(_without(x, self.found(), self.keep))

    def found(self) -> tuple[int, ...]:
        """The axes of a canonical op."""
        assert isinstance(self.axes, tuple), "the op is not canonical"
        return self.axes

    def beside(self, y: Tensor, x: Tensor) -> Tensor:
        """A result, or its gradient, with axes of size 1 where x has those that are gone."""
        return y.reshape(*_without(x.type, self.found(), True))

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(3, 5),)),
            Sample(cls(axes=(2, 3)), (normal(2, 3, 4, 5) + 1,), "spatial"),
            Sample(cls(axes=-1, keep=True), (normal(2, 7, dtype="float64"),), "float64"),
            Sample(cls(axes=0), (normal(33, 2, dtype="float16"),), "float16"),
            Sample(cls(axes=1), (normal(3, 65, dtype="bfloat16"),), "bfloat16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("int64[3]"), "cast it first"),
            ErrorSample(lambda: cls(axes=(0, 2)), types("float32[3, 4]"), "axis 2 of a tensor with 2 axes"),
            ErrorSample(lambda: cls(axes=(0, -2)), types("float32[3, 4]"), "twice"),
        ]


class ReduceMean(_OverAxes):
    """The arithmetic mean of floats over axes. Over no elements it is NaN."""

    name = "reduce_mean"

    def formula(self, build: Builder, x: Tensor) -> Tensor:
        return fn.mean(x, self.axes, self.keep)


class ReduceVariance(_OverAxes):
    """sum((x - mean)^2) / (n - correction) over axes: 0 is the population's variance, 1 (Bessel's) the sample's."""

    name = "reduce_variance"
    correction: Annotated[int, Field(ge=0)] = 0

    def formula(self, build: Builder, x: Tensor) -> Tensor:
        away = x - fn.mean(x, self.axes, keep=True)
        count = product(x.shape[axis] for axis in self.found())
        return fn.reduce_sum(away * away, self.axes, self.keep) / (count - self.correction)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        return [in_float32(self._pulled, operands[0], gradients[0])]

    def _pulled(self, x: Tensor, g: Tensor) -> Tensor:
        # What moves the mean moves the sum of the deviations, which is 0.
        count = product(x.shape[axis] for axis in self.found())
        return (x - fn.mean(x, self.axes, keep=True)) * (self.beside(g, x) * 2 / (count - self.correction))

    @classmethod
    def samples(cls) -> list[Sample]:
        shifted = normal(4, 6) + 1000
        return [
            *super().samples(),
            Sample(cls(axes=1, correction=1), (normal(4, 6),), "corrected"),
            Sample(cls(axes=0), (shifted.astype(np.float64),), "far from 0"),
        ]


class Norm(_OverAxes):
    """(sum |x|^order)^(1/order) over axes; order 2 is the Euclidean length, 1 the sum, inf the largest |x|.

    The slope is 0 where the norm is 0; that of the largest |x| goes in equal parts to those that are it.
    """

    name = "norm"
    order: Annotated[float, Field(gt=0)] = 2.0

    def formula(self, build: Builder, x: Tensor) -> Tensor:
        if self.order == 2:
            return fn.sqrt(fn.reduce_sum(x * x, self.axes, self.keep))
        size = fn.absolute(x)
        if self.order == 1:
            return fn.reduce_sum(size, self.axes, self.keep)
        if self.order == np.inf:
            return fn.reduce_max(size, self.axes, self.keep)
        return fn.reduce_sum(size**self.order, self.axes, self.keep) ** (1 / self.order)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        return [in_float32(self._pulled, operands[0], results[0], gradients[0])]

    def _pulled(self, x: Tensor, y: Tensor, g: Tensor) -> Tensor:
        g, y = self.beside(g, x), self.beside(y, x)
        if self.order == 1:
            return fn.sign(x) * g
        if self.order == np.inf:
            largest = fn.absolute(x) == y
            share = g / fn.reduce_sum(largest.cast(x.dtype), self.axes, keep=True)
            return fn.where(largest, fn.sign(x) * share, 0)
        some = fn.where(y == 0, 1, y)
        if self.order == 2:
            return x * fn.where(y == 0, 0, g / some)
        # |x| / |y|, at most 1, to the power, not each by itself, which may leave the range of the dtype.
        share = fn.absolute(x) / some
        slope = fn.where(share == 0, 0, fn.where(share == 0, 1, share) ** (self.order - 1))
        return fn.sign(x) * slope * g

    @classmethod
    def samples(cls) -> list[Sample]:
        orders = [Sample(cls(axes=1, order=order), (normal(3, 5),)) for order in (1, 3, np.inf)]
        return [*super().samples(), *orders]


class _Test(Composite):
    """Base: bools over axes."""

    family: ClassVar[str] = "reduce"
    access: ClassVar[tuple[Access, ...]] = (Access.REDUCE,)
    gradient = "zero"
    axes: tuple[int, ...] | int | None = None
    keep: bool = False

    def canonical(self, x: TensorType) -> Op:
        return self.model_copy(update={"axes": fn.all_axes(self.name, self.axes, x.rank)})

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        need_kind(self.name, x, "bool")
        assert isinstance(self.axes, tuple), "the op is not canonical"
        return x.with_shape(_without(x, self.axes, self.keep))

    @classmethod
    def samples(cls) -> list[Sample]:
        rows = np.array([[True, True, True], [True, False, True], [False, False, False]])
        return [
            Sample(cls(), (bools(3, 4),), exact=True),
            Sample(cls(axes=1), (rows,), exact=True),
            Sample(cls(axes=(0, 2), keep=True), (bools(2, 5, 2),), exact=True),
            Sample(cls(), (np.array(True),), "a scalar", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[3]"), "takes bool"),
            ErrorSample(lambda: cls(axes=1), types("bool[3]"), "axis 1 of a tensor with 1 axes"),
        ]


class AllTrue(_Test):
    """Whether every element over the axes is true; of none: true."""

    name = "all"

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        return fn.reduce_sum((~x).cast(DType.INT32), self.axes, self.keep) == 0


class AnyTrue(_Test):
    """Whether some element over the axes is true; of none: false."""

    name = "any"

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        return fn.reduce_sum(x.cast(DType.INT32), self.axes, self.keep) > 0


class _Ordering(Composite):
    """Base: looks at the order of the elements of one axis."""

    family: ClassVar[str] = "reduce"
    access: ClassVar[tuple[Access, ...]] = (Access.REDUCE,)
    axis: int = -1

    def canonical(self, x: TensorType) -> Op:
        return self.model_copy(update={"axis": normal_axis(self.name, self.axis, x.rank)})

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(axis=2), types("float32[3, 4]"), "axis 2 of a tensor with 2 axes"),
            ErrorSample(cls, types("bool[3]"), "takes int or float"),
        ]


class ArgMin(_Ordering):
    """Where along an axis the smallest element is, as int64: the first of several, a NaN before all."""

    name = "arg_min"
    gradient = "zero"
    keep: bool = False

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        need_kind(self.name, x, "int", "float")
        if decide(x.shape[self.axis], "==", 0):
            raise OpError(f"arg_min: {x} has no elements along axis {self.axis}")
        return TensorType(DType.INT64, _without(x, (self.axis,), self.keep))

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        # ~x = -x - 1 turns the order of integers around without overflow.
        return fn.arg_max(-x if x.dtype.is_float else ~x, self.axis, self.keep)

    @classmethod
    def samples(cls) -> list[Sample]:
        ties = np.array([[3, 1, 1, 2], [0, 0, 0, 0]])
        special = np.array([[1, np.nan, -np.inf], [np.inf, 2, -0.0]], np.float32)
        least = np.array([5, -(2**63), 2**63 - 1])
        return [
            Sample(cls(), (normal(4, 6),), exact=True),
            Sample(cls(axis=0, keep=True), (normal(4, 6),), exact=True),
            Sample(cls(), (ties,), "ties", exact=True),
            Sample(cls(), (special,), "NaN, infinite", exact=True),
            Sample(cls(), (least,), "the least integer", exact=True),
            Sample(cls(), (np.array([7, 0, 255], np.uint8),), "unsigned", exact=True),
        ]


class Sort(_Ordering):
    """The elements of an axis in rising order (or falling), and the int64 places they come from; stable.

    NaN counts as the largest.
    """

    name = "sort"
    results = ("values", "indices")
    descending: bool = False

    def infer(self, shapes: Shapes, x: TensorType) -> tuple[TensorType, ...]:
        need_kind(self.name, x, "int", "float")
        return x, x.with_dtype(DType.INT64)

    def decompose(self, build: Builder, x: Tensor) -> Sequence[Tensor]:
        size = x.shape[self.axis]
        if self.descending:
            return fn.top_k(x, size, self.axis)
        # Of the reversed axis top_k takes the later of two equals first; reversed again, the earlier stands first.
        values, places = fn.top_k(fn.reverse(x, (self.axis,)), size, self.axis)
        return fn.reverse(values, (self.axis,)), size - 1 - fn.reverse(places, (self.axis,))

    @classmethod
    def samples(cls) -> list[Sample]:
        special = np.array([[2, np.nan, 1, -np.inf, np.inf, 1]], np.float32)
        return [
            Sample(cls(), (normal(4, 6),), exact=True),
            Sample(cls(axis=0, descending=True), (normal(5, 3),), exact=True),
            Sample(cls(), (ints(3, 9, high=4),), "ties", exact=True),
            Sample(cls(descending=True), (ints(3, 9, high=4),), "ties, falling", exact=True),
            Sample(cls(), (special,), "NaN, infinite", exact=True),
            Sample(cls(), (normal(1),), "one element", exact=True),
        ]


class CumulativeProduct(Precise):
    """The products of the elements up to each place of an axis.

    Known sizes take log2(n) multiplications of shifted copies (Hillis, Steele), others a loop.
    """

    name = "cumulative_product"
    family: ClassVar[str] = "reduce"
    source = "Hillis, Steele (1986), Data Parallel Algorithms"
    axis: int = 0

    def canonical(self, x: TensorType) -> Op:
        return self.model_copy(update={"axis": normal_axis(self.name, self.axis, x.rank)})

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        need_kind(self.name, x, "int", "float")
        return x

    def formula(self, build: Builder, x: Tensor) -> Tensor:
        size = x.shape[self.axis]
        if not isinstance(size, int):
            return self._loop(build, x)
        shift = 1
        while shift < size:
            ones = full(build, (*x.shape[: self.axis], shift, *x.shape[self.axis + 1 :]), 1, x.dtype)
            x = x * fn.concat([ones, fn.slice_axis(x, self.axis, 0, size - shift)], self.axis)
            shift *= 2
        return x

    def _loop(self, build: Builder, x: Tensor) -> Tensor:
        rows = fn.move_axis(x, self.axis, 0)
        first = full(build, rows.shape[1:], 1, x.dtype)

        def body(
            constants: list[Tensor], carries: list[Tensor], rows: list[Tensor]
        ) -> tuple[list[Tensor], list[Tensor]]:
            total = carries[0] * rows[0]
            return [total], [total]

        _, (products,) = fn.scan(build, body, [], [first], [rows], rows.shape[0])
        return fn.move_axis(products, 0, self.axis)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (1 - np.linspace(0.03, 0.1, 100, dtype=np.float32) ** 2,), "noise schedule"),
            Sample(cls(axis=-1), (normal(3, 7),)),
            Sample(cls(axis=1), (ints(2, 5, 2, low=1, high=4),), exact=True),
            Sample(cls(), (normal(1, 3),), "one element"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(lambda: cls(axis=1), types("float32[3]"), "axis 1 of a tensor with 1 axes")]


def _without(x: TensorType, axes: tuple[int, ...], keep: bool) -> tuple:
    return tuple(1 if axis in axes else size for axis, size in enumerate(x.shape) if keep or axis not in axes)


OPS: tuple[type[Op], ...] = (
    ReduceMean, ReduceVariance, Norm, AllTrue, AnyTrue, ArgMin, Sort, CumulativeProduct,
)  # fmt: skip
