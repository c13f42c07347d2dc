"""How much memory a call takes, without running anything."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...compiler.ir import AnyDim, Program
from ...compiler.ir.dims import substitute
from .code import Buffer, Computed
from .emit import lower
from .kernels import KERNELS


def buffers(program: Program, entry: str, sizes: Mapping[str, int]) -> list[tuple[int, int, int]]:
    """First use, last use and bytes of each buffer in the arena of an entry."""
    _, _, lowered = lower(program)
    (plan,) = (each.plan for each in lowered if each.entry.name == entry)
    return [(first, last, _bytes(buffer, sizes)) for buffer, first, last in plan.rows()]


def _bytes(buffer: Buffer, sizes: Mapping[str, int]) -> int:
    total = buffer.dtype.bytes
    for size in buffer.shape:
        total *= _known(size, sizes)
    return total


def _known(size: AnyDim | Computed, sizes: Mapping[str, int]) -> int:
    if isinstance(size, Computed):
        found = KERNELS[size.kernel](*(substitute(each, sizes) for each in size.arguments))
        return int(np.asarray(found).item())
    found = substitute(size, sizes)
    if not isinstance(found, int):
        raise ValueError(f"{size} depends on a size that is not given")
    return found


__all__ = ["buffers"]
