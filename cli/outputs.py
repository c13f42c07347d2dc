"""Arrays as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .console import say

_SMALL = 40
"""Elements that are printed as they are."""
_MOST_ROWS = 4
_TOP = 5
_BAR = 24
_MOST_JSON = 10_000
"""Elements that JSON spells out."""


def show_outputs(outputs: Mapping[str, np.ndarray]) -> None:
    """Every output: a small one whole, scores by their greatest, a large one by its range."""
    for name, array in outputs.items():
        say(f"{name}: {array.dtype}{list(array.shape)}", style="bold")
        for line in lines_of(array):
            say(f"  {line}")


def lines_of(array: np.ndarray) -> list[str]:
    """What there is to see of an array."""
    if array.size == 0:
        return ["empty"]
    wide = array.astype(np.float64) if array.dtype.kind not in "biu" else array
    if _are_scores(wide):
        return _top(wide)
    if array.size <= _SMALL:
        return np.array2string(wide, precision=5, suppress_small=False, max_line_width=76).splitlines()
    finite = wide[np.isfinite(wide)] if wide.dtype.kind == "f" else wide
    special = wide.size - finite.size
    notes = f", {special:,} not finite" if special else ""
    if finite.size == 0:
        return [f"{special:,} elements, none is finite"]
    return [f"from {finite.min():.5g} to {finite.max():.5g}, mean {finite.mean():.5g}{notes}"]


def _are_scores(array: np.ndarray) -> bool:
    rows = array.shape[0] if array.ndim == 2 else 0
    return (
        array.dtype.kind == "f" and 0 < rows <= _MOST_ROWS and array.shape[1] >= _TOP and bool(np.isfinite(array).all())
    )


def _top(array: np.ndarray) -> list[str]:
    lines = []
    for number, row in enumerate(array):
        if len(array) > 1:
            lines.append(f"row {number}")
        # Bars only where the numbers are shares of one whole.
        shares = row.min() >= 0 and abs(row.sum() - 1) < 1e-3
        for place in np.argsort(-row, kind="stable")[:_TOP]:
            bar = " " + "█" * round(float(row[place]) * _BAR) if shares else ""
            lines.append(f"{place:>6}  {row[place]:<12.6g}{bar}".rstrip())
        if len(row) > _TOP:
            lines.append(f"   ... {len(row) - _TOP:,} more")
    return lines


def outputs_data(outputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """As JSON data; the values of an array that is not too large."""
    return {
        name: {
            "dtype": str(array.dtype),
            "shape": list(array.shape),
            "values": _plain(array) if array.size <= _MOST_JSON else None,
        }
        for name, array in outputs.items()
    }


def _plain(array: np.ndarray) -> Any:
    return (array if array.dtype.isbuiltin == 1 else array.astype(np.float32)).tolist()
