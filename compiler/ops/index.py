"""Primitives that read and write at places found at run time.

Indices count from 0 and are never negative; what an index outside does is undefined, so inputs that index carry a
checked range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..ir.op import Access, Cost, ErrorSample, OneOf, Op, OpError, Sample, Shapes, Sizes
from ..ir.types import DType, TensorType
from .rules import need_at_most, need_index, need_length, need_same_dtype, normal_axis, widened
from .samples import ints, normal, types

Mode = OneOf["set", "add"]


class _Indexed(Op):
    """Base: places along one axis."""

    family: ClassVar[str] = "index"
    axis: int = 0

    def canonical(self, x: TensorType, *others: TensorType) -> Op:
        return self.model_copy(update={"axis": normal_axis(self.name, self.axis, x.rank)})

    def cost(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Cost:
        adds = getattr(self, "mode", "set") == "add"
        return Cost(inputs[2].elements if adds else 0)

    def _around(self, x: TensorType, between: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*x.shape[: self.axis], *between, *x.shape[self.axis + 1 :])


class Gather(_Indexed):
    """Slices of x along an axis: ``result[a, i, b] = x[a, indices[i], b]``; the axes of the indices replace the axis."""

    name = "gather"
    operands = ("x", "indices")
    access = (Access.OPAQUE, Access.OPAQUE)

    def infer(self, shapes: Shapes, x: TensorType, indices: TensorType) -> TensorType:
        need_index("gather", indices)
        return x.with_shape(self._around(x, indices.shape))

    def meaning(self, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
        return np.take(x, indices, axis=self.axis)


class GatherElements(_Indexed):
    """An element of x for each index: ``result[a, i, b] = x[a, indices[a, i, b], b]``."""

    name = "gather_elements"
    operands = ("x", "indices")
    access = (Access.OPAQUE, Access.SAME)

    def infer(self, shapes: Shapes, x: TensorType, indices: TensorType) -> TensorType:
        need_index("gather_elements", indices)
        _need_aligned("gather_elements", shapes, x, indices, self.axis)
        return x.with_shape(indices.shape)

    def meaning(self, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
        return np.take_along_axis(x, indices, self.axis)


def _need_aligned(what: str, shapes: Shapes, x: TensorType, indices: TensorType, axis: int) -> None:
    """Raises `OpError` unless the indices have the shape of x but along the axis."""
    if indices.rank != x.rank:
        raise OpError(f"{what}: {x} and the indices {indices} have different numbers of axes")
    for k in range(x.rank):
        if k != axis:
            shapes.same(x.shape[k], indices.shape[k], f"{what}: {x} and the indices {indices}, axis {k}")


def _need_shape(what: str, shapes: Shapes, given: TensorType, wanted: TensorType) -> None:
    """Raises `OpError` unless a value has the wanted type."""
    text = f"{what}: {given} where {wanted} is needed"
    if given.dtype is not wanted.dtype or given.rank != wanted.rank:
        raise OpError(text)
    for left, right in zip(given.shape, wanted.shape, strict=True):
        shapes.same(left, right, text)


class Scatter(_Indexed):
    """x with slices along an axis replaced by (``set``), or added to (``add``) the updates.

    The inverse of `gather`: ``x[a, indices[i], b] = updates[a, i, b]``.
    """

    name = "scatter"
    operands = ("x", "indices", "updates")
    access = (Access.OPAQUE, Access.OPAQUE, Access.OPAQUE)
    mode: Mode = "set"

    def infer(self, shapes: Shapes, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        need_index("scatter", indices)
        _need_shape("scatter: the updates", shapes, updates, x.with_shape(self._around(x, indices.shape)))
        return x

    def meaning(self, x: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
        return _written(self.mode, x, (*(slice(None),) * self.axis, indices), updates)


class ScatterElements(_Indexed):
    """x with an element replaced by (``set``), or added to (``add``) each update.

    The inverse of `gather_elements`: ``x[a, indices[a, i, b], b] = updates[a, i, b]``.
    """

    name = "scatter_elements"
    operands = ("x", "indices", "updates")
    access = (Access.OPAQUE, Access.OPAQUE, Access.OPAQUE)
    mode: Mode = "set"

    def infer(self, shapes: Shapes, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        need_index("scatter_elements", indices)
        _need_aligned("scatter_elements", shapes, x, indices, self.axis)
        _need_shape("scatter_elements: the updates", shapes, updates, x.with_shape(indices.shape))
        return x

    def meaning(self, x: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
        places = list(np.indices(indices.shape, sparse=True))
        places[self.axis] = indices
        return _written(self.mode, x, tuple(places), updates)


def _written(mode: str, x: np.ndarray, places: tuple[Any, ...], updates: np.ndarray) -> np.ndarray:
    result = widened(x).copy()
    if mode == "add":
        np.add.at(result, places, widened(updates))
    else:
        result[places] = widened(updates)
    return result.astype(x.dtype)


class _Dynamic(Op):
    """Base: a rectangle whose corner is found at run time; it is moved so that it lies inside x."""

    family: ClassVar[str] = "index"

    def cost(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Cost:
        return Cost(0)

    def _check_starts(self, x: TensorType, starts: Sequence[TensorType]) -> None:
        need_length(self.name, "starts", starts, x.rank, f"axes in {x}")
        for start in starts:
            if start != TensorType(DType.INT64, ()):
                raise OpError(f"{self.name}: a start is int64[], not {start}")


def _rectangle(x: np.ndarray, starts: Sequence[np.ndarray], sizes: Sequence[int]) -> tuple[slice, ...]:
    corner = [min(max(int(start), 0), n - size) for start, n, size in zip(starts, x.shape, sizes, strict=True)]
    return tuple(slice(start, start + size) for start, size in zip(corner, sizes, strict=True))


class DynamicSlice(_Dynamic):
    """The part of x of the given sizes that begins at ``starts`` (one int64 scalar for each axis)."""

    name = "dynamic_slice"
    operands = ("x", "starts*")
    access = (Access.OPAQUE, Access.OPAQUE)
    sizes: Sizes

    def infer(self, shapes: Shapes, x: TensorType, starts: Sequence[TensorType]) -> TensorType:
        self._check_starts(x, starts)
        need_length("dynamic_slice", "sizes", self.sizes, x.rank, f"axes in {x}")
        for axis, size in enumerate(self.sizes):
            need_at_most(shapes, size, x.shape[axis], f"dynamic_slice of {x}, axis {axis}")
        return x.with_shape(self.sizes)

    def meaning(self, x: np.ndarray, starts: Sequence[np.ndarray]) -> np.ndarray:
        return x[_rectangle(x, starts, [int(size) for size in self.sizes])]


class DynamicUpdateSlice(_Dynamic):
    """x with the part that begins at ``starts`` (one int64 scalar for each axis) replaced by the update."""

    name = "dynamic_update_slice"
    operands = ("x", "update", "starts*")
    access = (Access.OPAQUE, Access.OPAQUE, Access.OPAQUE)

    def infer(self, shapes: Shapes, x: TensorType, update: TensorType, starts: Sequence[TensorType]) -> TensorType:
        self._check_starts(x, starts)
        need_same_dtype("dynamic_update_slice", x, update)
        if update.rank != x.rank:
            raise OpError(f"dynamic_update_slice: {x} and the update {update} have different numbers of axes")
        for axis, size in enumerate(update.shape):
            need_at_most(shapes, size, x.shape[axis], f"dynamic_update_slice of {x} by {update}, axis {axis}")
        return x

    def meaning(self, x: np.ndarray, update: np.ndarray, starts: Sequence[np.ndarray]) -> np.ndarray:
        result = x.copy()
        result[_rectangle(x, starts, update.shape)] = update
        return result


OPS: tuple[type[Op], ...] = (Gather, GatherElements, Scatter, ScatterElements, DynamicSlice, DynamicUpdateSlice)
