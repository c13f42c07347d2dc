"""Primitives that bring an axis to one number, to running numbers, or into order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..ir.dims import decide
from ..ir.op import Access, Cost, ErrorSample, Op, OpError, Precision, Sample, Shapes, Size
from ..ir.types import DType, TensorType
from .rules import need_at_most, need_kind, normal_axes, normal_axis, widened
from .samples import ints, normal, positive, types


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

    def canonical(self, x: TensorType) -> Reduction:
        axes = range(x.rank) if self.axes is None else (self.axes,) if isinstance(self.axes, int) else self.axes
        return self.model_copy(update={"axes": tuple(sorted(normal_axes(self.name, axes, x.rank)))})

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        need_kind(self.name, x, "int", "float")
        axes = _axes(self)
        if not self.empty and any(decide(x.shape[axis], "==", 0) for axis in axes):
            raise OpError(f"{self.name}: {x} has no elements along the axes {list(axes)}")
        return x.with_shape(_without(x.shape, axes, self.keep))

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
    precision_class = Precision.KEEP
    compute = _sum


class ReduceProd(Reduction):
    """The product over the axes."""

    name = "reduce_prod"
    precision_class = Precision.KEEP
    compute = _prod


class ReduceMax(Reduction):
    """The largest element over the axes."""

    name = "reduce_max"
    empty = False
    compute = np.max


class ReduceMin(Reduction):
    """The smallest element over the axes."""

    name = "reduce_min"
    empty = False
    compute = np.min


class ArgMax(_Ordered):
    """Where along the axis the largest element stands, as int64."""

    name = "arg_max"
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


class CumulativeSum(_Ordered):
    """The sum of an element and all before it along the axis.

    ``exclusive`` leaves the element itself out; ``reverse`` sums from the end.
    """

    name = "cumulative_sum"
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


class TopK(_Ordered):
    """The k largest elements along the axis, the largest first, and where they stand (int64)."""

    name = "top_k"
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


OPS: tuple[type[Op], ...] = (ReduceSum, ReduceMax, ReduceMin, ReduceProd, ArgMax, CumulativeSum, TopK)
