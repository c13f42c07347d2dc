"""Inputs to try a program on, and how far two answers are apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..backends.api import BackendError
from ..backends.executable import InputError
from ..backends.signature import EntrySignature
from ..compiler.ir.dims import AnyDim, Symbol, substitute, symbols
from .memory import gibibytes, physical_memory
from .model import nearest

_DRAWN_BYTES = 8
"""Numbers are drawn as float64 or int64."""


def distance(got: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """The largest difference, and the largest finite value of ``wanted`` (1 if that is zero).

    Infinite for other shapes, and where one is NaN or infinite and the other is not the same.
    """
    if got.shape != wanted.shape:
        return float("inf"), 1.0
    if wanted.size == 0:
        return 0.0, 1.0
    left, right = got.astype(np.float64), wanted.astype(np.float64)
    special = ~np.isfinite(right)
    same = np.array_equal(left[special], right[special], equal_nan=True)
    if not same or not np.isfinite(left[~special]).all():
        return float("inf"), 1.0
    difference = float(np.abs(left[~special] - right[~special]).max(initial=0.0))
    return difference, float(np.abs(right[~special]).max(initial=0.0)) or 1.0


def random_inputs(entry: EntrySignature, seed: int, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Inputs of the right types: normal floats, whole numbers within their range, fair bools.

    A symbol that ``sizes`` does not set is small and not 1, so that a mistaken axis shows.
    """
    chosen = choose_sizes(entry, sizes)
    shapes = {field.name: whole_shape(field.type.shape, chosen) for field in entry.inputs}
    need = sum(math.prod(shapes[field.name]) * _DRAWN_BYTES for field in entry.inputs)
    room = physical_memory()
    if room is not None and need > room:
        at = ", ".join(f"{name} = {size}" for name, size in chosen.items())
        raise InputError(f"random inputs with {at} need {gibibytes(need)}, this machine has {gibibytes(room)}")
    inputs: dict[str, np.ndarray] = {}
    for number, field in enumerate(entry.inputs):
        generator = np.random.default_rng([seed, number])
        shape = shapes[field.name]
        dtype = field.type.dtype
        value: Any
        if dtype.is_float:
            value = generator.standard_normal(shape)
            if not shape:
                value = np.abs(value) + 0.5
        elif dtype.kind == "bool":
            value = generator.integers(0, 2, shape)
        else:
            low, high = field.range or (1, max([2, *chosen.values()]))
            value = generator.integers(low, high + 1, shape)
            if field.range is None and shape:
                # Whole numbers without a range are often lengths: one is as long as can be.
                value.flat[0] = high
        inputs[field.name] = np.asarray(value).astype(dtype.numpy)
    return inputs


def choose_sizes(entry: EntrySignature, sizes: Mapping[str, int]) -> dict[str, int]:
    """A value for each symbol: the given one, else a small one that its range allows.

    Raises InputError for a given size out of range.
    """
    chosen: dict[str, int] = {}
    for number, symbol in enumerate(entry.symbols):
        if symbol.name not in sizes:
            chosen[symbol.name] = min(max(_small(symbol, number, entry), symbol.low), symbol.high)
            continue
        size = chosen[symbol.name] = sizes[symbol.name]
        if not symbol.low <= size <= symbol.high:
            raise InputError(f"{symbol.name} is {size}; it must lie from {symbol.low} to {symbol.high} ({entry.name})")
    return chosen


def check_symbols(entries: Iterable[EntrySignature], sizes: Mapping[str, int]) -> None:
    """Raises InputError for a size of a symbol that no entry has."""
    names = list(dict.fromkeys(symbol.name for entry in entries for symbol in entry.symbols))
    for name in sizes:
        if name not in names:
            listed = ", ".join(names) or "none"
            raise InputError(f"no dimension is called {name!r}{nearest(name, names)} (there are: {listed})")


def _small(symbol: Symbol, number: int, entry: EntrySignature) -> int:
    """2 for a batch; an image side that is a bare symbol gets room for a deep network's strides."""
    sides = [size for field in entry.inputs if field.type.rank >= 4 for size in field.type.shape[2:]]
    if any(_is_bare(size, symbol) for size in sides):
        return 64 + 8 * (number % 2)
    return 2 + (number % 3)


def _is_bare(size: AnyDim, symbol: Symbol) -> bool:
    return not isinstance(size, int) and str(size) == symbol.name and symbol in symbols(size)


def whole_shape(shape: Sequence[AnyDim], sizes: Mapping[str, int]) -> tuple[int, ...]:
    """A shape in numbers. Raises BackendError for a symbol that ``sizes`` lacks."""
    found = []
    for size in shape:
        number = substitute(size, sizes)
        if not isinstance(number, int):
            raise BackendError(f"the size {size} has a symbol that no input gives")
        found.append(number)
    return tuple(found)
