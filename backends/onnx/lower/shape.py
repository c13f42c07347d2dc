"""Primitives that move elements. Reshapes and broadcasts emit nothing by themselves: see `forms`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....compiler.ir import AnyDim, Node, Shape
from ..capabilities import NO_BFLOAT16, Lowering
from ..emit import Emitter
from ..forms import Family, Form, stripped

_BEFORE_ALL = np.iinfo(np.int64).min


def _reshape(e: Emitter, node: Node) -> None:
    e.alias(node.output, Form(node.output.type, e.family(e.form(node.inputs[0]))))


def _broadcast(e: Emitter, node: Node) -> None:
    (x,), shape = node.inputs, node.output.type.shape
    form = e.form(x)
    source = (x.type.shape, form.family) if form.family is not None else form.thin
    assert source is not None
    sizes: list[AnyDim] = [1] * len(shape)
    axes = node.op.axes  # type: ignore[attr-defined]
    inner = source[0]
    for axis, size in zip(axes[len(axes) - len(inner) :], inner, strict=True):
        sizes[axis] = size
    thin = stripped(tuple(sizes))
    if thin == stripped(shape):
        e.alias(node.output, Form(node.output.type, source[1]))
    else:
        e.alias(node.output, Form(node.output.type, None, (thin, source[1])))


def _transpose(e: Emitter, node: Node) -> None:
    (x,), axes = node.inputs, node.op.axes  # type: ignore[attr-defined]
    moved = [axis for axis in axes if x.type.shape[axis] != 1]
    if moved == sorted(moved):
        e.alias(node.output, Form(node.output.type, e.family(e.form(x))))
    else:
        e.set(node.output, e.op("Transpose", e.full(x), perm=axes))


def _concat(e: Emitter, node: Node) -> None:
    if len(node.inputs) == 1:
        e.alias(node.output, e.form(node.inputs[0]))
    else:
        e.set(node.output, e.op("Concat", *map(e.full, node.inputs), axis=node.op.axis))  # type: ignore[attr-defined]


def _slice(e: Emitter, node: Node) -> None:
    (x,), op = node.inputs, node.op
    start, stop, stride = op.start, op.stop, op.stride  # type: ignore[attr-defined]
    shape = x.type.shape
    axes = [k for k in range(len(shape)) if start[k] != 0 or stop[k] != shape[k] or stride[k] != 1]
    if axes == [len(shape) - 1]:
        name, under = e.last_axis(x)
        axes, start, stop, stride = [len(under) - 1], *((each[-1],) * len(under) for each in (start, stop, stride))
    else:
        name, under = e.full(x), shape
    result = cut(e, name, axes, [start[k] for k in axes], [stop[k] for k in axes], [stride[k] for k in axes])
    e.set(node.output, result, (*under[:-1], node.output.type.shape[-1]) if under != shape else None)


def cut(
    e: Emitter,
    name: str,
    axes: Sequence[int],
    start: Sequence[AnyDim],
    stop: Sequence[AnyDim],
    stride: Sequence[int] = (),
) -> str:
    """Part of a tensor along some axes."""
    if not axes:
        return name
    steps = e.ints(stride) if any(step != 1 for step in stride) else ""
    return e.op("Slice", name, e.sizes.vector(start), e.sizes.vector(stop), e.ints(axes), steps)


def _reverse(e: Emitter, node: Node) -> None:
    (x,), axes = node.inputs, node.op.axes  # type: ignore[attr-defined]
    e.set(node.output, turned(e, e.full(x), axes))


def turned(e: Emitter, name: str, axes: Sequence[int]) -> str:
    """A tensor with the elements of some axes in opposite order."""
    if not axes:
        return name
    last, before = e.ints([-1] * len(axes)), e.ints([_BEFORE_ALL] * len(axes))
    return e.op("Slice", name, last, before, e.ints(axes), last)


def _pad(e: Emitter, node: Node) -> None:
    (x, fill), op = node.inputs, node.op
    low, high, interior = op.low, op.high, op.interior  # type: ignore[attr-defined]
    family, value = e.family(e.form(x)), e.full(fill)
    name = spread(e, family, x.type.shape, interior, value)
    e.set(node.output, padded(e, name, low, high, value))


def spread(e: Emitter, family: Family, shape: Shape, interior: Sequence[int], fill: str) -> str:
    """A tensor with ``interior[k]`` fills between the neighbours of axis k."""
    for axis, between in enumerate(interior):
        if between:
            family, shape = _spread_axis(e, family, shape, axis, between, fill)
    return e.reshaped(family, shape)


def _spread_axis(e: Emitter, family: Family, shape: Shape, axis: int, between: int, fill: str) -> tuple[Family, Shape]:
    """``between`` fills behind each element of an axis, those behind the last cut off again."""
    apart = (*shape[: axis + 1], 1, *shape[axis + 1 :])
    name = padded(e, e.reshaped(family, apart), (0,) * len(apart), _at(axis + 1, between, len(apart)), fill)
    wide = (*shape[:axis], shape[axis] * (between + 1), *shape[axis + 1 :])
    cells = (*shape[: axis + 1], between + 1, *shape[axis + 1 :])
    name = e.reshaped(Family({cells: name}), wide)
    kept = (*shape[:axis], wide[axis] - between, *shape[axis + 1 :])
    return Family({kept: cut(e, name, [axis], [0], [kept[axis]])}), kept


def _at(axis: int, value: AnyDim, rank: int) -> Shape:
    return tuple(value if k == axis else 0 for k in range(rank))


def padded(e: Emitter, name: str, low: Sequence[AnyDim], high: Sequence[AnyDim], fill: str) -> str:
    """A tensor with ``fill`` around it; negative numbers cut."""
    axes = [k for k in range(len(low)) if low[k] != 0 or high[k] != 0]
    if not axes:
        return name
    widths = [*(low[k] for k in axes), *(high[k] for k in axes)]
    return e.op("Pad", name, e.sizes.vector(widths), fill, e.ints(axes))


LOWERINGS: dict[str, Lowering] = {
    "reshape": Lowering(_reshape),
    "transpose": Lowering(_transpose),
    "broadcast": Lowering(_broadcast),
    "concat": Lowering(_concat),
    "slice": Lowering(_slice),
    "reverse": Lowering(_reverse),
    "pad": Lowering(_pad, dtypes=NO_BFLOAT16),
}
