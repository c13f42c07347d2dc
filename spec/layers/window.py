"""How convolutions read their windows: kernel, stride, dilation and padding as written, per axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from typing import Literal as OneOf

from pydantic import Field

from ...compiler.ir import AnyDim, OpError, Shape
from ...compiler.ir.dims import ceildiv, decide, maximum
from .fields import Count, Whole

PerAxis = Count | tuple[Count, ...]
"""One number for all axes, or one for each."""
WholePerAxis = Whole | tuple[Whole, ...]
Pads = tuple[tuple[int, int], ...]
Padding = Annotated[
    OneOf["same", "valid"] | Whole | tuple[Whole, ...] | tuple[tuple[Whole, Whole], ...],
    Field(
        description="zeros around x: one number for all sides; a number per axis; all lows, then all highs (2-D: top, "
        "left, bottom, right), as in ONNX; a pair [low, high] per axis; `valid`: none; `same`: ceil(size / stride) "
        "windows, the odd zero at the high end"
    ),
]


def per_axis(layer: str, field: str, value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """A number per axis. Raises `OpError` for a list of another length."""
    if isinstance(value, int):
        return (value,) * axes
    if len(value) != axes:
        raise OpError(f"{layer}: {field} has {len(value)} numbers for {axes} {'axis' if axes == 1 else 'axes'}")
    return tuple(value)


def explicit_padding(layer: str, padding: object, axes: int) -> Pads | None:
    """Low and high padding per axis; None for `same`. Raises `OpError` for a list of no known length."""
    if padding == "same":
        return None
    if padding == "valid":
        return ((0, 0),) * axes
    if isinstance(padding, int):
        return ((padding, padding),) * axes
    assert isinstance(padding, tuple)
    pairs = all(isinstance(item, tuple) for item in padding)
    if pairs and len(padding) == axes:
        return tuple((low, high) for low, high in padding)
    if not pairs and len(padding) == axes:
        return tuple((size, size) for size in padding)
    if not pairs and len(padding) == 2 * axes:
        return tuple(zip(padding[:axes], padding[axes:], strict=True))
    what = "pairs" if pairs else "numbers"
    raise OpError(
        f"{layer}: padding has {len(padding)} {what}; it takes {axes} numbers, {2 * axes} numbers (all lows, then all "
        f"highs), or {axes} pairs [low, high]"
    )


def extent(kernel: int, dilation: int) -> int:
    """How many elements a dilated kernel spans."""
    return dilation * (kernel - 1) + 1


def same_padding(
    layer: str, sizes: Shape, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Pads:
    """The padding that gives ``ceil(size / stride)`` windows, the odd zero at the high end.

    Raises `OpError` where it depends on a size that is found at run time.
    """
    pads: list[tuple[int, int]] = []
    for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
        total: AnyDim = maximum((ceildiv(size, s) - 1) * s + extent(k, d) - size, 0)
        if not isinstance(total, int):
            raise OpError(
                f"{layer}: `padding: same` with stride {s} depends on the size {size}, found at run time; give the "
                f"padding as numbers, or declare the size as a multiple ({s} * H)"
            )
        pads.append((total // 2, total - total // 2))
    return tuple(pads)


def check_fits(layer: str, sizes: Shape, kernel: Sequence[int], dilation: Sequence[int], pads: Pads) -> None:
    """Raises `OpError` if a kernel is larger than the padded axis that it walks along."""
    for axis, (size, k, d, (low, high)) in enumerate(zip(sizes, kernel, dilation, pads, strict=True)):
        padded = size + low + high
        if decide(padded, "<", extent(k, d)):
            spans = f"the kernel spans {extent(k, d)}" + (f" (size {k}, dilation {d})" if d > 1 else "")
            raise OpError(f"{layer}: {spans} on spatial axis {axis}, where x with its padding has {padded}")
