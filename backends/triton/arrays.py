"""Buffers, and the arrays that lie in them. A view is arithmetic on strides; what is no memory at all is an array, too.

The address of an element is a formula of its coordinates, so reshape, transpose, broadcast, slice and reverse cost
nothing where strides can say them. Two kinds of buffer are imaginary: in one every element has one value, in the
other the element at address k has the value k (that is iota). The same views apply to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from ...compiler.ir import AnyDim, Dim, DType, Shape, TensorType, Value, symbol
from ...compiler.ir.dims import product
from ..strides import is_packed, packed, reshaped


class Kind(Enum):
    """Who provides the memory of a buffer."""

    ARENA = "b"
    """The arena of a call; the planner finds the place."""
    OUTPUT = "y"
    """Allocated at each call, handed to the caller."""
    INPUT = "x"
    """An input of the entry: never written."""
    WEIGHT = "w"
    """Never written."""
    CONSTANT = "k"
    """A literal too large for the text of a kernel; never written."""
    STATE = "r"
    """The caller's memory of a state: written in place."""
    NUMBER = "number"
    """No memory: all elements are ``value``."""
    COUNT = "count"
    """No memory: the element at address k is k."""


@dataclass(eq=False, slots=True)
class Buffer:
    """Memory for ``elements`` of one dtype, aligned to 16 bytes. ``value`` is that of a number: a size may stand there.

    The planner may let it use the memory of ``merged``; ``root`` leads there.
    """

    dtype: DType
    elements: AnyDim
    kind: Kind = Kind.ARENA
    index: int = -1
    value: int | float | Dim = 0
    merged: Buffer | None = None

    @property
    def root(self) -> Buffer:
        """The buffer whose memory this one uses."""
        buffer = self
        while buffer.merged is not None:
            buffer = buffer.merged
        return buffer

    @property
    def imaginary(self) -> bool:
        """Whether it is no memory."""
        return self.kind in (Kind.NUMBER, Kind.COUNT)


@dataclass(frozen=True, eq=False, slots=True)
class Array:
    """Elements of a buffer: the one at coordinates c has the address ``offset + sum(c * strides)``."""

    dtype: DType
    shape: Shape
    strides: Shape
    buffer: Buffer
    offset: AnyDim = 0

    @property
    def type(self) -> TensorType:
        return TensorType(self.dtype, self.shape)

    @property
    def elements(self) -> AnyDim:
        return product(self.shape)

    @property
    def packed(self) -> bool:
        """Whether the elements lie in row-major order without gaps."""
        return is_packed(self.shape, self.strides)

    @property
    def whole(self) -> bool:
        """Whether this is all of its buffer, in row-major order."""
        return self.packed and self.offset == 0 and self.buffer.elements == self.elements

    @property
    def number(self) -> int | float | Dim | None:
        """The one value of all elements, if that is known before the run."""
        return self.buffer.value if self.buffer.kind is Kind.NUMBER else None


def new(type: TensorType, kind: Kind = Kind.ARENA) -> Array:
    """An array in memory of its own, in row-major order."""
    return Array(type.dtype, type.shape, packed(type.shape), Buffer(type.dtype, type.elements, kind))


def number(value: int | float | Dim, type: TensorType) -> Array:
    """An array without memory whose elements are one number; a size counts as a number."""
    return Array(type.dtype, type.shape, (0,) * type.rank, Buffer(type.dtype, 1, Kind.NUMBER, value=value))


def count(length: AnyDim, dtype: DType) -> Array:
    """0, 1, 2 ... without memory."""
    return Array(dtype, (length,), (1,), Buffer(dtype, length, Kind.COUNT))


def variable(name: str, low: int, high: int) -> AnyDim:
    """The size that a variable of the host is. No symbol of a spec has such a name."""
    return symbol(f"${name}", low, high)


def reshape(array: Array, shape: Shape) -> Array | None:
    """The array in another shape; None if strides cannot say that."""
    if array.shape == shape:
        return array
    strides = (0,) * len(shape) if array.number is not None else reshaped(array.shape, array.strides, shape)
    return None if strides is None else replace(array, shape=shape, strides=strides)


def transpose(array: Array, axes: Sequence[int]) -> Array:
    """The axes in another order."""
    shape, strides = (tuple(each[axis] for axis in axes) for each in (array.shape, array.strides))
    return replace(array, shape=shape, strides=strides)


def broadcast(array: Array, shape: Shape, axes: Sequence[int]) -> Array:
    """Axis k becomes axis ``axes[k]`` of the result, repeated if its size is 1."""
    strides: list[AnyDim] = [0] * len(shape)
    for size, stride, axis in zip(array.shape, array.strides, axes, strict=True):
        strides[axis] = 0 if size == 1 and shape[axis] != 1 else stride
    return replace(array, shape=shape, strides=tuple(strides))


def cut(array: Array, start: Sequence[AnyDim], shape: Shape, step: Sequence[int]) -> Array:
    """Every ``step``-th element from ``start`` on."""
    offset = array.offset
    for first, stride in zip(start, array.strides, strict=True):
        offset = offset + first * stride
    strides = tuple(a * b for a, b in zip(array.strides, step, strict=True))
    return replace(array, shape=shape, strides=strides, offset=offset)


def parts(array: Array, axis: int, values: Sequence[Value]) -> list[Array]:
    """The pieces of an array along an axis that values of these types fill one after the other."""
    found = []
    at: AnyDim = 0
    rank = len(array.shape)
    for value in values:
        found.append(cut(array, [at if each == axis else 0 for each in range(rank)], value.type.shape, (1,) * rank))
        at = at + value.type.shape[axis]
    return found


def reverse(array: Array, axes: Sequence[int]) -> Array:
    """The order of elements turned around along some axes."""
    offset, strides = array.offset, list(array.strides)
    for axis in axes:
        offset = offset + (array.shape[axis] - 1) * strides[axis]
        strides[axis] = -strides[axis]
    return replace(array, strides=tuple(strides), offset=offset)


def row(array: Array, at: AnyDim) -> Array:
    """One row along the first axis; ``at`` may be the symbol of a loop on the host."""
    return replace(array, shape=array.shape[1:], strides=array.strides[1:], offset=array.offset + at * array.strides[0])
