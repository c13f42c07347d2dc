"""The networks that come along, by name, with what they hold and cost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..compiler.summary import Summary
from ..spec.diagnostics import SpecError
from ..spec.model.formulas import StaticValue
from ..spec.zoo_index import PREFIX, ZOO, zoo_names
from .model import Model, load
from .summary import summary_of


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a model holds and costs at its usual sizes; work and memory are those of its first entry."""

    parameters: int
    buffers: int
    macs: int
    flops: int
    activation_bytes: int
    sizes: Mapping[str, int]
    entries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ZooRow:
    """A name of the zoo. ``family`` is its folder, ``document`` its file; a library has no numbers.

    ``problem`` is what is wrong with the document, empty if it is in order.
    """

    name: str
    family: str
    document: str
    summary: str
    source: tuple[str, ...] = ()
    numbers: Numbers | None = None
    problem: str = ""

    @property
    def parameters(self) -> int | None:
        """The trainable parameters; None for a library."""
        return None if self.numbers is None else self.numbers.parameters

    def as_data(self) -> dict[str, Any]:
        """As JSON data, the numbers beside the rest; null for a library."""
        data = asdict(self)
        numbers = data.pop("numbers") or dict.fromkeys(Numbers.__slots__)
        return {**data, **numbers}


def size() -> int:
    """How many names there are."""
    return len(zoo_names())


def rows() -> Iterator[ZooRow]:
    """Every name, by family and document; no weight is allocated."""
    return (row for row, _ in counted())


def counted() -> Iterator[tuple[ZooRow, Model | None]]:
    """The `rows`, each with its model; None if the document cannot be read.

    Names for one and the same model are counted once.
    """
    places = [(found[0].path, name) for name, found in zoo_names().items()]
    counted: dict[tuple[Path, str], Numbers] = {}
    for path, name in sorted(places, key=lambda place: (place[0].parent.name, place[0].stem, _natural(place[1]))):
        document = path.relative_to(ZOO).as_posix()
        try:
            model = load(PREFIX + name)
            numbers = None
            if not model.loaded.document.is_library:
                key = (path, _args(model))
                numbers = counted[key] = counted.get(key) or numbers_of(summary_of(model, {}, depth=1))
            summary = str(model.loaded.document.summary or "")
            sources = tuple(map(str, model.loaded.document.sources))
            yield ZooRow(name, path.parent.name, document, summary, sources, numbers), model
        except SpecError as error:
            yield ZooRow(name, path.parent.name, document, "", problem=str(error)), None


def numbers_of(found: Summary) -> Numbers:
    """What a row tells of a summary."""
    first = found.entries[0]
    entries = tuple(entry.name for entry in found.entries)
    work = (first.macs, first.flops, first.activation_bytes)
    return Numbers(found.parameters, found.buffers, *work, dict(first.sizes), entries)


def _args(model: Model) -> str:
    """The knobs that a name sets, as text: equal for names of one and the same model."""
    variant, variants = model.loaded.variant, model.loaded.document.variants
    if variant is None or variants is None:
        return ""
    return ", ".join(sorted(f"{name}={_written(value.value)}" for name, value in variants[variant].items()))


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts numbers in names by value: resnet18 before resnet101."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


@dataclass(frozen=True, slots=True)
class Knob:
    """An arg of a document: its type, its default as it is written (None if it is required), and what it is for."""

    name: str
    type: str
    default: str | None
    doc: str


def knobs(model: Model) -> list[Knob]:
    """The args of a model, as its document declares them."""
    found = []
    for name, arg in (model.loaded.document.args or {}).items():
        default = None if arg.default is None else _written(arg.default.value)
        choices = ", ".join(_written(choice.value) for choice in arg.choices or ())
        notes = [str(arg.doc or ""), f"one of {choices}" if choices else ""]
        found.append(Knob(name, str(arg.type), default, "; ".join(note for note in notes if note)))
    return found


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, StaticValue):
        return _written(value.value)
    return str(value).lower() if isinstance(value, bool) else str(value)
