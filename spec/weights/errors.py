"""Mistakes in weights files, and how names from files are shown."""

from __future__ import annotations

LONGEST_SHOWN = 120


class WeightsError(ValueError):
    """A weights file that is damaged, refused, or does not fit the model. The message names the file."""


def shown(text: str) -> str:
    """A name from a file as one printable line between backticks; long ones are cut."""
    cut = text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "..."
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in cut)
    return f"`{plain}`"


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as it is written in specs."""
    return "[" + ", ".join(map(str, shape)) + "]"
