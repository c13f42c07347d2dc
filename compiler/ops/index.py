"""Primitives that read and write at places found at run time.

Indices count from 0 and are never negative; what an index outside does is undefined, so inputs that index carry a
checked range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from typing import Literal as OneOf

import numpy as np

from ..ir.op import Access, Cost, ErrorSample, Op, OpError, Sample, Shapes, Sizes, Traffic
from ..ir.types import DType, TensorType
from .rules import need_at_most, need_index, need_kind, need_length, need_same_dtype, normal_axis, widened
from .samples import bools, ints, normal, types

Mode = OneOf["set", "add"]
_WRITES = (
    "an index outside, or below 0, is undefined; of several updates set at one place any one may stay; "
    "16-bit floats are added in float32"
)


class _Indexed(Op):
    """Base: places along one axis."""

    family: ClassVar[str] = "index"
    numerics: ClassVar[str] = "an index outside, or below 0, is undefined"
    axis: int = 0

    def canonical(self, x: TensorType, *others: TensorType) -> Op:
        return self.model_copy(update={"axis": normal_axis(self.name, self.axis, x.rank)})

    def cost(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Cost:
        adds = getattr(self, "mode", "set") == "add"
        return Cost(inputs[2].elements if adds else 0)

    def traffic(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Traffic:
        """Of x only the places that the indices name."""
        _, indices, *updates = inputs
        if not updates:
            return Traffic((outputs[0].nbytes, indices.nbytes), outputs[0].nbytes)
        moved = updates[0].nbytes
        adds = getattr(self, "mode", "set") == "add"
        return Traffic((moved if adds else 0, indices.nbytes, moved), moved)

    def _around(self, x: TensorType, between: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*x.shape[: self.axis], *between, *x.shape[self.axis + 1 :])


class Gather(_Indexed):
    """Slices of x along an axis: ``result[a, i, b] = x[a, indices[i], b]``. The axes of the indices replace it."""

    name = "gather"
    source = "numpy.take"
    operands = ("x", "indices")
    access = (Access.OPAQUE, Access.OPAQUE)

    def infer(self, shapes: Shapes, x: TensorType, indices: TensorType) -> TensorType:
        need_index("gather", indices)
        return x.with_shape(self._around(x, indices.shape))

    def meaning(self, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
        return np.take(x, indices, axis=self.axis)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x, indices), (g,) = operands, gradients
        return [x.like(0).then(Scatter(axis=self.axis, mode="add"), indices, g), None]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(5, 3), np.array([4, 0, 0])), "rows", exact=True),
            Sample(cls(axis=1), (normal(2, 5, 3), ints(2, 2, high=5)), "a table of indices", exact=True),
            Sample(cls(axis=-1), (ints(3, 4), np.array(2)), "one place", exact=True),
            Sample(cls(), (normal(5), ints(0)), "nothing", exact=True),
            Sample(cls(), (bools(5), ints(3, high=5, dtype="int32")), "int32 indices", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[5]", "float32[2]"), "indices are int32 or int64"),
            ErrorSample(lambda: cls(axis=1), types("float32[5]", "int64[2]"), "axis 1 of a tensor with 1 axes"),
            ErrorSample(cls, types("float32[]", "int64[2]"), "axis 0 of a tensor with 0 axes"),
        ]


class GatherElements(_Indexed):
    """An element of x for each index: ``result[a, i, b] = x[a, indices[a, i, b], b]``."""

    name = "gather_elements"
    source = "numpy.take_along_axis"
    operands = ("x", "indices")
    access = (Access.OPAQUE, Access.SAME)

    def infer(self, shapes: Shapes, x: TensorType, indices: TensorType) -> TensorType:
        need_index("gather_elements", indices)
        _need_aligned("gather_elements", shapes, x, indices, self.axis)
        return x.with_shape(indices.shape)

    def meaning(self, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
        return np.take_along_axis(x, indices, self.axis)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x, indices), (g,) = operands, gradients
        return [x.like(0).then(ScatterElements(axis=self.axis, mode="add"), indices, g), None]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(axis=1), (normal(3, 4), ints(3, 2, high=4)), exact=True),
            Sample(cls(axis=0), (ints(3, 4), ints(5, 4, high=3)), "more than there are", exact=True),
            Sample(cls(axis=-2), (normal(2, 3, 4), ints(2, 1, 4, high=3)), "a middle axis", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[5, 3]", "int64[2, 4]"), "axis 1: 3 and 4 differ"),
            ErrorSample(cls, types("float32[5, 3]", "int64[2]"), "different numbers of axes"),
            ErrorSample(cls, types("float32[5]", "uint8[2]"), "indices are int32 or int64"),
        ]


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
    source = "XLA operation semantics: Scatter"
    numerics = _WRITES
    operands = ("x", "indices", "updates")
    access = (Access.OPAQUE, Access.OPAQUE, Access.OPAQUE)
    mode: Mode = "set"

    def infer(self, shapes: Shapes, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        need_index("scatter", indices)
        if self.mode == "add":
            need_kind("scatter", x, "int", "float")
        _need_shape("scatter: the updates", shapes, updates, x.with_shape(self._around(x, indices.shape)))
        return x

    def meaning(self, x: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
        return _written(self.mode, x, (*(slice(None),) * self.axis, indices), updates)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (_, indices, updates), (g,) = operands, gradients
        kept = g if self.mode == "add" else g.then(self, indices, updates.like(0))
        return [kept, None, g.then(Gather(axis=self.axis), indices)]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(5, 3), np.array([4, 0]), normal(2, 3, salt=1)), "sets rows", exact=True),
            Sample(cls(mode="add"), (normal(5, 3), np.array([4, 0, 4]), normal(3, 3, salt=1)), "adds, one row twice"),
            Sample(cls(axis=1, mode="add"), (normal(2, 5), ints(2, 2, high=5), normal(2, 2, 2)), "a table of indices"),
            Sample(cls(axis=-1), (ints(2, 4), np.array(2), ints(2, salt=1)), "one place", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[5, 3]", "int64[2]", "float32[2, 4]"), "where float32[2, 3] is needed"),
            ErrorSample(cls, types("float32[5, 3]", "int64[2]", "float32[3]"), "where float32[2, 3] is needed"),
            ErrorSample(cls, types("float32[5, 3]", "int64[2]", "int64[2, 3]"), "where float32[2, 3] is needed"),
            ErrorSample(cls, types("float32[5]", "bool[2]", "float32[2]"), "indices are int32 or int64"),
            ErrorSample(lambda: cls(mode="add"), types("bool[5]", "int64[2]", "bool[2]"), "takes int or float"),
        ]


class ScatterElements(_Indexed):
    """x with an element replaced by (``set``), or added to (``add``) each update.

    The inverse of `gather_elements`: ``x[a, indices[a, i, b], b] = updates[a, i, b]``.
    """

    name = "scatter_elements"
    source = "ONNX ScatterElements"
    numerics = _WRITES
    operands = ("x", "indices", "updates")
    access = (Access.OPAQUE, Access.OPAQUE, Access.OPAQUE)
    mode: Mode = "set"

    def infer(self, shapes: Shapes, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
        need_index("scatter_elements", indices)
        if self.mode == "add":
            need_kind("scatter_elements", x, "int", "float")
        _need_aligned("scatter_elements", shapes, x, indices, self.axis)
        _need_shape("scatter_elements: the updates", shapes, updates, x.with_shape(indices.shape))
        return x

    def meaning(self, x: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
        places: list[np.ndarray] = list(np.indices(indices.shape, sparse=True))
        places[self.axis] = indices
        return _written(self.mode, x, tuple(places), updates)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (_, indices, updates), (g,) = operands, gradients
        kept = g if self.mode == "add" else g.then(self, indices, updates.like(0))
        return [kept, None, g.then(GatherElements(axis=self.axis), indices)]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(axis=1), (normal(2, 4), np.array([[3, 0], [1, 2]]), normal(2, 2)), "sets", exact=True),
            Sample(cls(axis=0, mode="add"), (normal(3, 4), ints(5, 4, high=3), normal(5, 4)), "adds, some twice"),
            Sample(cls(axis=-1, mode="add"), (ints(2, 3), ints(2, 5, high=3), ints(2, 5)), "integers", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[5, 3]", "int64[2, 4]", "float32[2, 4]"), "axis 1: 3 and 4 differ"),
            ErrorSample(cls, types("float32[5, 3]", "int64[2, 3]", "float32[2, 2]"), "where float32[2, 3] is needed"),
            ErrorSample(cls, types("float32[5]", "float32[2]", "float32[2]"), "indices are int32 or int64"),
            ErrorSample(lambda: cls(mode="add"), types("bool[5]", "int64[2]", "bool[2]"), "takes int or float"),
        ]


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
    source = "XLA operation semantics: DynamicSlice"
    numerics = "starts are clamped to 0 ... size - sizes"
    operands = ("x", "starts*")
    access = (Access.OPAQUE, Access.OPAQUE)
    sizes: Sizes

    def infer(self, shapes: Shapes, x: TensorType, starts: Sequence[TensorType]) -> TensorType:
        self._check_starts(x, starts)
        need_length("dynamic_slice", "sizes", self.sizes, x.rank, f"axes in {x}")
        for axis, size in enumerate(self.sizes):
            need_at_most(shapes, size, x.shape[axis], f"dynamic_slice of {x}, axis {axis}")
        return x.with_shape(self.sizes)

    def traffic(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Traffic:
        """Of x only the part."""
        part = outputs[0].nbytes
        return Traffic((part, *(start.nbytes for start in inputs[1:])), part)

    def meaning(self, x: np.ndarray, starts: Sequence[np.ndarray]) -> np.ndarray:
        return x[_rectangle(x, starts, [int(size) for size in self.sizes])]

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x, starts), (g,) = operands, gradients
        return [x.like(0).then(DynamicUpdateSlice(), g, starts), None]

    @classmethod
    def samples(cls) -> list[Sample]:
        x, at = normal(4, 5), [np.array(value) for value in (1, 2, 9, -3)]
        return [
            Sample(cls(sizes=(2, 3)), (x, at[0], at[1]), exact=True),
            Sample(cls(sizes=(2, 3)), (x, at[2], at[3]), "clamped", exact=True),
            Sample(cls(sizes=(1, 5)), (ints(4, 5), at[0], at[1]), "a row", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(sizes=(2, 6)), types("float32[4, 5]", "int64[]", "int64[]"), "6 is more than 5"),
            ErrorSample(lambda: cls(sizes=(2, 3)), types("float32[4, 5]", "int64[]"), "starts has 1 entries"),
            ErrorSample(lambda: cls(sizes=(2,)), types("float32[4, 5]", "int64[]", "int64[]"), "sizes has 1 entries"),
            ErrorSample(lambda: cls(sizes=(2,)), types("float32[4]", "int32[]"), "a start is int64[]"),
        ]


class DynamicUpdateSlice(_Dynamic):
    """x with the part that begins at ``starts`` (one int64 scalar for each axis) replaced by the update."""

    name = "dynamic_update_slice"
    source = "XLA operation semantics: DynamicUpdateSlice"
    numerics = "starts are clamped to 0 ... size - the update's size"
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

    def traffic(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Traffic:
        """The update; the rest of x stays where it is."""
        return Traffic((0, *(each.nbytes for each in inputs[1:])), inputs[1].nbytes)

    def meaning(self, x: np.ndarray, update: np.ndarray, starts: Sequence[np.ndarray]) -> np.ndarray:
        result = x.copy()
        result[_rectangle(x, starts, update.shape)] = update
        return result

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (_, update, starts), (g,) = operands, gradients
        return [g.then(self, update.like(0), starts), g.then(DynamicSlice(sizes=update.shape), starts), None]

    @classmethod
    def samples(cls) -> list[Sample]:
        x, update, at = normal(4, 5), normal(2, 3, salt=1), [np.array(value) for value in (1, 2, 9, -3)]
        return [
            Sample(cls(), (x, update, at[0], at[1]), exact=True),
            Sample(cls(), (x, update, at[2], at[3]), "clamped", exact=True),
            Sample(cls(), (ints(4), ints(1, salt=1), at[1]), "integers", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[4]", "float32[5]", "int64[]"), "5 is more than 4"),
            ErrorSample(cls, types("float32[4]", "int64[1]", "int64[]"), "different dtypes"),
            ErrorSample(cls, types("float32[4]", "float32[1, 1]", "int64[]"), "different numbers of axes"),
            ErrorSample(cls, types("float32[4]", "float32[1]"), "starts has 0 entries"),
            ErrorSample(cls, types("float32[4]", "float32[1]", "int64[1]"), "a start is int64[]"),
        ]


OPS: tuple[type[Op], ...] = (Gather, GatherElements, Scatter, ScatterElements, DynamicSlice, DynamicUpdateSlice)
