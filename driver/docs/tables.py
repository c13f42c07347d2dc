"""Pieces of Markdown: tables, numbers, and text from specs as nothing but text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_WORD = re.compile(r"((?<!`)`[A-Za-z0-9_.:=,*-]+(?: [A-Za-z0-9_.:=,*-]+)*`(?!`))")
_MARKS = re.compile(r"[\\`*{}\[\]<>#|~!$&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def plain(text: str) -> str:
    """A text from a spec on one line; what Markdown or HTML would read as more than text is escaped.

    Plain words between backticks stay code.
    """
    pieces = _WORD.split(" ".join(text.split()))
    return "".join(piece if at % 2 else _MARKS.sub(r"\\\g<0>", piece) for at, piece in enumerate(pieces))


def code(text: str) -> str:
    """A text from a spec on one line as code, in a table, too; nothing for nothing."""
    kept = " ".join(text.split()).replace("`", "'").replace("|", "\\|")
    return f"`{kept}`" if kept else ""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], first: int = 0, last: int = -1) -> str:
    """A table; its columns from ``first`` to ``last`` are numbers. Cells are Markdown already."""
    rule = ["---:" if first <= at <= last else "---" for at in range(len(columns))]
    lines = ["| " + " | ".join(cells) + " |" for cells in (columns, *rows)]
    return "\n".join([lines[0], "|" + "|".join(rule) + "|", *lines[1:]]) + "\n"


def amount(number: int) -> str:
    """A number to six digits: `416,520`, `15.4703 G`."""
    for power, unit in ((12, "T"), (9, "G"), (6, "M")):
        if number >= 10**power:
            share = number / 10**power
            return f"{share:,.{max(0, 6 - len(str(int(share))))}f} {unit}"
    return f"{number:,}"


def memory(number: int) -> str:
    """Bytes with one decimal."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if number >= 2**power:
            return f"{number / 2**power:,.1f} {unit}"
    return f"{number:,} B"
