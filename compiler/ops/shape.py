"""Primitives that move elements and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..ir.dims import AnyDim, ceildiv, maximum
from ..ir.op import Access, Cost, ErrorSample, Op, OpError, Sample, Shapes, Sizes
from ..ir.types import TensorType
from .reduce import ReduceSum
from .rules import need_at_least, need_at_most, need_length, need_same_dtype, normal_axes, normal_axis
from .samples import bools, ints, normal, types


class _Move(Op):
    """Base: no arithmetic."""

    family: ClassVar[str] = "shape"
    numerics: ClassVar[str] = "exact"

    def cost(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Cost:
        return Cost(0)


def _known(sizes: Sequence[AnyDim]) -> tuple[int, ...]:
    return tuple(int(size) for size in sizes)  # type: ignore[arg-type]


class Reshape(_Move):
    """The elements in row-major order under another shape."""

    name = "reshape"
    source = "numpy.reshape"
    access = (Access.RESHAPE,)
    shape: Sizes

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        result = x.with_shape(self.shape)
        if x.elements != result.elements:
            shapes.same(x.elements, result.elements, f"reshape of {x} to {result}: the numbers of elements")
        return result

    def meaning(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(_known(self.shape))

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x,), (g,) = operands, gradients
        return [g.reshape(*x.shape)]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(shape=(4, 6)), (normal(2, 3, 4),), exact=True),
            Sample(cls(shape=()), (normal(1, 1),), "to a scalar", exact=True),
            Sample(cls(shape=(1, 1, 3)), (ints(3),), "new axes", exact=True),
            Sample(cls(shape=(3, 0)), (normal(0, 7),), "empty", exact=True),
            Sample(cls(shape=(4,)), (bools(2, 2),), "bools", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(shape=(5, 5)), types("float32[2, 3, 4]"), "float32[2, 3, 4] to float32[5, 5]"),
            ErrorSample(lambda: cls(shape=(-1,)), types("float32[2, 3]"), "6 and -1 differ"),
        ]


class Transpose(_Move):
    """The axes in another order: axis k of the result is axis ``axes[k]`` of x."""

    name = "transpose"
    source = "numpy.transpose"
    access = (Access.PERMUTE,)
    axes: tuple[int, ...]

    def canonical(self, x: TensorType) -> Transpose:
        need_length("transpose", "axes", self.axes, x.rank, f"axes in {x}")
        return Transpose(axes=normal_axes("transpose", self.axes, x.rank))

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        return x.with_shape(tuple(x.shape[axis] for axis in self.axes))

    def meaning(self, x: np.ndarray) -> np.ndarray:
        return x.transpose(self.axes)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (g,) = gradients
        return [g.then(Transpose(axes=tuple(self.axes.index(axis) for axis in range(len(self.axes)))))]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(axes=(2, 0, 1)), (normal(2, 3, 4),), exact=True),
            Sample(cls(axes=(-1, 0)), (ints(2, 3),), "counted from the end", exact=True),
            Sample(cls(axes=()), (normal(),), "a scalar", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(axes=(0, 1)), types("float32[2, 3, 4]"), "axes has 2 entries, but there are 3"),
            ErrorSample(lambda: cls(axes=(0, -2)), types("float32[2, 3]"), "an axis stands twice in [0, -2]"),
            ErrorSample(lambda: cls(axes=(0, 2)), types("float32[2, 3]"), "axis 2 of a tensor with 2 axes"),
        ]


class Broadcast(_Move):
    """x repeated to a larger shape: axis k of x becomes axis ``axes[k]`` of the result.

    An axis of x has the size of its axis in the result, or 1. ``axes`` rise; the other axes of the result are new.
    """

    name = "broadcast"
    source = "XLA operation semantics: BroadcastInDim"
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

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x,), (g,) = operands, gradients
        axes = dict(zip(self.axes, x.shape, strict=True))
        repeated = tuple(k for k, size in enumerate(self.shape) if axes.get(k, 1) == 1 and (k not in axes or size != 1))
        return [(g.then(ReduceSum(axes=repeated)) if repeated else g).reshape(*x.shape)]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(shape=(2, 3, 4), axes=(1, 2)), (normal(3, 4),), "a new first axis", exact=True),
            Sample(cls(shape=(2, 3, 4), axes=(0, 2)), (normal(2, 4),), "a new middle axis", exact=True),
            Sample(cls(shape=(2, 3, 4), axes=(0, 1, 2)), (normal(2, 1, 4),), "repeats a size of 1", exact=True),
            Sample(cls(shape=(2, 3), axes=()), (ints(),), "a scalar", exact=True),
            Sample(cls(shape=(0, 3), axes=(0, 1)), (normal(1, 3),), "to nothing", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(shape=(2, 3), axes=(0,)), types("float32[3]"), "to float32[2, 3]: 3 and 2 differ"),
            ErrorSample(lambda: cls(shape=(3, 2), axes=(1, 0)), types("float32[2, 3]"), "do not rise"),
            ErrorSample(lambda: cls(shape=(2, 3), axes=()), types("float32[3]"), "axes has 0 entries"),
            ErrorSample(lambda: cls(shape=(2, 3), axes=(2,)), types("float32[3]"), "axis 2 of a tensor with 2 axes"),
        ]


class Concat(_Move):
    """The operands one after another along an axis."""

    name = "concat"
    source = "numpy.concatenate"
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

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (xs,), (g,) = operands, gradients
        found, start = [], 0
        for x in xs:
            stop = start + x.shape[self.axis]
            found.append(g[(slice(None),) * self.axis + (slice(start, stop),)])
            start = stop
        return [found]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(axis=1), (normal(2, 3), normal(2, 1), normal(2, 4)), exact=True),
            Sample(cls(axis=-1), (ints(2, 3),), "one operand", exact=True),
            Sample(cls(), (bools(2, 3), bools(0, 3)), "nothing added", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, (), "one operand at least"),
            ErrorSample(cls, types("float32[2, 3]", "float32[2, 4]"), "float32[2, 4] along axis 0: 3 and 4"),
            ErrorSample(cls, types("float32[2, 3]", "float32[3]"), "different numbers of axes"),
            ErrorSample(cls, types("float32[2]", "int64[2]"), "different dtypes"),
            ErrorSample(cls, types("float32[]", "float32[]"), "axis 0 of a tensor with 0 axes"),
        ]


class Slice(_Move):
    """``x[start:stop:stride]`` along every axis, with 0 <= start <= stop <= size and stride >= 1."""

    name = "slice"
    source = "XLA operation semantics: Slice"
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

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x,), (y,), (g,) = operands, results, gradients
        # The last element read stands `stride - 1` or fewer elements before `stop`.
        high = [
            size - start - (count - 1) * stride - 1 if stride > 1 else size - stop
            for size, start, stop, stride, count in zip(
                x.shape, self.start, self.stop, self.stride, y.shape, strict=True
            )
        ]
        interior = tuple(stride - 1 for stride in self.stride)
        return [g.then(Pad(low=self.start, high=tuple(high), interior=interior), g.scalar(0))]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(start=(0, 1), stop=(2, 4)), (normal(3, 5),), exact=True),
            Sample(cls(start=(1, 0), stop=(7, 5), stride=(3, 2)), (normal(7, 5),), "strides", exact=True),
            Sample(cls(start=(2,), stop=(2,)), (ints(5),), "empty", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(start=(0,), stop=(6,)), types("float32[5]"), "6 is more than 5"),
            ErrorSample(lambda: cls(start=(-1,), stop=(3,)), types("float32[5]"), "-1 is less than 0"),
            ErrorSample(lambda: cls(start=(4,), stop=(3,)), types("float32[5]"), "4 is more than 3"),
            ErrorSample(lambda: cls(start=(0,), stop=(3,), stride=(-1,)), types("float32[5]"), "reverse first"),
            ErrorSample(lambda: cls(start=(0,), stop=(3,)), types("float32[5, 5]"), "start has 1 entries"),
        ]


class Reverse(_Move):
    """x with the order of elements turned around along the axes."""

    name = "reverse"
    source = "XLA operation semantics: Rev"
    access = (Access.OPAQUE,)
    axes: tuple[int, ...]

    def canonical(self, x: TensorType) -> Reverse:
        return Reverse(axes=tuple(sorted(normal_axes("reverse", self.axes, x.rank))))

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        return x

    def meaning(self, x: np.ndarray) -> np.ndarray:
        return np.flip(x, self.axes)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (g,) = gradients
        return [g.then(self)]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(axes=(0, -1)), (normal(2, 3, 4),), exact=True),
            Sample(cls(axes=(1,)), (ints(2, 3),), "one axis", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(axes=(1,)), types("float32[5]"), "axis 1 of a tensor with 1 axes"),
            ErrorSample(lambda: cls(axes=(0, 0)), types("float32[5]"), "an axis stands twice"),
        ]


class Pad(_Move):
    """x with ``fill`` around and between its elements.

    Along axis k: ``interior[k]`` fills between neighbours, then ``low[k]`` before and ``high[k]`` after; a negative
    ``low`` or ``high`` cuts that many elements away.
    """

    name = "pad"
    source = "XLA operation semantics: Pad"
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

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        x, _ = operands
        (g,) = gradients
        inner = g.then(Pad(low=tuple(-k for k in self.low), high=tuple(-k for k in self.high)), g.scalar(0))
        if any(self.interior):
            strides = tuple(k + 1 for k in self.interior)
            inner = inner.then(Slice(start=(0,) * x.rank, stop=inner.shape, stride=strides))
        total = g.then(ReduceSum()) - inner.then(ReduceSum())
        return [inner, total]

    @classmethod
    def samples(cls) -> list[Sample]:
        x, fill = normal(2, 3), np.array(0.5, np.float32)
        return [
            Sample(cls(low=(1, 0), high=(0, 2)), (x, fill), exact=True),
            Sample(cls(low=(0, 1), high=(1, 0), interior=(2, 1)), (x, fill), "between", exact=True),
            Sample(cls(low=(-1, 1), high=(2, -2)), (x, fill), "cuts and pads", exact=True),
            Sample(cls(low=(0, -2), high=(-1, -1), interior=(1, 1)), (x, fill), "cuts what it spread", exact=True),
            Sample(cls(low=(1,), high=(1,)), (ints(3), np.array(-1)), "integers", exact=True),
            Sample(cls(low=(0,), high=(1,)), (bools(3), np.array(True)), "bools", exact=True),
            Sample(cls(low=(2,), high=(1,), interior=(3,)), (normal(0), fill), "nothing but fill", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(low=(-2,), high=(-2,)), types("float32[3]", "float32[]"), "-1 is less than 0"),
            ErrorSample(lambda: cls(low=(0,), high=(0,)), types("float32[3]", "float32[1]"), "the fill is a scalar"),
            ErrorSample(lambda: cls(low=(0,), high=(0,)), types("float32[3]", "int64[]"), "different dtypes"),
            ErrorSample(lambda: cls(low=(0,), high=(0, 0)), types("float32[3]", "float32[]"), "high has 2 entries"),
            ErrorSample(lambda: cls(low=(0,), high=(0,), interior=(-1,)), types("float32[3]", "float32[]"), "negative"),
        ]


OPS: tuple[type[Op], ...] = (Reshape, Transpose, Broadcast, Concat, Slice, Reverse, Pad)
