"""Mistakes in a spec: one diagnostic each, collected and shown together."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from .source import Span

MOST_SHOWN = 50  # diagnostics that one error prints; the rest is counted
MOST_CALLS = 8  # lines of the chain of calls that one diagnostic prints
MOST_KEPT = 1000  # mistakes after which nobody looks for more
MOST_CHOICES = 300  # words among which the nearest is looked for


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake.

    `hint` is a sentence that helps. `chain` leads from the innermost call outwards: (label of the block, span of the
    call). `limit` names the limit that was reached, if the spec is too large rather than wrong.
    """

    span: Span
    message: str
    hint: str | None = None
    chain: tuple[tuple[str, Span], ...] = ()
    limit: str | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for the same message at the same place, also of a file that was read twice."""
        return *self.span.order, self.message

    def render(self) -> str:
        """`file:line:column: error: message`, the source line, the hint and the chain of calls."""
        parts = [f"{self.span}: error: {self.message}"]
        shown = self.span.render()
        if shown:
            parts.append(shown)
        if self.hint:
            parts.append(f"      hint: {self.hint}")
        calls = [f"      in block {label} called from {span}" for label, span in self.chain]
        if len(calls) > MOST_CALLS:
            calls[MOST_CALLS - 2 : -1] = [f"      ... {len(calls) - MOST_CALLS + 1} more calls"]
        return "\n".join([*parts, *calls])


class SpecError(Exception):
    """One or more mistakes in a spec, sorted by position, without repetitions; `str()` shows them all."""

    diagnostics: tuple[Diagnostic, ...]

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        unique = {one.key: one for one in reversed(list(diagnostics))}
        self.diagnostics = tuple(sorted(reversed(unique.values()), key=lambda one: one.span.order))
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        shown = [one.render() for one in self.diagnostics[:MOST_SHOWN]]
        more = len(self.diagnostics) - MOST_SHOWN
        if more > 0:
            shown.append(f"... and {more} more")
        return "\n".join(shown)


class LimitError(SpecError):
    """The spec is larger than the reader takes; `limit` is the name of the limit (`depth`, `text`, `integer`, ...)."""

    @property
    def limit(self) -> str:
        return next(one.limit for one in self.diagnostics if one.limit is not None)


def error_of(diagnostics: Iterable[Diagnostic]) -> SpecError:
    """The exception for these mistakes: a LimitError if a limit is among them."""
    found = tuple(diagnostics)
    return LimitError(found) if any(one.limit for one in found) else SpecError(found)


def error_at(span: Span, message: str, hint: str | None = None, limit: str | None = None) -> SpecError:
    """The exception for one mistake."""
    return error_of((Diagnostic(span, message, hint, limit=limit),))


def suggest(word: str, choices: Iterable[str]) -> str | None:
    """`did you mean X?` for the nearest of the choices, or None if none is near. Looks at a bounded number of them.

    Upper and lower case are the same here, unless that is all that tells two choices apart.
    """
    word = word[:80]
    known = sorted(choices)
    if len(known) > MOST_CHOICES:
        known = [choice for choice in known if choice[:1].lower() == word[:1].lower()][:MOST_CHOICES]
    folded = {choice.lower(): choice for choice in known}
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if not near:
        near = [folded[one] for one in difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)]
    return f"did you mean `{near[0]}`?" if near else None


class Collector:
    """Takes mistakes and goes on, so that one run reports them all, each once.

    Raises all of them as SpecError when there are `MOST_KEPT`: a spec with so many is read no further.
    """

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self._known: set[tuple[object, ...]] = set()

    def report(
        self,
        span: Span,
        message: str,
        hint: str | None = None,
        chain: tuple[tuple[str, Span], ...] = (),
        limit: str | None = None,
    ) -> None:
        """Notes one mistake, unless the same message is noted at that place already."""
        self._note(Diagnostic(span, message, hint, chain, limit))

    def add(self, error: SpecError, chain: tuple[tuple[str, Span], ...] = ()) -> None:
        """Notes the mistakes of an exception that was caught; `chain` leads to those that have none of their own."""
        for one in error.diagnostics:
            self._note(replace(one, chain=chain) if chain and not one.chain else one)

    def _note(self, one: Diagnostic) -> None:
        if one.key in self._known:
            return
        self._known.add(one.key)
        self.diagnostics.append(one)
        if len(self.diagnostics) >= MOST_KEPT:
            self.raise_any()

    def __bool__(self) -> bool:
        return bool(self.diagnostics)

    def raise_any(self) -> None:
        """Raises SpecError (or LimitError) if anything was noted."""
        if self.diagnostics:
            raise error_of(self.diagnostics)
