"""How much memory a call takes: the emitted module is asked for its tables of buffers, nothing of it runs."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..api import Row
from .runtime import MODULE, import_checked


def buffers(text: str, sizes: Mapping[str, int]) -> dict[str, list[Row]]:
    """First use, last use and bytes of each buffer in the arena, by entry, of the module with this text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODULE
        path.write_text(text, encoding="utf-8")
        entries = import_checked(path).ENTRIES
    found = {}
    for name, entry in entries.items():
        rows = entry.table(tuple(sizes[symbol] for symbol in entry.symbols))
        found[name] = [
            (first, last, math.prod(map(int, shape)) * np.dtype(dtype).itemsize) for first, last, dtype, shape in rows
        ]
    return found
