"""Patterns of paths, and the texts that are filled with what they matched.

A pattern is segments joined with dots. ``**`` as a segment is any number of segments, none included; ``*`` is one
segment, or inside a segment any characters but no dot, at least one. Of several ways to match, each wildcard takes
as little as it can, the first first. Matching walks back to the last wildcard only: its time is bounded by the length
of the pattern times the length of the path, whatever they hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class PatternError(ValueError):
    """A text is no pattern, or asks for a match that its pattern does not have."""


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A parsed pattern. ``wildcards`` is how many captures a match has."""

    text: str
    segments: tuple[str, ...]
    wildcards: int

    @classmethod
    def parse(cls, text: str) -> PathPattern:
        """Raises `PatternError`."""
        segments = tuple(text.split("."))
        for segment in segments:
            if not segment:
                raise PatternError(f"`{text[:80]}` has an empty segment")
            if "**" in segment and segment != "**":
                raise PatternError(f"`{text[:80]}`: `**` stands alone between dots")
        stars = sum(1 if segment == "**" else segment.count("*") for segment in segments)
        return cls(text, segments, stars)

    def match(self, path: str) -> tuple[str, ...] | None:
        """What the wildcards stand for in ``path``, in order; None if the path does not match."""
        parts = path.split(".")
        if "**" not in self.segments:
            if len(parts) != len(self.segments):
                return None
            return _gather(self.segments, parts)
        return self._match_any(parts)

    def _match_any(self, parts: Sequence[str]) -> tuple[str, ...] | None:
        """Match with ``**``: positions in the pattern and in the path go forward, back to the last ``**`` only."""
        at = start = 0  # in the pattern, in the path
        open_at: int | None = None  # the last `**`
        open_stop = 0  # where its match ends
        spans: list[tuple[int, int, int]] = []  # (place of a `**` in the pattern, its match in the path)
        while start < len(parts) or at < len(self.segments):
            segment = self.segments[at] if at < len(self.segments) else None
            if segment == "**":
                spans.append((at, start, start))
                open_at, open_stop = at, start
                at += 1
            elif segment is not None and start < len(parts) and _match_segment(segment, parts[start]) is not None:
                at, start = at + 1, start + 1
            elif open_at is not None and open_stop < len(parts):
                open_stop += 1
                spans[-1] = (open_at, spans[-1][1], open_stop)
                at, start = open_at + 1, open_stop
            else:
                return None
        return self._captures(parts, spans)

    def _captures(self, parts: Sequence[str], spans: Sequence[tuple[int, int, int]]) -> tuple[str, ...] | None:
        captures: list[str] = []
        start = done = 0
        for at, low, high in spans:
            between = _gather(self.segments[done:at], parts[start:low])
            assert between is not None
            captures += (*between, ".".join(parts[low:high]))
            done, start = at + 1, high
        rest = _gather(self.segments[done:], parts[start:])
        assert rest is not None
        return (*captures, *rest)


def _gather(segments: Sequence[str], parts: Sequence[str]) -> tuple[str, ...] | None:
    captures: list[str] = []
    for segment, part in zip(segments, parts, strict=True):
        found = _match_segment(segment, part)
        if found is None:
            return None
        captures += found
    return tuple(captures)


def _match_segment(pattern: str, part: str) -> tuple[str, ...] | None:
    """One segment: what its ``*`` stand for, or None."""
    if "*" not in pattern:
        return () if pattern == part else None
    if pattern == "*":
        return (part,) if part else None
    first, *middle, last = pattern.split("*")
    if not part.startswith(first):
        return None
    captures: list[str] = []
    start = len(first)
    for literal in middle:
        # The shortest match of a star, by the first place of what follows it, leaves most to the others.
        found = part.find(literal, start + 1)
        if found < 0:
            return None
        captures.append(part[start:found])
        start = found + len(literal)
    stop = len(part) - len(last)
    if stop <= start or not part.endswith(last):
        return None
    return (*captures, part[start:stop])


@dataclass(frozen=True, slots=True)
class Template:
    """A path with ``$1``, ``$2``, ... for what the wildcards of a pattern matched; ``$$`` is a dollar sign."""

    pieces: tuple[str | int, ...]

    @classmethod
    def parse(cls, text: str, wildcards: int) -> Template:
        """Raises `PatternError` for ``$`` before something else, or the number of a match that the pattern has not."""
        pieces: list[str | int] = []
        first, *rest = text.split("$")
        pieces.append(first)
        items = iter(rest)
        for item in items:
            digits = item[: len(item) - len(item.lstrip("0123456789"))]
            if item == "" and (following := next(items, None)) is not None:
                pieces.append("$" + following)
            elif not digits:
                raise PatternError(f"`{text[:80]}`: after `$` stands the number of a match (`$1`), or another `$`")
            elif not 1 <= int(digits[:6]) <= wildcards:
                has = "has no wildcard" if wildcards == 0 else f"has {wildcards}"
                raise PatternError(f"`{text[:80]}`: there is no match ${digits[:6]}, `from` {has}")
            else:
                pieces += (int(digits), item[len(digits) :])
        return cls(tuple(piece for piece in pieces if piece != ""))

    def __str__(self) -> str:
        return "".join(piece.replace("$", "$$") if isinstance(piece, str) else f"${piece}" for piece in self.pieces)

    def fill(self, captures: Sequence[str]) -> str:
        """The path. A match of no segments leaves no empty segment behind."""
        text = "".join(piece if isinstance(piece, str) else captures[piece - 1] for piece in self.pieces)
        return ".".join(segment for segment in text.split(".") if segment)
