"""How sliding windows are written (kernel, stride, dilation, padding per axis) and how large their results are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from ..ir.dims import AnyDim, Shape, ceildiv, decide, floordiv, maximum, minimum
from ..ir.op import OpError

Count = Annotated[int, Field(strict=True, ge=1)]
"""A whole number, 1 or more."""
Whole = Annotated[int, Field(strict=True, ge=0)]
"""A whole number, 0 or more."""
PerAxis = Count | tuple[Count, ...]
"""One number for all axes, or one for each."""
Pads = tuple[tuple[int, int], ...]
Padding = Annotated[
    Literal["same", "valid"] | Whole | tuple[Whole, ...] | tuple[tuple[Whole, Whole], ...],
    Field(
        description="padding around x: one number for all sides; a number per axis; all lows, then all highs (2-D: "
        "top, left, bottom, right), as in ONNX; a pair [low, high] per axis; `valid`: none; `same`: ceil(size / "
        "stride) windows, the odd element at the high end"
    ),
]


def per_axis(what: str, field: str, value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """A number per axis. Raises `OpError` for a list of another length."""
    if isinstance(value, int):
        return (value,) * axes
    if len(value) != axes:
        raise OpError(f"{what}: {field} has {len(value)} numbers for {axes} {'axis' if axes == 1 else 'axes'}")
    return tuple(value)


def explicit_padding(what: str, padding: object, axes: int) -> Pads | None:
    """Low and high padding per axis; None for `same`. Raises `OpError` for a list of no known length."""
    if padding == "same":
        return None
    if padding == "valid":
        return ((0, 0),) * axes
    if isinstance(padding, int):
        return ((padding, padding),) * axes
    assert isinstance(padding, tuple)
    kind = "pairs" if padding and all(isinstance(item, tuple) for item in padding) else "numbers"
    if kind == "pairs" and len(padding) == axes:
        return tuple((low, high) for low, high in padding)
    if kind == "numbers" and len(padding) == axes:
        return tuple((size, size) for size in padding)
    if kind == "numbers" and len(padding) == 2 * axes:
        return tuple(zip(padding[:axes], padding[axes:], strict=True))
    raise OpError(
        f"{what}: padding has {len(padding)} {kind}; it takes {axes} numbers, {2 * axes} numbers (all lows, then all "
        f"highs), or {axes} pairs [low, high]"
    )


def extent(kernel: int, dilation: int) -> int:
    """How many elements a dilated kernel spans."""
    return dilation * (kernel - 1) + 1


def same_padding(
    what: str, sizes: Shape, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Pads:
    """The padding that gives ``ceil(size / stride)`` windows, the odd element at the high end.

    Raises `OpError` where it depends on a size that is found at run time.
    """
    pads: list[tuple[int, int]] = []
    for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
        total: AnyDim = maximum((ceildiv(size, s) - 1) * s + extent(k, d) - size, 0)
        if not isinstance(total, int):
            raise OpError(
                f"{what}: `padding: same` with stride {s} depends on the size {size}, found at run time; give the "
                f"padding as numbers, or declare the size as a multiple ({s} * H)"
            )
        pads.append((total // 2, total - total // 2))
    return tuple(pads)


@dataclass(frozen=True, slots=True)
class WindowAxis:
    """Windows along one axis: ``low`` and ``high`` are the padding asked for, ``extra`` what rounding up adds behind.

    ``size`` is the number of windows; with ``extra`` there may be one more, to be dropped.
    """

    low: int
    high: int
    extra: int
    size: AnyDim


def window_axis(what: str, size: AnyDim, span: int, stride: int, pads: tuple[int, int], up: bool) -> WindowAxis:
    """The windows of ``span`` elements every ``stride`` over an axis.

    Rounding ``up`` takes in a last window that is not full, unless it would start in the padding behind (as torch).
    Raises `OpError` if the padded axis is shorter than a window.
    """
    low, high = pads
    padded = size + low + high
    if decide(padded, "<", span):
        raise OpError(f"{what}: the window spans {span}, more than the {padded} elements of the padded axis")
    if not up:
        return WindowAxis(low, high, 0, floordiv(padded - span, stride) + 1)
    extra = stride - 1
    count = floordiv(padded + extra - span, stride) + 1
    if high + extra >= span:
        count = minimum(count, ceildiv(size + low, stride))
    return WindowAxis(low, high, extra, count)
