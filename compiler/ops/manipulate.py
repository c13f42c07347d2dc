"""Composites that give elements another shape: flatten, expand, squeeze, stack, split, tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from ..ir.dims import decide, floordiv, product
from ..ir.graph import Builder
from ..ir.op import Access, Cost, ErrorSample, Op, OpError, Sample, Shapes, Sizes
from ..ir.types import TensorType
from . import functional as fn
from .composite import Composite
from .rules import need_length, need_same_dtype, normal_axes, normal_axis
from .samples import bools, ints, normal, types
from .tensor import Tensor, broadcast_to

Count = Annotated[int, Field(ge=1)]


class Move(Composite):
    """Base: no arithmetic."""

    family: ClassVar[str] = "shape"

    def cost(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Cost:
        return Cost(0)


class AlongAxis(Move):
    """Base: works along one axis of x."""

    axis: int = 0

    def canonical(self, x: TensorType, *others: TensorType) -> Op:
        return self.model_copy(update={"axis": normal_axis(self.name, self.axis, x.rank)})


class Flatten(Move):
    """The axes from ``start`` to ``end`` (included) as one, in row-major order."""

    name = "flatten"
    access = (Access.RESHAPE,)
    start: int = 1
    end: int = -1

    def canonical(self, x: TensorType) -> Op:
        start, end = (normal_axis("flatten", axis, x.rank) for axis in (self.start, self.end))
        if start > end:
            raise OpError(f"flatten: starts at axis {start}, behind its end {end}")
        return self.model_copy(update={"start": start, "end": end})

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        merged = product(x.shape[self.start : self.end + 1])
        return x.with_shape((*x.shape[: self.start], merged, *x.shape[self.end + 1 :]))

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        return x.reshape(*self.infer(build.shapes, x.type).shape)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(2, 3, 4, 5),), exact=True),
            Sample(cls(start=2), (normal(2, 3, 4, 5),), exact=True),
            Sample(cls(start=0, end=1), (ints(2, 3, 4),), exact=True),
            Sample(cls(), (normal(2, 3),), "one axis", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[3]"), "axis 1 of a tensor with 1 axes"),
            ErrorSample(lambda: cls(start=2, end=1), types("float32[2, 3, 4]"), "behind its end"),
        ]


class Expand(Move):
    """x repeated to a shape, as numpy.broadcast_to: axes are lined up from the last, sizes of 1 repeat."""

    name = "expand"
    access = (Access.BROADCAST,)
    shape: Sizes

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        wanted = f"[{', '.join(map(str, self.shape))}]"
        if x.rank > len(self.shape):
            raise OpError(f"expand: {x} has more axes than {wanted}")
        for size, to in zip(x.shape, self.shape[len(self.shape) - x.rank :], strict=True):
            if size != 1:
                shapes.same(size, to, f"expand of {x} to {wanted}")
        return x.with_shape(self.shape)

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        return broadcast_to(x, self.shape)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(shape=(4, 3)), (normal(1, 3),), exact=True),
            Sample(cls(shape=(2, 3, 4)), (ints(3, 1),), "a new axis", exact=True),
            Sample(cls(shape=(5,)), (normal(),), "a scalar", exact=True),
            Sample(cls(shape=(2, 3)), (bools(2, 3),), "as it is", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(shape=(4,)), types("float32[3]"), "3 and 4 differ"),
            ErrorSample(lambda: cls(shape=(4,)), types("float32[1, 4]"), "more axes"),
        ]


class Squeeze(Move):
    """x without axes of size 1: those named, or all (None)."""

    name = "squeeze"
    access = (Access.RESHAPE,)
    axes: tuple[int, ...] | int | None = None

    def canonical(self, x: TensorType) -> Op:
        if self.axes is None:
            axes = tuple(axis for axis, size in enumerate(x.shape) if size == 1)
        else:
            axes = fn.all_axes("squeeze", self.axes, x.rank)
        return self.model_copy(update={"axes": axes})

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        assert isinstance(self.axes, tuple), "the op is not canonical"
        for axis in self.axes:
            shapes.same(x.shape[axis], 1, f"squeeze of axis {axis} of {x}")
        return x.with_shape(tuple(size for axis, size in enumerate(x.shape) if axis not in self.axes))

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        return x.reshape(*self.infer(build.shapes, x.type).shape)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(1, 3, 1, 4),), exact=True),
            Sample(cls(axes=-2), (normal(1, 3, 1, 4),), exact=True),
            Sample(cls(axes=(0, 2)), (normal(1, 3, 1, 4),), exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(lambda: cls(axes=1), types("float32[1, 3]"), "3 and 1 differ")]


class Unsqueeze(Move):
    """x with new axes of size 1, at these places of the result."""

    name = "unsqueeze"
    access = (Access.RESHAPE,)
    axes: tuple[int, ...] | int

    def canonical(self, x: TensorType) -> Op:
        given = (self.axes,) if isinstance(self.axes, int) else self.axes
        return self.model_copy(update={"axes": tuple(sorted(normal_axes("unsqueeze", given, x.rank + len(given))))})

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        assert isinstance(self.axes, tuple), "the op is not canonical"
        sizes = iter(x.shape)
        return x.with_shape(tuple(1 if k in self.axes else next(sizes) for k in range(x.rank + len(self.axes))))

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        return x.reshape(*self.infer(build.shapes, x.type).shape)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(axes=0), (normal(3, 4),), exact=True),
            Sample(cls(axes=-1), (normal(3, 4),), exact=True),
            Sample(cls(axes=(0, 2)), (normal(3, 4),), exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(lambda: cls(axes=3), types("float32[3, 4]"), "axis 3 of a tensor with 3 axes")]


class Stack(Move):
    """Tensors of one shape side by side along a new axis."""

    name = "stack"
    operands = ("xs*",)
    axis: int = 0

    def canonical(self, xs: Sequence[TensorType]) -> Op:
        if not xs:
            raise OpError("stack: needs one operand at least")
        return self.model_copy(update={"axis": normal_axis("stack", self.axis, xs[0].rank + 1)})

    def infer(self, shapes: Shapes, xs: Sequence[TensorType]) -> TensorType:
        first = xs[0]
        sizes = list(first.shape)
        for other in xs[1:]:
            need_same_dtype("stack", first, other)
            if other.rank != first.rank:
                raise OpError(f"stack: {first} and {other} have different numbers of axes")
            what = f"stack of {first} and {other}"
            sizes = [shapes.same(a, b, what) for a, b in zip(sizes, other.shape, strict=True)]
        return first.with_shape((*sizes[: self.axis], len(xs), *sizes[self.axis :]))

    def decompose(self, build: Builder, xs: Sequence[Tensor]) -> Tensor:
        return fn.concat([fn.expand_axes(x, (self.axis,)) for x in xs], self.axis)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(3, 4), normal(3, 4, salt=1)), exact=True),
            Sample(cls(axis=-1), (normal(3), normal(3, salt=1), normal(3, salt=2)), exact=True),
            Sample(cls(axis=1), (ints(2, 3),), "one", exact=True),
            Sample(cls(), (normal(), normal(salt=1)), "scalars", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[3]", "float32[4]"), "3 and 4 differ"),
            ErrorSample(cls, types("float32[3]", "int64[3]"), "different dtypes"),
            ErrorSample(cls, types(), "one operand at least"),
        ]


class Split(AlongAxis):
    """x cut along an axis into ``parts`` equal parts, or into parts of the given ``sizes``; a list."""

    name = "split"
    listed: ClassVar[bool] = True
    axis: int = -1
    parts: Count | None = None
    sizes: Sizes | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.parts is None) == (self.sizes is None):
            raise ValueError("give either the number of parts or their sizes")
        return self

    def canonical(self, x: TensorType, *others: TensorType) -> Op:
        axis = normal_axis("split", self.axis, x.rank)
        if self.parts is None:
            return self.model_copy(update={"axis": axis})
        size = floordiv(x.shape[axis], self.parts)
        if decide(size * self.parts, "!=", x.shape[axis]):
            raise OpError(f"split: axis {axis} of {x} does not fall into {self.parts} equal parts")
        return self.model_copy(update={"axis": axis, "parts": None, "sizes": (size,) * self.parts})

    def infer(self, shapes: Shapes, x: TensorType) -> tuple[TensorType, ...]:
        assert self.sizes is not None, "the op is not canonical"
        total = sum(self.sizes)
        listed = ", ".join(map(str, self.sizes))
        shapes.same(total, x.shape[self.axis], f"split of axis {self.axis} of {x} into [{listed}]")
        for size in self.sizes:
            if decide(size, "<", 0):
                raise OpError(f"split: a part is negative in [{listed}]")
        return tuple(x.with_shape((*x.shape[: self.axis], size, *x.shape[self.axis + 1 :])) for size in self.sizes)

    def decompose(self, build: Builder, x: Tensor) -> list[Tensor]:
        assert self.sizes is not None, "the op is not canonical"
        ends = [sum(self.sizes[: k + 1]) for k in range(len(self.sizes))]
        return [fn.slice_axis(x, self.axis, end - size, end) for end, size in zip(ends, self.sizes, strict=True)]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(parts=3), (normal(2, 6),), exact=True),
            Sample(cls(parts=2, axis=0), (normal(4, 3),), exact=True),
            Sample(cls(sizes=(2, 2, 1, 5)), (normal(3, 10),), exact=True),
            Sample(cls(sizes=(3, 0), axis=1), (ints(2, 3),), "an empty part", exact=True),
            Sample(cls(parts=1), (normal(2, 3),), "one part", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(parts=4), types("float32[2, 6]"), "4 equal parts"),
            ErrorSample(lambda: cls(sizes=(2, 3)), types("float32[2, 6]"), "5 and 6 differ"),
            ErrorSample(lambda: cls(sizes=(7, -1)), types("float32[2, 6]"), "negative"),
            ErrorSample(cls, types("float32[2, 6]"), "either"),
            ErrorSample(lambda: cls(parts=2, sizes=(3, 3)), types("float32[2, 6]"), "either"),
        ]


class Tile(Move):
    """x repeated as a whole, ``repeats`` times along each axis."""

    name = "tile"
    repeats: tuple[Count, ...]

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        need_length("tile", "repeats", self.repeats, x.rank, f"axes in {x}")
        return x.with_shape(tuple(size * times for size, times in zip(x.shape, self.repeats, strict=True)))

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        shape = [size for pair in zip(self.repeats, x.shape, strict=True) for size in pair]
        kept = [size for size in x.shape for size in (1, size)]
        return x.reshape(*kept).broadcast_to(tuple(shape)).reshape(*self.infer(build.shapes, x.type).shape)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(repeats=(2, 3)), (normal(2, 3),), exact=True),
            Sample(cls(repeats=(1, 1, 2)), (ints(2, 1, 3),), exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(repeats=(2,)), types("float32[2, 3]"), "1 entries"),
            ErrorSample(lambda: cls(repeats=(0, 1)), types("float32[2, 3]"), "greater than or equal to 1"),
        ]


class RepeatElements(AlongAxis):
    """Each element of an axis ``repeats`` times in a row, as numpy.repeat."""

    name = "repeat_elements"
    repeats: Count

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        return x.with_shape((*x.shape[: self.axis], x.shape[self.axis] * self.repeats, *x.shape[self.axis + 1 :]))

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        return fn.repeat_elements(x, self.repeats, self.axis)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(repeats=2), (normal(3, 4),), exact=True),
            Sample(cls(repeats=3, axis=-1), (ints(2, 3),), exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(lambda: cls(repeats=2, axis=2), types("float32[2, 3]"), "axis 2")]


OPS: tuple[type[Op], ...] = (Flatten, Expand, Squeeze, Unsqueeze, Stack, Split, Tile, RepeatElements)
