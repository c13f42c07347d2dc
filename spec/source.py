"""Where something stands in a file, and how that is shown to a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

WIDEST = 160  # columns of a source line that an error shows


@dataclass(eq=False)
class Source:
    """A text and the name that people know it by (a path as they typed it). Line breaks are `\\n` only."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def _starts(self) -> list[int]:
        starts, at = [], 0
        for line in self.lines:
            starts.append(at)
            at += len(line) + 1
        return starts

    def offset(self, line: int, column: int) -> int:
        """The index in `text` of a 1-based line and column; the end of the text for what lies behind it."""
        if line > len(self._starts):
            return len(self.text)
        return min(self._starts[line - 1] + column - 1, len(self.text))

    def whole(self) -> Span:
        """The place of a mistake that concerns the whole file, or one that could not be read."""
        return Span(self, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a source: 1-based lines and columns, the end column behind the last character.

    Line 0 stands for the file as a whole.
    """

    source: Source
    start_line: int
    start_column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        if not self.start_line:
            return self.source.name
        return f"{self.source.name}:{self.start_line}:{self.start_column}"

    def __repr__(self) -> str:
        return f"<{self}>"

    @property
    def order(self) -> tuple[str, int, int]:
        """Sorts by file, line and column."""
        return self.source.name, self.start_line, self.start_column

    def render(self) -> str:
        """The source line with carets below the stretch; empty where there is no such line."""
        lines = self.source.lines
        if not 0 < self.start_line <= len(lines) or not self.source.text:
            return ""
        line = lines[self.start_line - 1]
        first = self.start_column - 1
        last = self.end_column - 1 if self.end_line == self.start_line else len(line.rstrip())
        # A very long line is shown around the place.
        skip = max(0, first - WIDEST // 2) if len(line) > WIDEST else 0
        shown = line[skip : skip + WIDEST].rstrip()
        width = max(1, min(last, skip + len(shown)) - first)
        gutter = f"{self.start_line:>5} | "
        return f"{gutter}{shown}\n{' ' * (len(gutter) - 2)}| {' ' * (first - skip)}{'^' * width}"
