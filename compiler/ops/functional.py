"""Ops as functions of tensors: what decompositions, layers and formulas are written in.

Elementwise functions bring their operands to one dtype and one shape first (see `tensor`); the others take them as
they are. Everything is checked by the ops themselves, which raise `OpError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..ir.dims import AnyDim, Shape, product
from ..ir.graph import Builder, Value
from ..ir.op import Op
from ..ir.types import DType
from .contract import Conv, Dot, Multiply
from .control import Scan
from .elementwise import (
    Abs,
    Cos,
    Div,
    Erf,
    Exp,
    Floor,
    Log,
    Max,
    Min,
    Round,
    ShiftLeft,
    ShiftRight,
    Sigmoid,
    Sign,
    Sin,
    Sqrt,
    Tanh,
    Where,
    Xor,
)
from .index import (
    DynamicSlice,
    DynamicUpdateSlice,
    Gather,
    GatherElements,
    Scatter,
    ScatterElements,
)
from .random import RandomBits
from .reduce import ArgMax, CumulativeSum, ReduceMax, ReduceMin, ReduceProd, ReduceSum, TopK
from .rules import normal_axes, normal_axis
from .shape import Broadcast, Concat, Pad, Reverse, Slice, Transpose
from .source import Bitcast, Dimension, Iota, StopGradient
from .tensor import Operand, Tensor, apply, broadcast_shapes, constant, elementwise, full, lift, number
from .window import WindowMax, WindowSum

Axes = int | tuple[int, ...] | None
"""One axis, several, or None for all."""


def all_axes(what: str, axes: Axes, rank: int) -> tuple[int, ...]:
    """The axes counted from 0, in rising order. Raises `OpError` for one that is missing or named twice."""
    given = range(rank) if axes is None else (axes,) if isinstance(axes, int) else axes
    return tuple(sorted(normal_axes(what, given, rank)))


# ---- element by element


def _unary(op: Op) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor) -> Tensor:
        return apply(x.build, op, x)

    return function


absolute = _unary(Abs())
sign = _unary(Sign())
floor = _unary(Floor())
round_even = _unary(Round())
exp = _unary(Exp())
log = _unary(Log())
sqrt = _unary(Sqrt())
sin = _unary(Sin())
cos = _unary(Cos())
tanh = _unary(Tanh())
erf = _unary(Erf())
sigmoid = _unary(Sigmoid())
stop_gradient = _unary(StopGradient())


def maximum(x: Tensor, y: Operand) -> Tensor:
    """The larger; NaN if one is NaN."""
    return elementwise(x.build, Max(), x, y)


def minimum(x: Tensor, y: Operand) -> Tensor:
    """The smaller; NaN if one is NaN."""
    return elementwise(x.build, Min(), x, y)


def clip(x: Tensor, low: Operand | None, high: Operand | None) -> Tensor:
    """``x`` between two bounds, either of which may be missing."""
    x = x if low is None else maximum(x, low)
    return x if high is None else minimum(x, high)


def where(condition: Tensor, x: Operand, y: Operand) -> Tensor:
    """``x`` where the condition holds, else ``y``; the three broadcast, ``x`` and ``y`` take one dtype."""
    build = condition.build
    x, y = lift(build, (x, y), "where")
    shape = broadcast_shapes([condition.shape, x.shape, y.shape], "where")
    return apply(build, Where(), *(tensor.broadcast_to(shape) for tensor in (condition, x, y)))


def quotient(x: Tensor, y: Operand) -> Tensor:
    """Division of integers, truncated toward zero."""
    return elementwise(x.build, Div(), x, y)


def logical_xor(x: Tensor, y: Operand) -> Tensor:
    """Exclusive or of bools, or of the bits of integers."""
    return elementwise(x.build, Xor(), x, y)


def shift_left(x: Tensor, bits: Operand) -> Tensor:
    """Integers moved up by ``bits``."""
    return elementwise(x.build, ShiftLeft(), x, bits)


def shift_right(x: Tensor, bits: Operand) -> Tensor:
    """Integers moved down by ``bits``."""
    return elementwise(x.build, ShiftRight(), x, bits)


# ---- sources


def iota(build: Builder, length: AnyDim, dtype: DType = DType.INT64) -> Tensor:
    """0, 1, ..., length - 1."""
    return apply(build, Iota(length=length, dtype=dtype))


def dimension(build: Builder, size: AnyDim) -> Tensor:
    """A size as an int64 scalar, a constant if it is known."""
    return constant(build, size, DType.INT64) if isinstance(size, int) else apply(build, Dimension(size=size))


def bitcast(x: Tensor, dtype: DType) -> Tensor:
    """The same bits read as another dtype of the same width."""
    return apply(x.build, Bitcast(dtype=dtype), x)


def random_bits(seed: Tensor, step: Tensor, shape: Shape) -> Tensor:
    """uint32 bits, equal on every target."""
    return apply(seed.build, RandomBits(shape=shape), seed, step)


# ---- shapes


def transpose(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Result axis k is operand axis ``axes[k]``."""
    return x if tuple(axes) == tuple(range(x.rank)) else apply(x.build, Transpose(axes=tuple(axes)), x)


def move_axis(x: Tensor, axis: int, to: int) -> Tensor:
    """One axis moved to another place, the others in order."""
    rest = [other for other in range(x.rank) if other != axis % x.rank]
    rest.insert(to % x.rank, axis % x.rank)
    return transpose(x, rest)


def expand_axes(x: Tensor, axes: Sequence[int]) -> Tensor:
    """New axes of size 1 at these places of the result (counted from 0)."""
    sizes = iter(x.shape)
    return x.reshape(*(1 if axis in axes else next(sizes) for axis in range(x.rank + len(axes))))


def broadcast(x: Tensor, shape: Shape, axes: Sequence[int]) -> Tensor:
    """Operand axis k becomes result axis ``axes[k]``."""
    return apply(x.build, Broadcast(shape=shape, axes=tuple(axes)), x)


def along(x: Tensor, rank: int, axis: int) -> Tensor:
    """A vector as a tensor of ``rank`` axes that varies along one of them."""
    return x.reshape(*(x.shape[0] if k == axis else 1 for k in range(rank)))


def repeat_elements(x: Tensor, repeats: int, axis: int) -> Tensor:
    """Each element ``repeats`` times in a row along an axis."""
    shape = x.shape
    wide = x.reshape(*shape[: axis + 1], 1, *shape[axis + 1 :])
    wide = wide.broadcast_to((*shape[: axis + 1], repeats, *shape[axis + 1 :]))
    return wide.reshape(*shape[:axis], shape[axis] * repeats, *shape[axis + 1 :])


def concat(xs: Sequence[Tensor], axis: int) -> Tensor:
    """Tensors one after another along an axis."""
    return xs[0] if len(xs) == 1 else apply(xs[0].build, Concat(axis=axis), list(xs))


def slice_axis(x: Tensor, axis: int, start: AnyDim, stop: AnyDim) -> Tensor:
    """The elements from ``start`` to ``stop - 1`` of one axis."""
    axis = normal_axis("slice", axis, x.rank)
    if start == 0 and stop == x.shape[axis]:
        return x
    starts = tuple(start if k == axis else 0 for k in range(x.rank))
    stops = tuple(stop if k == axis else size for k, size in enumerate(x.shape))
    return apply(x.build, Slice(start=starts, stop=stops, stride=(1,) * x.rank), x)


def reverse(x: Tensor, axes: Sequence[int]) -> Tensor:
    """The elements of these axes in opposite order."""
    return apply(x.build, Reverse(axes=tuple(axes)), x)


def pad(x: Tensor, low: Sequence[AnyDim], high: Sequence[AnyDim], fill: float = 0) -> Tensor:
    """``fill`` around a tensor, ``low`` before and ``high`` behind each axis."""
    return apply(x.build, Pad(low=tuple(low), high=tuple(high)), x, constant(x.build, fill, x.dtype))


# ---- reductions


def reduce_sum(x: Tensor, axes: Axes = None, keep: bool = False) -> Tensor:
    """Sum over axes."""
    return apply(x.build, ReduceSum(axes=axes, keep=keep), x)


def reduce_max(x: Tensor, axes: Axes = None, keep: bool = False) -> Tensor:
    """Largest over axes; NaN if there is one."""
    return apply(x.build, ReduceMax(axes=axes, keep=keep), x)


def reduce_min(x: Tensor, axes: Axes = None, keep: bool = False) -> Tensor:
    """Smallest over axes; NaN if there is one."""
    return apply(x.build, ReduceMin(axes=axes, keep=keep), x)


def reduce_prod(x: Tensor, axes: Axes = None, keep: bool = False) -> Tensor:
    """Product over axes."""
    return apply(x.build, ReduceProd(axes=axes, keep=keep), x)


def mean(x: Tensor, axes: Axes = None, keep: bool = False) -> Tensor:
    """Arithmetic mean of floats over axes."""
    found = all_axes("mean", axes, x.rank)
    return reduce_sum(x, found, keep) / product(x.shape[axis] for axis in found)


def arg_max(x: Tensor, axis: int = -1, keep: bool = False) -> Tensor:
    """int64 place of the largest; the lowest of several."""
    return apply(x.build, ArgMax(axis=axis, keep=keep), x)


def cumulative_sum(x: Tensor, axis: int) -> Tensor:
    """Running sum along an axis."""
    return apply(x.build, CumulativeSum(axis=axis), x)


def top_k(x: Tensor, k: AnyDim, axis: int = -1) -> tuple[Tensor, Tensor]:
    """The k largest in falling order, and their int64 places."""
    values, indices = apply(x.build, TopK(k=k, axis=axis), x)
    return values, indices


# ---- contractions and windows


def dot(
    x: Tensor,
    y: Tensor,
    contract: tuple[Sequence[int], Sequence[int]],
    batch: tuple[Sequence[int], Sequence[int]] = ((), ()),
    precision: Multiply = "highest",
) -> Tensor:
    """Sum of products over pairs of axes; result axes: batch, the rest of x, the rest of y."""
    op = Dot(
        lhs_contract=tuple(contract[0]),
        rhs_contract=tuple(contract[1]),
        lhs_batch=tuple(batch[0]),
        rhs_batch=tuple(batch[1]),
        precision=precision,
    )
    return apply(x.build, op, x, y)


def conv(x: Tensor, w: Tensor, **fields: Any) -> Tensor:
    """Convolution; ``fields`` are those of `Conv`."""
    return apply(x.build, Conv(**fields), x, w)


Pairs = Sequence[tuple[int, int]]


def window_sum(x: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Pairs) -> Tensor:
    """Sums over sliding windows; everything is given for all axes of x."""
    return apply(x.build, WindowSum(kernel=tuple(kernel), stride=tuple(stride), padding=tuple(padding)), x)


def window_max(
    x: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Pairs, dilation: Sequence[int]
) -> Tensor:
    """Maxima over sliding windows; everything is given for all axes of x."""
    op = WindowMax(kernel=tuple(kernel), stride=tuple(stride), padding=tuple(padding), dilation=tuple(dilation))
    return apply(x.build, op, x)


# ---- indexing


def gather(x: Tensor, indices: Tensor, axis: int = 0) -> Tensor:
    """Slices of x along an axis, as numpy.take."""
    return apply(x.build, Gather(axis=axis), x, indices)


def gather_elements(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    """Single elements of x along an axis, as numpy.take_along_axis."""
    return apply(x.build, GatherElements(axis=axis), x, indices)


def scatter(x: Tensor, indices: Tensor, updates: Tensor, axis: int = 0, mode: str = "set") -> Tensor:
    """``x`` with slices set or added to."""
    return apply(x.build, Scatter(axis=axis, mode=mode), x, indices, updates)  # type: ignore[arg-type]


def scatter_elements(x: Tensor, indices: Tensor, updates: Tensor, axis: int, mode: str = "set") -> Tensor:
    """``x`` with single elements set or added to."""
    return apply(x.build, ScatterElements(axis=axis, mode=mode), x, indices, updates)  # type: ignore[arg-type]


def dynamic_slice(x: Tensor, starts: Sequence[Tensor | int], sizes: Shape) -> Tensor:
    """A block of ``sizes`` from run-time starts, which are clamped so that it fits."""
    return apply(x.build, DynamicSlice(sizes=sizes), x, _starts(x.build, starts))


def dynamic_update_slice(x: Tensor, update: Tensor, starts: Sequence[Tensor | int]) -> Tensor:
    """``x`` with a block replaced, at run-time starts, which are clamped so that it fits."""
    return apply(x.build, DynamicUpdateSlice(), x, update, _starts(x.build, starts))


def _starts(build: Builder, starts: Sequence[Tensor | int]) -> list[Tensor]:
    return [start if isinstance(start, Tensor) else constant(build, start, DType.INT64) for start in starts]


# ---- loops

Body = Callable[[list[Tensor], list[Tensor], list[Tensor]], tuple[Any, ...]]


def scan(
    build: Builder,
    body: Body,
    constants: Sequence[Tensor],
    carries: Sequence[Tensor],
    sequences: Sequence[Tensor],
    length: AnyDim,
    *,
    reverse: bool = False,
    until: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    """A loop of ``length`` steps over axis 0 of the sequences; see `Scan`.

    ``body(constants, carries, rows)`` returns the new carries and the outputs, and with ``until`` a bool scalar.
    It sees the outside through its arguments only. Returns the last carries and the stacked outputs.
    """
    inner = Builder(build.shapes, loc=build.loc)
    rows = [tensor.type.with_shape(tensor.shape[1:]) for tensor in sequences]
    inputs = [Value(type) for type in [*(t.type for t in (*constants, *carries)), *rows]]
    given = [Tensor(inner, value) for value in inputs]
    first, second = len(constants), len(constants) + len(carries)
    answer = body(given[:first], given[first:second], given[second:])
    results = [*answer[0], *answer[1], *(answer[2:] if until else ())]
    region = inner.graph(inputs, [tensor.value for tensor in results])
    op = Scan(constants=first, carries=len(carries), length=length, reverse=reverse, until=until)
    flat = apply(build, op, [*constants, *carries, *sequences], regions=(region,))
    return flat[: len(carries)], flat[len(carries) :]


# ---- constants


def array(build: Builder, values: Any, dtype: DType) -> Tensor:
    """A constant array."""
    return constant(build, np.asarray(values), dtype)


def zeros_like(x: Tensor) -> Tensor:
    """0 in the shape and dtype of x."""
    return full(x.build, x.shape, 0, x.dtype)


def scalar(build: Builder, value: AnyDim | float, dtype: DType) -> Tensor:
    """A number as a tensor without axes."""
    return number(build, value, dtype)
