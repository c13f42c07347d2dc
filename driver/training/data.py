"""Examples to learn from: arrays by the name of the input that takes them, checked before the first step."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...backends.signature import EntrySignature, Field
from ...compiler.training.step import RATE
from ...spec.weights.errors import WeightsError
from ...spec.weights.npz_file import NpzFile
from ..memory import gibibytes, physical_memory
from ..model import nearest


class DataError(ValueError):
    """Examples that do not fit the model. One clear message."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Arrays whose first axis counts the examples, which are equally many in all of them."""

    arrays: Mapping[str, np.ndarray]

    @property
    def count(self) -> int:
        """How many examples there are."""
        return len(next(iter(self.arrays.values())))

    def take(self, places: np.ndarray) -> Examples:
        """Some of the examples, in the order of ``places``."""
        return Examples({name: array[places] for name, array in self.arrays.items()})

    def split(self, share: float, seed: int) -> tuple[Examples, Examples]:
        """A random ``share`` set apart, at least one example, and the rest. Raises `DataError` if nothing is left."""
        apart = max(1, round(self.count * share))
        if apart >= self.count:
            raise DataError(f"of {self.count} examples none are left to learn from when {share:g} are set apart")
        order = np.random.default_rng([seed, _SPLIT]).permutation(self.count)
        return self.take(np.sort(order[apart:])), self.take(np.sort(order[:apart]))

    def batches(self, size: int, order: np.ndarray | None = None) -> Iterator[dict[str, np.ndarray]]:
        """The examples, ``size`` at a time, the last ones fewer; in ``order`` if that is given."""
        for start in range(0, self.count, size):
            places = slice(start, start + size) if order is None else order[start : start + size]
            yield {name: array[places] for name, array in self.arrays.items()}


_SPLIT, _EPOCH = 0, 1
"""Streams of random numbers of one seed: for the split, and for the order within an epoch."""


def order_of(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the examples in an epoch: a function of the seed and its number alone."""
    return np.random.default_rng([seed, _EPOCH, epoch]).permutation(count)


def is_fed(field: Field) -> bool:
    """Whether an input takes examples: not what training sets, is drawn, or has a value of its own."""
    own = field.source is not None and ("random" in field.source or "default" in field.source)
    return field.name != RATE and not own


def read_examples(path: Path, entries: Sequence[EntrySignature]) -> Examples:
    """The examples of a ``.npz`` file for all of these entries. Raises `DataError`."""
    try:
        file = NpzFile(path)
        _check_names(file.entries, entries, str(path))
        size, room = sum(entry.bytes for entry in file.entries.values()), physical_memory()
        if room is not None and size > room:
            raise DataError(f"{path}: the examples need {gibibytes(size)}, this machine has {gibibytes(room)}")
        arrays = {key: file.read(key) for key in file.entries}
    except WeightsError as error:
        raise DataError(str(error)) from error
    return checked_examples(arrays, entries, str(path))


def _check_names(names: Collection[str], entries: Sequence[EntrySignature], what: str) -> None:
    """Raises `DataError` unless these are the names of inputs, and all that are needed."""
    fields = _fields(entries)
    needed = [name for name, field in fields.items() if is_fed(field)]
    for name in names:
        if name not in fields:
            listed = ", ".join(needed)
            raise DataError(f"{what}: no input is called {name!r}{nearest(name, fields)} (it needs {listed})")
    missing = [name for name in needed if name not in names]
    if missing:
        raise DataError(f"{what}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")


def checked_examples(arrays: Mapping[str, np.ndarray], entries: Sequence[EntrySignature], what: str) -> Examples:
    """As `read_examples`, from arrays; ``what`` is how messages call them."""
    fields = _fields(entries)
    _check_names(arrays, entries, what)
    if not arrays:
        raise DataError(f"{what}: there are no examples")
    cast = {name: _as_field(what, fields[name], array) for name, array in arrays.items()}
    counts = {name: len(array) for name, array in cast.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise DataError(f"{what}: the numbers of examples differ: {listed}")
    if not next(iter(counts.values())):
        raise DataError(f"{what}: there are no examples")
    for name, array in cast.items():
        _check_values(what, fields[name], array)
    return Examples(cast)


def _fields(entries: Sequence[EntrySignature]) -> dict[str, Field]:
    """The inputs of all entries by name, each in the range of those that give one."""
    fields: dict[str, Field] = {}
    for field in (field for entry in entries for field in entry.inputs if field.name != RATE):
        known = fields.setdefault(field.name, field)
        if known.range is not None and field.range is not None:
            both = max(known.range[0], field.range[0]), min(known.range[1], field.range[1])
            fields[field.name] = replace(known, range=both)
        elif field.range is not None:
            fields[field.name] = field
    return fields


def _as_field(what: str, field: Field, array: np.ndarray) -> np.ndarray:
    """The array in the dtype of its input. Raises `DataError`."""
    wanted = field.type
    if array.ndim != wanted.rank or array.ndim == 0:
        raise DataError(f"{what}: {field.name} is {_text(array)}, the input is {wanted}")
    for axis, (size, given) in enumerate(zip(wanted.shape, array.shape, strict=True)):
        if axis and isinstance(size, int) and size != given:
            raise DataError(f"{what}: {field.name} is {_text(array)}, the input is {wanted}: axis {axis} differs")
    kinds = {"f": "float", "i": "int", "u": "int", "b": "bool"}
    kind = kinds.get(array.dtype.kind, "other")
    if wanted.dtype.is_float and kind in ("float", "int", "bool"):
        with np.errstate(over="ignore"):
            # What is too large becomes infinite, which is told by its place.
            return np.ascontiguousarray(array, wanted.dtype.numpy)
    if kind not in (wanted.dtype.kind, "bool"):
        raise DataError(f"{what}: {field.name} is {_text(array)}, the input is {wanted}")
    info = None if wanted.dtype.kind == "bool" else np.iinfo(wanted.dtype.numpy)
    if info is not None and array.size and not info.min <= array.min() <= array.max() <= info.max:
        raise DataError(f"{what}: {field.name} has values that {wanted.dtype} does not hold")
    return np.ascontiguousarray(array, wanted.dtype.numpy)


def _text(array: np.ndarray) -> str:
    return f"{array.dtype}[{', '.join(map(str, array.shape))}]"


def _check_values(what: str, field: Field, array: np.ndarray) -> None:
    """Raises `DataError` for floats that are not finite, and whole numbers out of range."""
    if field.type.dtype.is_float:
        wrong, wanted = ~np.isfinite(array), "no finite number"
    elif field.range is not None:
        low, high = field.range
        wrong, wanted = (array < low) | (array > high), f"not from {low} to {high}"
    else:
        return
    if wrong.any():
        at = tuple(int(k) for k in np.argwhere(wrong)[0])
        place = ", ".join(map(str, at))
        others = int(wrong.sum()) - 1
        more = f" (and {others} more)" if others else ""
        raise DataError(f"{what}: {field.name}[{place}] is {array[at]}, {wanted}{more}")
