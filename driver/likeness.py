"""Whose file a file of weights looks like: the networks of the zoo whose keys and shapes it has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from ..spec.diagnostics import SpecError
from ..spec.weights.layouts import parse_layouts
from ..spec.weights.load import plans_for
from ..spec.weights.mismatch import RULES_HINT
from ..spec.weights.plan import Plan, nearest_plan
from ..spec.weights.tensors import Entry
from ..spec.zoo_index import PREFIX, zoo_names
from .model import Model, load

MOST_DOCUMENTS = 8
"""Documents that are read; to elaborate all of them takes seconds."""
FEWEST_WORDS = 0.3
"""The share of a file's words that a document must have."""
MOST_KEYS = 5000
"""A network of the zoo has some 1,000 parameters at most; files may hold a few things more."""
_COMMON = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


def likeness(entries: Mapping[str, Entry], model: Model | None = None) -> str | None:
    """One line for a person whose file does not fit ``model``; None if it is like nothing that we know."""
    if len(entries) > MOST_KEYS:
        return None
    alike: list[str] = []
    for names in _candidates(entries):
        plans = {name: plan for name in names if (plan := _plan(name, entries)) is not None}
        fitting = [name for name, plan in plans.items() if plan.fits]
        if fitting:
            return f"  hint: the file looks like that of {_shortest(fitting)}"
        alike += [name for name, plan in plans.items() if plan.problems == len(plan.misshapen)]
    if not alike or (model is not None and PREFIX + model.name in alike):
        return None
    name = _shortest(alike)
    return (
        f"  hint: the keys are those of {name}, but some sizes are others; is a knob to be set "
        f"(`netwright zoo {name.removeprefix(PREFIX)}` lists them)?"
    )


def told(problem: str, hint: str | None) -> str:
    """A mismatch and whose file it is, which says more than that rules could be written."""
    return problem if hint is None else f"{problem.removesuffix(RULES_HINT).rstrip()}\n{hint}"


def _candidates(entries: Mapping[str, Entry]) -> list[list[str]]:
    """The names of the documents that have most of the file's words, one list for each document, likeliest first."""
    words = {re.sub(r"\d+$", "", part) for key in entries for part in key.split(".")} - _COMMON - {""}
    if not words:
        return []
    scores: dict[Path, float] = {}
    names: dict[Path, list[str]] = {}
    for name, found in zoo_names().items():
        path, variant = found[0].path, found[0].variant
        names.setdefault(path, []).extend([PREFIX + name] if variant or name == path.stem else [])
        if path not in scores:
            text = _text(path)
            scores[path] = sum(word in text for word in words) / len(words)
    likely = sorted((path for path in scores if scores[path] >= FEWEST_WORDS), key=lambda path: -scores[path])
    return [names[path] for path in likely[:MOST_DOCUMENTS]]


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _plan(name: str, entries: Mapping[str, Entry]) -> Plan | None:
    """How the file nearly fits a network of the zoo; None for a library."""
    try:
        model = load(name)
        parameters, sources = model.program.parameters, model.lowered.sources
    except SpecError:
        return None
    outer = next((source for source in sources if not source.prefix), None)
    return nearest_plan(plans_for(entries, parameters, parse_layouts(outer.layouts) if outer else ()))


def _shortest(names: Iterable[str]) -> str:
    """One of several names for the same thing: a document has that of its usual variant too."""
    return min(names, key=lambda name: (len(name), name))
