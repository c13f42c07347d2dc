"""Which arrays BLAS reads as they are; the rest of what is known about strides stands in `backends.strides`."""

from __future__ import annotations

from ...compiler.ir import Shape
from ...compiler.ir.dims import decide
from ..strides import is_packed, packed, reshaped


def blas_reads(shape: Shape, strides: Shape) -> bool:
    """Whether the last two axes are a matrix that BLAS takes as it is, perhaps transposed."""
    (rows, columns), (down, across) = shape[-2:], strides[-2:]
    if across == 1 and (rows == 1 or decide(down, ">=", columns)):
        return True
    return bool(down == 1 and (columns == 1 or decide(across, ">=", rows)))


__all__ = ["blas_reads", "is_packed", "packed", "reshaped"]
