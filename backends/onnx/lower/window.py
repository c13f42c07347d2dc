"""Sliding windows. The pooling operators of ONNX work on `[N, C, *spatial]`: other axes are folded into those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ....compiler.ir import DType, Node, Shape
from ....compiler.ir.dims import product
from ..capabilities import FLOATS, NUMBERS, SINGLE, Lowering
from ..emit import Emitter
from ..forms import Family
from .elementwise import dtype_of
from .shape import cut, padded


@dataclass(frozen=True, slots=True)
class _Grid:
    """The windows over the axes that have any: a tensor seen as `[before, 1, *axes]` or `[N, C, *axes]`."""

    axes: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    dilation: tuple[int, ...]


def _grid(op: Any) -> _Grid:
    trivial = (1, 1, (0, 0))
    facts = list(zip(op.kernel, op.stride, op.padding, strict=True))
    axes = tuple(axis for axis, fact in enumerate(facts) if fact != trivial)
    low, high = (tuple(op.padding[axis][side] for axis in axes) for side in (0, 1))
    kernel, stride, dilation = (tuple(field[axis] for axis in axes) for field in (op.kernel, op.stride, op.dilation))
    return _Grid(axes, kernel, stride, low, high, dilation)


def _fits_pooling(grid: _Grid, rank: int) -> bool:
    """Whether the windows go over 1 to 3 last axes, padded by less than a window (or by none at all)."""
    last = tuple(range(rank - len(grid.axes), rank))
    pads = zip(grid.low, grid.high, grid.kernel, strict=True)
    return 1 <= len(grid.axes) <= 3 and grid.axes == last and all(max(low, high) < size for low, high, size in pads)


def _pooled_shape(shape: Shape, spatial: int) -> Shape:
    """The shape with its axes before the spatial ones as two."""
    before = shape[: len(shape) - spatial]
    lead = before if len(before) == 2 else (product(before), 1)
    return (*lead, *shape[len(shape) - spatial :])


def _attributes(grid: _Grid) -> dict[str, Any]:
    facts: dict[str, Any] = {"kernel_shape": grid.kernel, "strides": grid.stride, "pads": (*grid.low, *grid.high)}
    if any(dilation != 1 for dilation in grid.dilation):
        facts["dilations"] = grid.dilation
    return facts


def _window_max(e: Emitter, node: Node) -> None:
    (x,), op, dtype = node.inputs, node.op, dtype_of(node)
    grid = _grid(op)
    if not grid.axes:
        e.alias(node.output, e.form(x))
    elif _fits_pooling(grid, x.type.rank) and dtype in FLOATS:
        source, target = (_pooled_shape(each.type.shape, len(grid.axes)) for each in (x, node.output))
        e.set(node.output, max_pool(e, e.at(e.form(x), source), dtype, _attributes(grid)), target)
    else:
        e.set(node.output, _combined(e, e.full(x), x.type.shape, grid, dtype, "Max"))


def max_pool(e: Emitter, x: str, dtype: DType, attributes: dict[str, Any]) -> str:
    """MaxPool, which drops NaN, and what puts it back."""
    result = e.op("MaxPool", x, **attributes)
    flags = e.op("MaxPool", e.cast(e.op("IsNaN", x), DType.FLOAT32), **attributes)
    return e.op("Where", e.cast(flags, DType.BOOL), e.number(float("nan"), dtype), result)


def _window_sum(e: Emitter, node: Node) -> None:
    (x,), op, dtype = node.inputs, node.op, dtype_of(node)
    grid = _grid(op)
    if not grid.axes:
        e.alias(node.output, e.form(x))
    elif _fits_pooling(grid, x.type.rank) and dtype in SINGLE and (e.opset >= 19 or set(grid.dilation) == {1}):
        source, target = (_pooled_shape(each.type.shape, len(grid.axes)) for each in (x, node.output))
        mean = e.op("AveragePool", e.at(e.form(x), source), count_include_pad=1, **_attributes(grid))
        count = e.number(int(product(grid.kernel)), dtype)  # type: ignore[arg-type]
        e.set(node.output, e.op("Mul", mean, count), target)
    else:
        e.set(node.output, _combined(e, e.full(x), x.type.shape, grid, dtype, "Add"))


def _combined(e: Emitter, name: str, shape: Shape, grid: _Grid, dtype: DType, op: str) -> str:
    """Windows axis by axis: the padded tensor, cut once for each place in the window, put together."""
    fill = e.number(lowest(dtype) if op == "Max" else 0, dtype)
    for k, axis in enumerate(grid.axes):
        low, high = (tuple(pad[k] if at == axis else 0 for at in range(len(shape))) for pad in (grid.low, grid.high))
        name = padded(e, name, low, high, fill)
        size = shape[axis] + grid.low[k] + grid.high[k]
        window = grid.dilation[k] * (grid.kernel[k] - 1) + 1
        parts = []
        for place in range(grid.kernel[k]):
            start = place * grid.dilation[k]
            parts.append(cut(e, name, [axis], [start], [start + size - window + 1], [grid.stride[k]]))
        name = parts[0]
        for part in parts[1:]:
            name = e.op(op, name, part)
        count = (size - window) // grid.stride[k] + 1
        shape = (*shape[:axis], count, *shape[axis + 1 :])
    return name


def lowest(dtype: DType) -> int | float:
    """What is below everything else."""
    return float("-inf") if dtype.is_float else int(np.iinfo(dtype.numpy).min)


def _window_max_grad(e: Emitter, node: Node) -> None:
    """Each dy to the place that MaxPool names; the places count in the padded x, whose edge is cut off at the end."""
    (x, dy), op, dtype = node.inputs, node.op, dtype_of(node)
    grid = _grid(op)
    if not grid.axes:
        e.alias(node.output, e.form(dy))
        return
    rank = x.type.rank
    order = [*(axis for axis in range(rank) if axis not in grid.axes), *grid.axes]
    back = [order.index(axis) for axis in range(rank)]
    lows, highs = _around(grid, rank, order)
    inner = tuple(x.type.shape[axis] for axis in order)
    outer = tuple(size + low + high for size, low, high in zip(inner, lows, highs, strict=True))
    turned_x, turned_dy = (_turned(e, e.full(value), order) for value in (x, dy))
    wide = padded(e, turned_x, lows, highs, e.number(lowest(dtype), dtype))
    family = Family({outer: wide})
    unpadded = replace(grid, low=(0,) * len(grid.axes), high=(0,) * len(grid.axes))
    spatial = len(grid.axes)
    _, places = e.ops("MaxPool", [e.reshaped(family, _pooled_shape(outer, spatial))], 2, **_attributes(unpadded))
    flat = (product(outer),)
    moved = tuple(dy.type.shape[axis] for axis in order)
    count = (product(moved),)
    zeros = e.op("Expand", e.number(0, dtype), e.sizes.vector(flat))
    sums = e.op(
        "ScatterElements",
        zeros,
        e.reshaped(Family({_pooled_shape(moved, spatial): places}), count),
        e.reshaped(Family({moved: turned_dy}), count),
        axis=0,
        reduction="add",
    )
    whole = e.reshaped(Family({flat: sums}), outer)
    result = padded(e, whole, [-n for n in lows], [-n for n in highs], e.number(0, dtype))
    e.set(node.output, _turned(e, result, back))


def _around(grid: _Grid, rank: int, order: Sequence[int]) -> tuple[list[int], list[int]]:
    """Low and high padding of every axis, in an order of the axes."""
    low = dict(zip(grid.axes, grid.low, strict=True))
    high = dict(zip(grid.axes, grid.high, strict=True))
    return [low.get(axis, 0) for axis in order], [high.get(axis, 0) for axis in order]


def _turned(e: Emitter, name: str, order: Sequence[int]) -> str:
    return name if list(order) == sorted(order) else e.op("Transpose", name, perm=order)


def _too_many_axes(node: Node, opset: int) -> str | None:
    return "onnxruntime pools over 3 axes at most" if len(_grid(node.op).axes) > 3 else None


LOWERINGS: dict[str, Lowering] = {
    "window_sum": Lowering(_window_sum, dtypes=NUMBERS),
    "window_max": Lowering(_window_max, dtypes=NUMBERS),
    "window_max_grad": Lowering(
        _window_max_grad, dtypes=frozenset({DType.FLOAT32, DType.FLOAT64}), refuse=_too_many_axes
    ),
}
