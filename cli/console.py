"""How commands speak: text and tables for people, JSON for programs, progress and errors beside them."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.status import Status
from rich.table import Table
from rich.text import Text

out = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e0fff]"
)


def plain(text: str) -> str:
    """Text from elsewhere; what moves the cursor, turns the reading direction or is not seen is spelled."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def say(text: str = "", style: str = "") -> None:
    """A line (or lines) on standard output, as it is: no markup, no wrapping."""
    out.print(Text(plain(text), style=style), soft_wrap=True)


def cell(text: str, style: str = "") -> Text:
    """Text from elsewhere for a table, as it is: square brackets in it are no markup."""
    return Text(plain(text), style=style)


def show(what: RenderableType) -> None:
    """A table or another thing that rich lays out, on standard output."""
    out.print(what)


def say_json(data: Any) -> None:
    """Data for programs on standard output."""
    sys.stdout.write(json_text(data))


def json_text(data: Any) -> str:
    """Data as JSON; what is no finite number becomes null."""
    return json.dumps(_jsonable(data), indent=1, allow_nan=False) + "\n"


def _jsonable(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(key): _jsonable(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_jsonable(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data


def fail(message: str) -> None:
    """One clear message on standard error."""
    text = Text(plain(message))
    if ": error: " not in message:
        text = Text("error: ", style="bold red") + text
    errors.print(text, soft_wrap=True)


def warn(message: str) -> None:
    """A warning on standard error."""
    errors.print(Text("warning: ", style="yellow") + Text(plain(message)), soft_wrap=True)


_BAR = 24
"""Characters of a progress bar."""


class Progress:
    """Says what is being done, on standard error, while it lasts; nothing where that is no terminal."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def __call__(self, message: str) -> None:
        self._status.update(Text(plain(message)))

    def part(self, what: str, done: int, total: int) -> None:
        """Say how far a long thing is: a bar and its numbers."""
        full = _BAR if total <= 0 else _BAR * done // total
        self(f"{what} {'━' * full}{'╌' * (_BAR - full)} {done:,}/{total:,}")


@contextmanager
def progress(message: str) -> Iterator[Progress]:
    """A line that moves while the block runs."""
    with errors.status(Text(plain(message))) as status:
        yield Progress(status)


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table without lines; columns named in ``right`` are numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def count(number: Any) -> str:
    """A number with thousands marked."""
    return f"{number:,}" if isinstance(number, int) else str(number)


def scaled(number: int) -> str:
    """A large number with a decimal prefix: 4.1 G."""
    value = float(number)
    for unit in ("", " k", " M", " G", " T"):
        if abs(value) < 1000:
            return f"{value:.0f}" if not unit else f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g} P"


def bytes_text(number: int) -> str:
    """Bytes with a binary unit."""
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def seconds_text(seconds: float) -> str:
    """A time with a unit that suits it."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.{0 if seconds >= 1e-5 else 1}f} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"
