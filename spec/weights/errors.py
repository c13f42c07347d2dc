"""Mistakes in weights files, and how names from files are shown."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice

LONGEST_SHOWN = 120


class WeightsError(ValueError):
    """A weights file that is damaged, refused, or does not fit the model. The message names the file."""


def shown(text: str) -> str:
    """A name from a file as one printable line between backticks; long ones are cut."""
    return f"`{one_line(text)}`"


def one_line(text: str) -> str:
    """A name from a file as one printable line; long ones are cut."""
    cut = text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "..."
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in cut)


def listed(names: Collection[str], most: int = 10) -> str:
    """Several names from a file in one line, the first ones if they are many."""
    first = ", ".join(map(shown, islice(names, most)))
    return first if len(names) <= most else f"{first} and {len(names) - most} more"


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as it is written in specs."""
    return "[" + ", ".join(map(str, shape)) + "]"
