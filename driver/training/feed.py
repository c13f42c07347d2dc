"""The inputs of a step: a batch of examples, what is drawn, what has a value of its own, and the learning rate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ...backends.executable import InputError, bind_sizes
from ...backends.signature import EntrySignature, Field
from ...compiler.training.step import RATE
from ..samples import whole_shape
from .data import DataError, Examples

_DRAWN = 2
"""The stream of random numbers of a seed that inputs are drawn from; `data` has the others."""


def fed(
    entry: EntrySignature, batch: Mapping[str, np.ndarray], rate: float, seed: int, turn: int
) -> dict[str, np.ndarray]:
    """All inputs of an entry. What is drawn depends on the seed, the input and the ``turn`` only."""
    inputs: dict[str, np.ndarray] = {}
    drawn: list[tuple[int, Field]] = []
    for number, field in enumerate(entry.inputs):
        source = field.source or {}
        if field.name == RATE:
            inputs[RATE] = np.asarray(rate, field.type.dtype.numpy)
        elif field.name in batch:
            inputs[field.name] = batch[field.name]
        elif "default" in source:
            inputs[field.name] = np.asarray(source["default"], field.type.dtype.numpy)
        else:
            drawn.append((number, field))
    sizes = _sizes(entry, {**batch, **inputs}) if drawn else {}
    for number, field in drawn:
        generator = np.random.default_rng([seed, _DRAWN, turn, number])
        shape = whole_shape(field.type.shape, sizes)
        settings = (field.source or {}).get("random") or {}
        even = settings.get("distribution") == "uniform"
        value = generator.random(shape) if even else generator.standard_normal(shape)
        inputs[field.name] = value.astype(field.type.dtype.numpy)
    return inputs


def check_batches(what: str, entries: Iterable[EntrySignature], examples: Examples, size: int) -> None:
    """Raises `DataError` unless the batches fit every entry: their sizes agree, and are within bounds.

    The last one may have fewer examples than the others.
    """
    numbers = {"": np.arange(min(size, examples.count))}
    if examples.count % size and examples.count > size:
        numbers["the last batch: "] = np.arange(examples.count % size)
    for entry in entries:
        for which, places in numbers.items():
            inputs = fed(entry, examples.take(places).arrays, 0.0, 0, 0)
            try:
                bind_sizes(entry, {name: array.shape for name, array in inputs.items()})
            except InputError as error:
                raise DataError(f"{what}: {which}{error}") from error


def _sizes(entry: EntrySignature, arrays: Mapping[str, np.ndarray]) -> Mapping[str, int]:
    """The sizes of symbols: those that the given inputs bind, and N, the number of examples."""
    shapes = {field.name: arrays[field.name].shape for field in entry.inputs if field.name in arrays}
    found: dict[str, int] = {}
    for field in entry.inputs:
        if field.name not in shapes:
            continue
        for size, given in zip(field.type.shape, shapes[field.name], strict=True):
            if str(size) in {symbol.name for symbol in entry.symbols}:
                found[str(size)] = given
    missing = [symbol.name for symbol in entry.symbols if symbol.name not in found]
    if missing:
        count = next((array.shape[0] for array in arrays.values() if array.ndim), 1)
        found |= dict.fromkeys(missing, count)
    return found
