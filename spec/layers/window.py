"""How convolutions read their windows: as pooling does (`compiler.ops.geometry`), checked against x."""

from __future__ import annotations

from collections.abc import Sequence

from ...compiler.ir import OpError, Shape
from ...compiler.ir.dims import decide
from ...compiler.ops.geometry import Padding, Pads, PerAxis, explicit_padding, extent, per_axis, same_padding
from .fields import Whole

WholePerAxis = Whole | tuple[Whole, ...]
"""One number for all axes, or one for each; 0 is allowed."""


def check_fits(layer: str, sizes: Shape, kernel: Sequence[int], dilation: Sequence[int], pads: Pads) -> None:
    """Raises `OpError` if a kernel is larger than the padded axis that it walks along."""
    for axis, (size, k, d, (low, high)) in enumerate(zip(sizes, kernel, dilation, pads, strict=True)):
        padded = size + low + high
        if decide(padded, "<", extent(k, d)):
            spans = f"the kernel spans {extent(k, d)}" + (f" (size {k}, dilation {d})" if d > 1 else "")
            raise OpError(f"{layer}: {spans} on spatial axis {axis}, where x with its padding has {padded}")


__all__ = [
    "Padding",
    "Pads",
    "PerAxis",
    "WholePerAxis",
    "check_fits",
    "explicit_padding",
    "extent",
    "per_axis",
    "same_padding",
]
