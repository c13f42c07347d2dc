"""The loss over the epochs, as a picture."""

from __future__ import annotations

from pathlib import Path

from ..files import write_file
from ..plot import line_chart
from .history import History


def write_curve(path: Path, history: History, title: str) -> None:
    """Draw every measure that is a loss. Raises OutputError."""
    names = dict.fromkeys(key for epoch in history.epochs for key in epoch if key.split("_")[-1] == "loss")
    lines = {
        name: [(epoch["epoch"], epoch[name]) for epoch in history.epochs if isinstance(epoch.get(name), float)]
        for name in names
    }
    text = line_chart(lines, title, "epoch", "loss")
    write_file(path, lambda file: file.write(text.encode()))
