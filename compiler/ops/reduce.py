"""Primitives that bring an axis to one number, to running numbers, or into order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..ir.dims import decide
from ..ir.op import Access, Cost, ErrorSample, Op, OpError, Precision, Sample, Shapes, Size
from ..ir.types import DType, TensorType
from .elementwise_binary import choose
from .index import ScatterElements
from .rules import need_at_most, need_kind, normal_axes, normal_axis, widened
from .samples import ints, normal, types


class _Ordered(Op):
    """Base: works along axes of one operand, an operation per element of it."""

    family: ClassVar[str] = "reduce"
    access: ClassVar[tuple[Access, ...]] = (Access.REDUCE,)

    def cost(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Cost:
        return Cost(inputs[0].elements)


class Reduction(_Ordered):
    """Base: ``axes`` None are all; ``keep`` leaves them with size 1."""

    axes: tuple[int, ...] | int | None = None
    keep: bool = False
    compute: ClassVar[Callable[..., Any]]
    """The NumPy function. It gets 16-bit floats as float32."""
    empty: ClassVar[bool] = True
    """Whether no elements at all have a result."""

    @classmethod
    def samples(cls) -> list[Sample]:
        x = normal(2, 3, 4)
        specials = np.array([[1, np.nan, 2], [np.inf, 1, 2], [-np.inf, 0, 1]], np.float32)
        return [
            Sample(cls(), (x,), "all axes"),
            Sample(cls(axes=-1), (x,), "the last axis"),
            Sample(cls(axes=(0, 2), keep=True), (x,), "keeps axes of size 1"),
            Sample(cls(axes=()), (x,), "no axis"),
            Sample(cls(axes=0), (ints(3, 4, low=-5, high=6),), "integers", exact=True),
            Sample(cls(axes=1), (specials,), "infinities, NaN"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(axes=2), types("float32[3, 4]"), "axis 2 of a tensor with 2 axes"),
            ErrorSample(lambda: cls(axes=(0, -2)), types("float32[3, 4]"), "an axis stands twice"),
            ErrorSample(cls, types("bool[3]"), "takes int or float"),
        ]

    def canonical(self, x: TensorType) -> Reduction:
        axes = range(x.rank) if self.axes is None else (self.axes,) if isinstance(self.axes, int) else self.axes
        return self.model_copy(update={"axes": tuple(sorted(normal_axes(self.name, axes, x.rank)))})

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        need_kind(self.name, x, "int", "float")
        axes = _axes(self)
        if not self.empty and any(decide(x.shape[axis], "==", 0) for axis in axes):
            raise OpError(f"{self.name}: {x} has no elements along the axes {list(axes)}")
        return x.with_shape(_without(x.shape, axes, self.keep))

    def spread(self, y: Any, x: Any) -> Any:
        """A result, or its gradient, in the shape of the operand: each number beside those that it came from."""
        return y.reshape(*_without(x.shape, _axes(self), True)).broadcast_to(x.shape)

    def meaning(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            result = type(self).compute(widened(x), axis=_axes(self), keepdims=self.keep)
        return np.asarray(result).astype(x.dtype)


def _axes(op: Reduction) -> tuple[int, ...]:
    assert isinstance(op.axes, tuple), "the op is not canonical"
    return op.axes


def _without(shape: tuple[Any, ...], axes: Sequence[int], keep: bool) -> tuple[Any, ...]:
    return tuple(1 if axis in axes else size for axis, size in enumerate(shape) if keep or axis not in axes)


def _sum(x: np.ndarray, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
    return np.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype)


def _prod(x: np.ndarray, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
    return np.prod(x, axis=axis, keepdims=keepdims, dtype=x.dtype)


class ReduceSum(Reduction):
    """The sum over the axes."""

    name = "reduce_sum"
    numerics = "integers wrap; 16-bit floats are summed in float32; nothing sums to 0; the order of floats is open"
    source = "numpy.sum"
    precision_class = Precision.KEEP
    compute = _sum

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x,), (g,) = operands, gradients
        return [self.spread(g, x)]

    @classmethod
    def samples(cls) -> list[Sample]:
        empty = Sample(cls(axes=0), (normal(0, 3),), "of nothing", exact=True)
        return [*super().samples(), empty]


class ReduceProd(Reduction):
    """The product over the axes."""

    name = "reduce_prod"
    numerics = "integers wrap; 16-bit floats are multiplied in float32; nothing gives 1"
    source = "numpy.prod"
    precision_class = Precision.KEEP
    compute = _prod

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        # The product of the other elements is that of all by this one, unless there are zeros: one leaves a product to
        # itself only, two leave none.
        (x,), (y,), (g,) = operands, results, gradients
        zero = x == 0
        ones = choose(zero, x.like(1), x)
        others = self.spread(ones.then(self), x)
        zeros = self.spread(zero.cast(x.dtype).then(ReduceSum(axes=self.axes, keep=self.keep)), x)
        alone = choose(zero & (zeros == 1), others, x.like(0))
        return [self.spread(g, x) * choose(zeros == 0, self.spread(y, x) / ones, alone)]

    @classmethod
    def samples(cls) -> list[Sample]:
        empty = Sample(cls(axes=0), (normal(0, 3),), "of nothing", exact=True)
        return [*super().samples(), empty]


def _shared(op: Reduction, x: Any, y: Any, g: Any) -> Any:
    """The gradient of an extreme element, in equal parts to those that are it."""
    chosen = (x == op.spread(y, x)).cast(x.dtype)
    count = chosen.then(ReduceSum(axes=op.axes, keep=op.keep))
    return chosen * op.spread(g / count, x)


class ReduceMax(Reduction):
    """The largest element over the axes."""

    name = "reduce_max"
    numerics = "NaN if one is NaN; no elements are refused"
    source = "numpy.max"
    empty = False
    compute = np.max

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        empty = ErrorSample(lambda: cls(axes=0), types("float32[0, 3]"), "has no elements along the axes [0]")
        return [*super().error_samples(), empty]

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x,), (y,), (g,) = operands, results, gradients
        return [_shared(self, x, y, g)]


class ReduceMin(Reduction):
    """The smallest element over the axes."""

    name = "reduce_min"
    numerics = "NaN if one is NaN; no elements are refused"
    source = "numpy.min"
    empty = False
    compute = np.min

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        empty = ErrorSample(lambda: cls(axes=0), types("float32[0, 3]"), "has no elements along the axes [0]")
        return [*super().error_samples(), empty]

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x,), (y,), (g,) = operands, results, gradients
        return [_shared(self, x, y, g)]


class ArgMax(_Ordered):
    """Where along the axis the largest element stands, as int64."""

    name = "arg_max"
    numerics = "the lowest of equal places; NaN counts as the largest"
    source = "numpy.argmax"
    gradient = "zero"
    axis: int = -1
    keep: bool = False

    def canonical(self, x: TensorType) -> ArgMax:
        return self.model_copy(update={"axis": normal_axis("arg_max", self.axis, x.rank)})

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        need_kind(self.name, x, "int", "float")
        if decide(x.shape[self.axis], "==", 0):
            raise OpError(f"arg_max: {x} has no elements along axis {self.axis}")
        return TensorType(DType.INT64, _without(x.shape, (self.axis,), self.keep))

    def meaning(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.argmax(widened(x), axis=self.axis, keepdims=self.keep)).astype(np.int64)

    @classmethod
    def samples(cls) -> list[Sample]:
        ties = np.array([[1, 3, 3, 0], [2, 2, 2, 2], [1, np.nan, 5, np.nan], [-np.inf] * 4], np.float32)
        return [
            Sample(cls(), (normal(3, 4),), exact=True),
            Sample(cls(axis=0, keep=True), (normal(3, 4),), "keeps the axis", exact=True),
            Sample(cls(axis=1), (ints(3, 9, high=4),), "integers", exact=True),
            Sample(cls(), (ties,), "ties and NaN", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[3, 0]"), "has no elements along axis 1"),
            ErrorSample(cls, types("float32[]"), "axis -1 of a tensor with 0 axes"),
            ErrorSample(cls, types("bool[3]"), "takes int or float"),
        ]


class CumulativeSum(_Ordered):
    """The sum of an element and all before it along the axis.

    ``exclusive`` leaves the element itself out; ``reverse`` sums from the end.
    """

    name = "cumulative_sum"
    numerics = "integers wrap; 16-bit floats are summed in float32"
    source = "ONNX CumSum"
    precision_class = Precision.KEEP
    axis: int = -1
    exclusive: bool = False
    reverse: bool = False

    def canonical(self, x: TensorType) -> CumulativeSum:
        return self.model_copy(update={"axis": normal_axis("cumulative_sum", self.axis, x.rank)})

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        need_kind(self.name, x, "int", "float")
        return x

    def meaning(self, x: np.ndarray) -> np.ndarray:
        rows = np.moveaxis(widened(x), self.axis, 0)
        rows = rows[::-1] if self.reverse else rows
        if self.exclusive:
            rows = np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])
        sums = np.cumsum(rows, axis=0, dtype=rows.dtype)
        sums = sums[::-1] if self.reverse else sums
        return np.moveaxis(sums, 0, self.axis).astype(x.dtype)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (g,) = gradients
        return [g.then(self.model_copy(update={"reverse": not self.reverse}))]

    @classmethod
    def samples(cls) -> list[Sample]:
        every = [(exclusive, reverse) for exclusive in (False, True) for reverse in (False, True)]
        return [
            *(Sample(cls(axis=1, exclusive=a, reverse=b), (normal(3, 4, 2),)) for a, b in every),
            Sample(cls(), (ints(3, 4),), "integers", exact=True),
            Sample(cls(exclusive=True), (normal(3, 1),), "one element", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(axis=1), types("float32[3]"), "axis 1 of a tensor with 1 axes"),
            ErrorSample(cls, types("bool[3]"), "takes int or float"),
        ]


class TopK(_Ordered):
    """The k largest elements along the axis, the largest first, and where they stand (int64)."""

    name = "top_k"
    numerics = "falling order, the lowest of equal places first; NaN counts as the largest"
    source = "ONNX TopK; jax.lax.top_k"
    results = ("values", "indices")
    k: Size
    axis: int = -1

    def canonical(self, x: TensorType) -> TopK:
        return self.model_copy(update={"axis": normal_axis("top_k", self.axis, x.rank)})

    def infer(self, shapes: Shapes, x: TensorType) -> tuple[TensorType, TensorType]:
        need_kind(self.name, x, "int", "float")
        need_at_most(shapes, self.k, x.shape[self.axis], f"top_k of {x} along axis {self.axis}")
        values = x.with_shape((*x.shape[: self.axis], self.k, *x.shape[self.axis + 1 :]))
        return values, values.with_dtype(DType.INT64)

    def meaning(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # Sorting the reversed axis upward and reading it backward is a stable downward sort, NaN first.
        backward = np.flip(widened(x), self.axis)
        order = np.flip(np.argsort(backward, axis=self.axis, kind="stable"), self.axis)
        indices = x.shape[self.axis] - 1 - np.take(order, range(int(self.k)), axis=self.axis)
        return np.take_along_axis(x, indices, self.axis), indices.astype(np.int64)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x,), (_, indices), (g, _) = operands, results, gradients
        return [x.like(0).then(ScatterElements(axis=self.axis, mode="add"), indices, g)]

    @classmethod
    def samples(cls) -> list[Sample]:
        ties = np.array([[1, 3, 3, 0], [2, 2, 2, 2], [-np.inf, 1, np.inf, 1]], np.float32)
        return [
            Sample(cls(k=3), (normal(2, 5),), exact=True),
            Sample(cls(k=2, axis=0), (normal(4, 3),), "another axis", exact=True),
            Sample(cls(k=3), (ties,), "ties", exact=True),
            Sample(cls(k=2), (np.array([1, np.nan, 2], np.float32),), "NaN first", exact=True),
            Sample(cls(k=4), (ints(3, 4, low=-3, high=3),), "all of the integers, sorted", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(k=6), types("float32[2, 5]"), "6 is more than 5"),
            ErrorSample(lambda: cls(k=1, axis=2), types("float32[2, 5]"), "axis 2 of a tensor with 2 axes"),
            ErrorSample(lambda: cls(k=1), types("bool[5]"), "takes int or float"),
        ]


OPS: tuple[type[Op], ...] = (ReduceSum, ReduceMax, ReduceMin, ReduceProd, ArgMax, CumulativeSum, TopK)
