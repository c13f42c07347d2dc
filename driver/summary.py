"""What a model holds and costs, at the sizes that a person would give it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..backends import signature
from ..backends.signature import EntrySignature
from ..compiler.ir.dims import solve
from ..compiler.summary import Summary, summarize
from .model import Model
from .samples import check_symbols, choose_sizes

MOST_DEPTH = 4
"""Names of a label that parts are told apart by, if nobody says how many."""
FEWEST_PARTS = 4
"""A table with fewer parts says too little."""


def summary_of(model: Model, sizes: Mapping[str, int], depth: int | None = None) -> Summary:
    """The summary of a model.

    ``sizes`` set symbols; the others are those that the spec calls usual, else those of the pictures that it asks for,
    else the least that is allowed (1). Parts are by the first ``depth`` names; by default by as few as give
    `FEWEST_PARTS` parts.
    Raises SpecError, and InputError for a size of an unknown symbol or out of range.
    """
    entries = signature.from_json(signature.to_json(model.program)).entries
    check_symbols(entries.values(), sizes)
    for entry in entries.values():
        choose_sizes(entry, sizes)
    usual = {**_pictures(entries.values()), **model.lowered.usual}
    found = summarize(model.program, sizes, depth or 1, usual)
    for deeper in range(2, MOST_DEPTH + 1):
        if depth is not None or max(len(entry.groups) for entry in found.entries) >= FEWEST_PARTS:
            break
        found = summarize(model.program, sizes, deeper, usual)
    return found


def usual_sizes(model: Model) -> dict[str, int]:
    """Every symbol of a model at the size that `summary_of` gives it when nobody says more."""
    entries = signature.from_json(signature.to_json(model.program)).entries
    usual = {**_pictures(entries.values()), **model.lowered.usual}
    return dict(summarize(model.program, usual=usual).sizes)


def _pictures(entries: Iterable[EntrySignature]) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in entries:
        found |= picture_sizes(entry)
    return found


def picture_sizes(entry: EntrySignature) -> dict[str, int]:
    """The symbols that the declared pictures of an entry settle, those in their range."""
    found: dict[str, int] = {}
    for field in entry.inputs:
        rules = (field.source or {}).get("image", {})
        size = rules.get("crop", rules.get("resize"))
        if size is None or field.type.rank != 4:
            continue
        sides = size if isinstance(size, (list, tuple)) else (size, size)
        for wanted, side in zip(field.type.shape[2:], sides, strict=True):
            solved = solve(wanted, int(side), found)
            if solved is not None and isinstance(value := solved[1], int):
                symbol = solved[0]
                if symbol.low <= value <= symbol.high:
                    found[symbol.name] = value
    return found
