"""What the passes did to a program and what they declined, as data for people and machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .ir.graph import Loc
from .passes.context import Event

_PLACES = 8
"""Places that are listed for one kind of event."""


@dataclass(frozen=True, slots=True)
class Line:
    """Events that differ in nothing but their place. ``places`` are the first of them."""

    pass_name: str
    kind: str
    what: str
    why: str
    count: int
    places: tuple[Loc, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a compilation did: how often each pass rewrote and refused, and each kind of event in order."""

    counts: dict[str, dict[str, int]]
    lines: tuple[Line, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        lines = [
            {
                "pass": line.pass_name,
                "kind": line.kind,
                "what": line.what,
                "why": line.why,
                "count": line.count,
                "places": [str(place) for place in line.places],
            }
            for line in self.lines
        ]
        return {"counts": self.counts, "events": lines}


def explain(log: Sequence[Event]) -> Explanation:
    """The log of a `Context`, equal events put together."""
    counts: dict[str, dict[str, int]] = {}
    places: dict[tuple[str, str, str, str], list[Loc | None]] = {}
    for event in log:
        kinds = counts.setdefault(event.pass_name, {"rewritten": 0, "refused": 0})
        kinds[event.kind] += 1
        places.setdefault((event.pass_name, event.kind, event.what, event.why), []).append(event.loc)
    lines = tuple(
        Line(*key, len(found), tuple(dict.fromkeys(loc for loc in found if loc is not None))[:_PLACES])
        for key, found in places.items()
    )
    return Explanation(counts, lines)
