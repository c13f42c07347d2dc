"""Primitives that move elements and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..ir.dims import AnyDim, ceildiv, decide, maximum, product
from ..ir.op import Access, Cost, ErrorSample, Op, OpError, Sample, Shapes, Sizes
from ..ir.types import TensorType
from .rules import need_at_least, need_at_most, need_length, need_same_dtype, normal_axes, normal_axis
from .samples import ints, normal, types


class _Move(Op):
    """Base: no arithmetic."""

    family: ClassVar[str] = "shape"

    def cost(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Cost:
        return Cost(0)


def _known(sizes: Sequence[AnyDim]) -> tuple[int, ...]:
    return tuple(int(size) for size in sizes)  # type: ignore[arg-type]


class Reshape(_Move):
    """The elements in row-major order under another shape."""

    name = "reshape"
    access = (Access.RESHAPE,)
    shape: Sizes

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        result = x.with_shape(self.shape)
        if x.elements != result.elements:
            shapes.same(x.elements, result.elements, f"reshape of {x} to {result}: the numbers of elements")
        return result

    def meaning(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(_known(self.shape))


class Transpose(_Move):
    """The axes in another order: axis k of the result is axis ``axes[k]`` of x."""

    name = "transpose"
    access = (Access.PERMUTE,)
    axes: tuple[int, ...]

    def canonical(self, x: TensorType) -> Transpose:
        need_length("transpose", "axes", self.axes, x.rank, f"axes in {x}")
        return Transpose(axes=normal_axes("transpose", self.axes, x.rank))

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        return x.with_shape(tuple(x.shape[axis] for axis in self.axes))

    def meaning(self, x: np.ndarray) -> np.ndarray:
        return x.transpose(self.axes)


class Broadcast(_Move):
    """x repeated to a larger shape: axis k of x becomes axis ``axes[k]`` of the result.

    An axis of x has the size of its axis in the result, or 1. ``axes`` rise; the other axes of the result are new.
    """

    name = "broadcast"
    access = (Access.BROADCAST,)
    shape: Sizes
    axes: tuple[int, ...]

    def canonical(self, x: TensorType) -> Broadcast:
        need_length("broadcast", "axes", self.axes, x.rank, f"axes in {x}")
        axes = normal_axes("broadcast", self.axes, len(self.shape))
        if list(axes) != sorted(axes):
            raise OpError(f"broadcast: the axes {list(axes)} do not rise; transpose first")
        return self.model_copy(update={"axes": axes})

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        result = x.with_shape(self.shape)
        for size, axis in zip(x.shape, self.axes, strict=True):
            if size != 1:
                shapes.same(size, self.shape[axis], f"broadcast of {x} to {result}")
        return result

    def meaning(self, x: np.ndarray) -> np.ndarray:
        shape = [1] * len(self.shape)
        for size, axis in zip(x.shape, self.axes, strict=True):
            shape[axis] = size
        return np.broadcast_to(x.reshape(shape), _known(self.shape)).copy()


class Concat(_Move):
    """The operands one after another along an axis."""

    name = "concat"
    operands = ("xs*",)
    access = (Access.OPAQUE,)
    axis: int = 0

    def canonical(self, xs: Sequence[TensorType]) -> Concat:
        if not xs:
            raise OpError("concat: needs one operand at least")
        return Concat(axis=normal_axis("concat", self.axis, xs[0].rank))

    def infer(self, shapes: Shapes, xs: Sequence[TensorType]) -> TensorType:
        first, total = xs[0], xs[0].shape[self.axis]
        shape = list(first.shape)
        for other in xs[1:]:
            need_same_dtype("concat", first, other)
            if other.rank != first.rank:
                raise OpError(f"concat: {first} and {other} have different numbers of axes")
            total = total + other.shape[self.axis]
            for axis in set(range(first.rank)) - {self.axis}:
                what = f"concat of {first} and {other} along axis {self.axis}"
                shape[axis] = shapes.same(shape[axis], other.shape[axis], what)
        shape[self.axis] = total
        return first.with_shape(tuple(shape))

    def meaning(self, xs: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate(xs, axis=self.axis)


class Slice(_Move):
    """``x[start:stop:stride]`` along every axis, with 0 <= start <= stop <= size and stride >= 1."""

    name = "slice"
    access = (Access.OPAQUE,)
    start: Sizes
    stop: Sizes
    stride: tuple[int, ...] = ()

    def canonical(self, x: TensorType) -> Slice:
        stride = self.stride or (1,) * x.rank
        for field, given in (("start", self.start), ("stop", self.stop), ("stride", stride)):
            need_length("slice", field, given, x.rank, f"axes in {x}")
        if min(stride, default=1) < 1:
            raise OpError(f"slice: the strides {list(stride)} are not all 1 or more; reverse first")
        return self.model_copy(update={"stride": stride})

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        sizes: list[AnyDim] = []
        for axis, (start, stop, stride) in enumerate(zip(self.start, self.stop, self.stride, strict=True)):
            what = f"slice of {x}, axis {axis} from {start} to {stop}"
            need_at_least(shapes, start, 0, what)
            need_at_most(shapes, start, stop, what)
            need_at_most(shapes, stop, x.shape[axis], what)
            sizes.append(ceildiv(stop - start, stride))
        return x.with_shape(tuple(sizes))

    def meaning(self, x: np.ndarray) -> np.ndarray:
        return x[tuple(map(slice, _known(self.start), _known(self.stop), self.stride))]


class Reverse(_Move):
    """x with the order of elements turned around along the axes."""

    name = "reverse"
    access = (Access.OPAQUE,)
    axes: tuple[int, ...]

    def canonical(self, x: TensorType) -> Reverse:
        return Reverse(axes=tuple(sorted(normal_axes("reverse", self.axes, x.rank))))

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        return x

    def meaning(self, x: np.ndarray) -> np.ndarray:
        return np.flip(x, self.axes)


class Pad(_Move):
    """x with ``fill`` around and between its elements.

    Along axis k: ``interior[k]`` fills between neighbours, then ``low[k]`` before and ``high[k]`` after; a negative
    ``low`` or ``high`` cuts that many elements away.
    """

    name = "pad"
    operands = ("x", "fill")
    access = (Access.OPAQUE, Access.BROADCAST)
    low: Sizes
    high: Sizes
    interior: tuple[int, ...] = ()

    def canonical(self, x: TensorType, fill: TensorType) -> Pad:
        interior = self.interior or (0,) * x.rank
        for field, given in (("low", self.low), ("high", self.high), ("interior", interior)):
            need_length("pad", field, given, x.rank, f"axes in {x}")
        if min(interior, default=0) < 0:
            raise OpError(f"pad: interior {list(interior)} has a negative entry")
        return self.model_copy(update={"interior": interior})

    def infer(self, shapes: Shapes, x: TensorType, fill: TensorType) -> TensorType:
        need_same_dtype("pad", x, fill)
        if fill.rank != 0:
            raise OpError(f"pad: the fill is a scalar, not {fill}")
        sizes: list[AnyDim] = []
        for size, low, high, interior in zip(x.shape, self.low, self.high, self.interior, strict=True):
            padded = size + low + high + (maximum(size - 1, 0) * interior if interior else 0)
            need_at_least(shapes, padded, 0, f"pad of {x} by {low} and {high}")
            sizes.append(padded)
        return x.with_shape(tuple(sizes))

    def meaning(self, x: np.ndarray, fill: np.ndarray) -> np.ndarray:
        spread = np.full([max(n + (n - 1) * k, 0) for n, k in zip(x.shape, self.interior, strict=True)], fill, x.dtype)
        spread[tuple(slice(None, None, k + 1) for k in self.interior)] = x
        low, high = _known(self.low), _known(self.high)
        around = np.pad(spread, [(max(a, 0), max(b, 0)) for a, b in zip(low, high, strict=True)], constant_values=fill)
        return around[tuple(slice(max(-a, 0), n - max(-b, 0)) for a, b, n in zip(low, high, around.shape, strict=True))]


OPS: tuple[type[Op], ...] = (Reshape, Transpose, Broadcast, Concat, Slice, Reverse, Pad)
