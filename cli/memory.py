"""How commands tell of memory."""

from __future__ import annotations

from ..compiler.footprint import Footprint
from .console import bytes_text


def memory_text(found: Footprint) -> str:
    """What a call holds, beside the values that live at once."""
    if found.peak is None or found.live is None:
        return f"plans its memory by itself; {bytes_text(found.bound)} of values live at once"
    times = "" if found.ratio is None else f" ({found.ratio:.2f} times)"
    scratch = found.live - found.bound
    beside = f", with {bytes_text(scratch)} that kernels need besides" if scratch > 0 else ""
    return f"{bytes_text(found.peak)} in one block for {bytes_text(found.bound)} of values{times}{beside}"
