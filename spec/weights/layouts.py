"""Layouts: how the keys of a foreign file map to our paths.

A layout is a list of rules, or the plan of a flat file (`flat`). Our own paths need no rules: a key that no rule
matches stands for the parameter of that path, and the layout without rules always takes part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..diagnostics import error_at
from ..model.weights import FlatFile, WeightRule
from .matching import PathPattern, PatternError, Template

OWN = "own"
"""The name of the layout without rules."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, parsed. ``to`` is None where keys keep their names, ``concat`` the axis along which several join."""

    sources: tuple[PathPattern, ...]
    to: Template | None = None
    transpose: bool = False
    concat: int | None = None
    ignore: bool = False

    @classmethod
    def parse(
        cls,
        sources: Sequence[str],
        to: str | None = None,
        transpose: bool = False,
        concat: int | None = None,
        ignore: bool = False,
    ) -> Rule:
        """Raises `PatternError` for patterns that are none, or that do not go together."""
        patterns = tuple(PathPattern.parse(str(source)) for source in sources)
        wildcards = patterns[0].wildcards
        for pattern in patterns[1:]:
            if pattern.wildcards != wildcards:
                raise PatternError(
                    f"`{patterns[0].text}` and `{pattern.text}` join, so they need the same number of wildcards"
                )
        if len(patterns) > 1 and to is None:
            raise PatternError("several keys join into one parameter, which `to` must name")
        template = None if to is None else Template.parse(str(to), wildcards)
        return cls(patterns, template, transpose, concat, ignore)

    def words(self, key: str) -> str:
        """What the rule does with a key, in a few words."""
        found = self.match(key)
        position = 0 if found is None else found[0]
        done = [self.sources[position].text]
        done += ["transposed"] if self.transpose else []
        done += [f"piece {position + 1} of {len(self.sources)}"] if len(self.sources) > 1 else []
        return ", ".join(done)

    def __str__(self) -> str:
        """As specs write it."""
        sources = [pattern.text for pattern in self.sources]
        fields = [f"from: {sources[0] if len(sources) == 1 else '[' + ', '.join(sources) + ']'}"]
        fields += [f"to: {self.to}"] if self.to is not None else []
        fields += [f"concat: {self.concat}"] if self.concat is not None else []
        fields += [f"{name}: true" for name in ("transpose", "ignore") if getattr(self, name)]
        return "{" + ", ".join(fields) + "}"

    def match(self, key: str) -> tuple[int, tuple[str, ...]] | None:
        """Which of the sources matches the key, and what its wildcards stand for."""
        for position, pattern in enumerate(self.sources):
            captures = pattern.match(key)
            if captures is not None:
                return position, captures
        return None


@dataclass(frozen=True, slots=True)
class RuleLayout:
    """Rules under a name; the first that matches a key wins."""

    name: str
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class FlatLayout:
    """A file of float32 in a fixed order, behind a header of so many bytes."""

    name: str
    header: int
    sequence: tuple[str, ...]
    each: tuple[str, ...]


Layout = RuleLayout | FlatLayout


def parse_layouts(declared: Mapping[str, Any]) -> tuple[Layout, ...]:
    """The layouts of a document, without the implicit one. Raises `SpecError` at the place of a mistake."""
    return tuple(
        FlatLayout(name, layout.header, tuple(map(str, layout.sequence)), tuple(map(str, layout.each)))
        if isinstance(layout, FlatFile)
        else RuleLayout(name, tuple(_rules(layout)))
        for name, layout in declared.items()
    )


def _rules(declared: Iterable[WeightRule]) -> Iterable[Rule]:
    for rule in declared:
        try:
            yield Rule.parse(rule.sources, rule.to, rule.transpose, rule.concat, rule.ignore)
        except PatternError as error:
            raise error_at(rule.span, str(error)) from error
