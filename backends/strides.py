"""How the elements of an array lie in memory: strides, counted in elements, as symbolic as the sizes.

A view is known before any size is: which reshape needs a copy, which array covers its buffer.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..compiler.ir import AnyDim, Shape
from ..compiler.ir.dims import product


def packed(shape: Shape) -> Shape:
    """The strides of an array in row-major order without gaps."""
    strides: list[AnyDim] = []
    step: AnyDim = 1
    for size in reversed(shape):
        strides.append(step)
        step = step * size
    return tuple(reversed(strides))


def is_packed(shape: Shape, strides: Shape) -> bool:
    """Whether the elements certainly lie in row-major order without gaps (the stride of a size of 1 is free)."""
    return all(size == 1 or a == b for size, a, b in zip(shape, strides, packed(shape), strict=True))


def reshaped(shape: Shape, strides: Shape, wanted: Shape) -> Shape | None:
    """The strides of a view of another shape, or None if it takes a copy (or that depends on sizes)."""
    if is_packed(shape, strides):
        return packed(wanted)
    old = [(size, stride) for size, stride in zip(shape, strides, strict=True) if size != 1]
    result: list[AnyDim] = []
    at = 0
    for size in wanted:
        if size == 1:
            result.append(1)
            continue
        if at == len(old):
            return None
        have, stride = old[at]
        if have == size:
            result.append(stride)
            at += 1
            continue
        # Either this axis of the view takes several old ones, or it is the first part of one.
        taken, last = _merge(old[at:], size)
        if taken:
            result.append(last)
            at += taken
            continue
        rest = _quotient(have, size)
        if rest is None:
            return None
        result.append(stride * rest)
        old[at] = (rest, stride)
        if rest == 1:
            at += 1
    return tuple(result) if at == len(old) else None


def _merge(axes: Sequence[tuple[AnyDim, AnyDim]], size: AnyDim) -> tuple[int, AnyDim]:
    """How many leading axes make one of ``size`` elements without gaps, and its stride; 0 if none do."""
    for count in range(2, len(axes) + 1):
        (_, outer), (inner_size, inner) = axes[count - 2], axes[count - 1]
        if outer != inner * inner_size:
            return 0, 0
        if product(extent for extent, _ in axes[:count]) == size:
            return count, inner
    return 0, 0


def _quotient(have: AnyDim, size: AnyDim) -> AnyDim | None:
    """``have / size`` if that is certainly whole."""
    try:
        rest = have // size
    except ValueError:
        return None
    return rest if rest * size == have else None
