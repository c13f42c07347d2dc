"""The documents of a zoo folder by name: a file's stem, or one of its variants."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .diagnostics import SpecError, error_at, suggest
from .limits import LARGEST_TEXT
from .reader import read_tree
from .source import Source, Span
from .tree import YamlMap

ZOO = Path(__file__).resolve().parent.parent / "zoo"
PREFIX = "zoo:"
SECTION = re.compile(r"^variants:.*\n?(?:(?:[ #].*)?\n|[ #].*$)*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """A document of the zoo, and the variant of it that the name selects."""

    path: Path
    variant: str | None


def find(name: str, span: Span | None = None, zoo: Path = ZOO) -> ZooEntry:
    """The document that `zoo:NAME` means; raises SpecError at `span` with the nearest name."""
    at = span or Source(PREFIX + name, "").whole()
    found = zoo_names(zoo).get(name)
    if found is None:
        hint = suggest(name, zoo_names(zoo))
        raise error_at(at, f"the zoo has no `{name[:60]}`", hint)
    if len(found) > 1:
        paths = " and ".join(one.path.relative_to(zoo).as_posix() for one in found)
        raise error_at(at, f"`{name}` stands for several documents of the zoo: {paths}")
    return found[0]


@lru_cache(maxsize=8)
def zoo_names(zoo: Path = ZOO) -> dict[str, tuple[ZooEntry, ...]]:
    """All names of the zoo, sorted, each with the documents that it stands for (one, if the zoo is in order)."""
    names: dict[str, list[ZooEntry]] = {}
    for path in sorted(zoo.rglob("*.yaml")):
        variants = _variants(path)
        names.setdefault(path.stem, []).append(ZooEntry(path, path.stem if path.stem in variants else None))
        for variant in variants:
            if variant != path.stem:
                names.setdefault(variant, []).append(ZooEntry(path, variant))
    return {name: tuple(names[name]) for name in sorted(names)}


def _variants(path: Path) -> tuple[str, ...]:
    """The names of the variants. Only their section is read: the index has to be cheap."""
    with path.open(encoding="utf-8", errors="replace") as file:
        section = SECTION.search(file.read(LARGEST_TEXT))
    if section is None:
        return ()
    try:
        variants = read_tree(section.group(), path.name).get("variants")
    except SpecError:
        return ()  # whoever loads the document is told
    return tuple(variants) if isinstance(variants, YamlMap) else ()
