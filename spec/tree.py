"""YAML as the reader gives it: scalars, lists and mappings that know where they stand.

Lists and mappings are subclasses of `list` and `dict`, so that Pydantic takes them as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from .source import Span

Plain: TypeAlias = str | int | float | bool | None

HEX_ESCAPES = {"x": 2, "u": 4, "U": 8}


@dataclass(slots=True, eq=False)
class YamlScalar:
    """A scalar. `value` is what YAML 1.2 makes of it, `text` its characters, `style` one of '' ' " | >."""

    value: Plain
    text: str
    span: Span
    style: str = ""

    def place(self, start: int, stop: int) -> Span:
        """The place in the file of the characters `start` to `stop` of `text`."""
        span = self.span
        if not self.style and span.start_line == span.end_line:
            column = span.start_column
            return Span(span.source, span.start_line, column + start, span.start_line, column + max(stop, start))
        places = _places(self)
        if places is None:
            return span
        first = places[min(start, len(places) - 1)]
        last = places[min(max(stop - 1, start), len(places) - 1)]
        behind = 1 if start < stop <= len(self.text) else 0
        return Span(span.source, first[0], first[1], last[0], last[1] + behind)


class YamlList(list[Any]):
    """A YAML list with its place."""

    __slots__ = ("span",)

    def __init__(self, items: Any, span: Span) -> None:
        super().__init__(items)
        self.span = span


class YamlMap(dict[str, Any]):
    """A YAML mapping with its place and the places of its keys."""

    __slots__ = ("key_spans", "span")

    def __init__(self, items: Any, span: Span, key_spans: dict[str, Span]) -> None:
        super().__init__(items)
        self.span = span
        self.key_spans = key_spans


YamlNode: TypeAlias = YamlScalar | YamlList | YamlMap


def plain(node: YamlNode) -> Any:
    """The same without places: str, int, float, bool, None, list and dict."""
    if isinstance(node, YamlScalar):
        return node.value
    if isinstance(node, YamlList):
        return [plain(item) for item in node]
    return {key: plain(value) for key, value in node.items()}


def kind(node: object) -> str:
    """What a person calls it: `a mapping`, `a list`, `text`, `a number`, `true or false`, `null`."""
    if isinstance(node, YamlMap):
        return "a mapping"
    if isinstance(node, YamlList):
        return "a list"
    if not isinstance(node, YamlScalar):
        return "nothing"
    value = node.value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    return "text" if isinstance(value, str) else "a number"


def _places(scalar: YamlScalar) -> list[tuple[int, int]] | None:
    """Line and column of each character of the text and of its end, or None where the two cannot be aligned.

    One walk for all styles: a character of the text stands at the next equal character of the file, and between them
    there may be only line breaks, indentation and the marks of quoting.
    """
    span = scalar.span
    source = span.source
    raw = source.text[source.offset(span.start_line, span.start_column) : source.offset(span.end_line, span.end_column)]
    at = 0
    if scalar.style in ("|", ">"):
        at = raw.find("\n") + 1
    elif scalar.style:
        at = 1
    offsets: list[int] = []
    for char in scalar.text:
        blank = char in " \n"
        while raw.startswith("\\\n", at) and scalar.style == '"':
            at = _behind_blanks(raw, at + 2)
        if not blank:
            at = _behind_blanks(raw, at)
        if at >= len(raw):
            return None
        offsets.append(at)
        if scalar.style == '"' and raw[at] == "\\":
            at += 2 + HEX_ESCAPES.get(raw[at + 1 : at + 2], 0)
        elif scalar.style == "'" and raw.startswith("''", at):
            at += 2
        elif raw[at] == char or (blank and raw[at] in " \n"):
            at += 1
        else:
            return None
    offsets.append(at)
    return _lines_and_columns(raw, offsets, span)


def _behind_blanks(raw: str, at: int) -> int:
    while at < len(raw) and raw[at] in " \n":
        at += 1
    return at


def _lines_and_columns(raw: str, offsets: list[int], span: Span) -> list[tuple[int, int]]:
    places: list[tuple[int, int]] = []
    line, column, at = span.start_line, span.start_column, 0
    for offset in offsets:
        while at < offset and at < len(raw):
            line, column = (line + 1, 1) if raw[at] == "\n" else (line, column + 1)
            at += 1
        places.append((line, column))
    return places
