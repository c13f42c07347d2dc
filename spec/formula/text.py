"""Formulas within other text: `$name` and `$(formula)` in a text, dims between the brackets of a type."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import FormulaError
from .lexer import LONGEST_FORMULA

INSERTED = re.compile(r"\$(?:(?P<escaped>\$)|(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<opened>\())", re.ASCII)
CLOSING = {"(": ")", "[": "]"}


@dataclass(frozen=True, slots=True)
class Inserted:
    """A formula within a text: its characters and the offset of the first of them."""

    text: str
    offset: int


def split_text(text: str) -> tuple[str | Inserted, ...]:
    """The pieces of a text: literal ones, in which `$$` has become `$`, and inserted formulas; raises FormulaError."""
    if len(text) > LONGEST_FORMULA:
        raise FormulaError(f"the text has more than {LONGEST_FORMULA} characters", 0, 1, limit="formula-length")
    pieces: list[str | Inserted] = []
    literal = ""
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        literal += text[at:dollar]
        match = INSERTED.match(text, dollar)
        if match is None:
            hint = "a name follows, or a formula in parentheses; `$$` is the sign itself"
            raise FormulaError("nothing is inserted by `$`", dollar, dollar + 1, hint)
        at = match.end()
        if match["escaped"]:
            literal += "$"
            continue
        if literal:
            pieces.append(literal)
            literal = ""
        if match["name"]:
            pieces.append(Inserted(match["name"], match.start("name")))
        else:
            stop = matching(text, at - 1)
            pieces.append(Inserted(text[at:stop], at))
            at = stop + 1
    literal += text[at:]
    if literal:
        pieces.append(literal)
    return tuple(pieces)


def split_items(text: str, start: int, closing: str) -> tuple[list[tuple[int, str]], int]:
    """The items between commas from `start` to the closing bracket: (offset, text) each, and the offset behind it.

    Nothing between the brackets is no item. Raises FormulaError.
    """
    stop = matching(text, start - 1)
    if text[stop] != closing:
        raise FormulaError(f"`{closing}` is missing before `{text[stop]}`", stop, stop + 1)
    commas = _commas(text, start, stop)
    if not commas and not text[start:stop].strip():
        return [], stop + 1
    items: list[tuple[int, str]] = []
    for first, last in zip([start, *(comma + 1 for comma in commas)], [*commas, stop], strict=True):
        written = text[first:last]
        if not written.strip():
            raise FormulaError("an item is missing here", last, last + 1)
        blank = len(written) - len(written.lstrip())
        items.append((first + blank, written.strip()))
    return items, stop + 1


def matching(text: str, opened: int) -> int:
    """The offset of the bracket that closes the one at `opened`; quoted texts are passed over; raises FormulaError."""
    expected: list[str] = []
    at = opened
    while at < len(text):
        char = text[at]
        if char in CLOSING:
            expected.append(CLOSING[char])
        elif char in ")]":
            if expected.pop() != char:
                raise FormulaError(f"`{char}` closes nothing", at, at + 1)
            if not expected:
                return at
        elif char in "'\"":
            end = text.find(char, at + 1)
            at = end if end >= 0 else len(text)
        at += 1
    hint = "in YAML's [ ] and { } a text with a comma or bracket needs quotes"
    raise FormulaError(f"`{text[opened]}` is not closed", opened, opened + 1, hint)


def _commas(text: str, start: int, stop: int) -> list[int]:
    """The offsets of the commas that stand in no inner bracket and no quotes."""
    commas: list[int] = []
    at = start
    while at < stop:
        char = text[at]
        if char == ",":
            commas.append(at)
        elif char in CLOSING:
            at = matching(text, at)
        elif char in "'\"":
            at = text.find(char, at + 1)
        at += 1
    return commas
