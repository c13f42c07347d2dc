"""The networks that come along, by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ..spec.diagnostics import SpecError
from ..spec.model.formulas import StaticValue
from ..spec.zoo_index import ZOO, zoo_names
from .check import parameter_count
from .model import Model, load


@dataclass(frozen=True, slots=True)
class ZooRow:
    """A name of the zoo. ``family`` is its folder, ``document`` its file; a library has no parameters.

    ``problem`` is what is wrong with the document, empty if it is in order.
    """

    name: str
    family: str
    document: str
    summary: str
    parameters: int | None = None
    problem: str = ""

    def as_data(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


def size() -> int:
    """How many names there are."""
    return len(zoo_names())


def rows() -> Iterator[ZooRow]:
    """Every name, by family and document; no weight is allocated."""
    places = [(found[0].path, name) for name, found in zoo_names().items()]
    for path, name in sorted(places, key=lambda place: (place[0].parent.name, place[0].stem, _natural(place[1]))):
        document = path.relative_to(ZOO).as_posix()
        try:
            model = load(f"zoo:{name}")
            summary = str(model.loaded.document.summary or "")
            yield ZooRow(name, path.parent.name, document, summary, _parameters(model))
        except SpecError as error:
            yield ZooRow(name, path.parent.name, document, "", problem=str(error))


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts numbers in names by value: resnet18 before resnet101."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _parameters(model: Model) -> int | None:
    return None if model.loaded.document.is_library else parameter_count(model)


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
