"""Targets against the reference: same random weights, same random inputs, every entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends import registry
from ..backends.api import BackendError
from ..backends.executable import Executable, bind_sizes
from ..backends.signature import EntrySignature
from ..compiler.ir.dims import AnyDim, Symbol, substitute, symbols
from .build import Build, Weights, compile_model
from .model import Model

TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest error, relative to the largest value of the output, by the program's compute dtype."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One target compared with the reference.

    Errors are the largest difference over all outputs, absolute, and relative to the largest value of that output.
    """

    target: str
    passed: bool
    max_relative_error: float
    max_absolute_error: float
    worst_output: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """All targets compared. ``sizes`` are the values that symbols had."""

    outcomes: tuple[Outcome, ...]
    sizes: Mapping[str, int]
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether every target agrees with the reference."""
        return all(outcome.passed for outcome in self.outcomes)


def verify_model(
    model: Model, targets: Sequence[str] | None, weights: Weights, sizes: Mapping[str, int] | None = None
) -> Verification:
    """Compare ``targets`` (by default all that are installed) with the reference. Raises BackendError, SpecError."""
    chosen = list(targets) if targets is not None else installed()
    reference = compile_model(model, Build("reference"), weights)
    inputs = {name: random_inputs(entry, weights.seed, sizes or {}) for name, entry in reference.signature.entries.items()}
    wanted = run_all(reference, inputs)
    tolerance = TOLERANCE[model.lowered.compute.value]
    outcomes = [_compare(model, target, weights, inputs, wanted, tolerance) for target in chosen]
    bound: dict[str, int] = {}
    for name, entry in reference.signature.entries.items():
        bound |= bind_sizes(entry, {key: value.shape for key, value in inputs[name].items()})
    return Verification(tuple(outcomes), bound, tolerance)


def installed() -> list[str]:
    """Every target but the reference that can run here."""
    return [name for name in registry.names() if name != "reference" and registry.get(name).unavailable() is None]


def run_all(net: Executable, inputs: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The outputs of every entry, each begun from the initial state, and the states that it leaves."""
    found: dict[str, np.ndarray] = {}
    for name, given in inputs.items():
        net.reset()
        outputs = net.run(name, **given)
        found |= {f"{name}: {key}": value for key, value in outputs.items()}
        found |= {f"{name}: state {key}": value.copy() for key, value in net.states.items()}
    net.reset()
    return found


def _compare(
    model: Model,
    target: str,
    weights: Weights,
    inputs: Mapping[str, Mapping[str, np.ndarray]],
    wanted: Mapping[str, np.ndarray],
    tolerance: float,
) -> Outcome:
    try:
        got = run_all(compile_model(model, Build(target), weights), inputs)
    except BackendError as error:
        return Outcome(target, False, float("inf"), float("inf"), problem=str(error))
    worst, relative, absolute = "", 0.0, 0.0
    for name, right in wanted.items():
        difference, scale = distance(got[name], right)
        if difference / scale > relative or (worst == "" and difference > 0):
            worst, relative = name, difference / scale
        absolute = max(absolute, difference)
    return Outcome(target, relative <= tolerance, relative, absolute, worst)


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
    inputs: dict[str, np.ndarray] = {}
    for number, field in enumerate(entry.inputs):
        generator = np.random.default_rng([seed, number])
        shape = tuple(_whole(substitute(size, chosen)) for size in field.type.shape)
        dtype = field.type.dtype
        value: Any
        if dtype.is_float:
            value = generator.standard_normal(shape)
            if not shape:
                value = np.abs(value) + 0.5
        elif dtype.kind == "bool":
            value = generator.integers(0, 2, shape)
        else:
            low, high = field.range or (0, 1)
            value = generator.integers(low, high + 1, shape)
            if field.name == "lengths" and field.range is None:
                value = np.ones(shape)
        inputs[field.name] = np.asarray(value).astype(dtype.numpy)
    return inputs


def choose_sizes(entry: EntrySignature, sizes: Mapping[str, int]) -> dict[str, int]:
    """A value for each symbol: the given one, else the first of a few small ones that its range allows."""
    chosen: dict[str, int] = {}
    for number, symbol in enumerate(entry.symbols):
        wish = sizes.get(symbol.name, _small(symbol, number, entry))
        chosen[symbol.name] = min(max(wish, symbol.low), symbol.high)
    return chosen


def _small(symbol: Symbol, number: int, entry: EntrySignature) -> int:
    """2 for a batch; an image side that is a bare symbol gets room for a deep network's strides."""
    sides = [size for field in entry.inputs if field.type.rank >= 4 for size in field.type.shape[2:]]
    if any(_is_bare(size, symbol) for size in sides):
        return 64 + 8 * (number % 2)
    return 2 + (number % 3)


def _is_bare(size: AnyDim, symbol: Symbol) -> bool:
    return not isinstance(size, int) and str(size) == symbol.name and symbol in symbols(size)


def _whole(size: AnyDim) -> int:
    if not isinstance(size, int):
        raise BackendError(f"the size {size} has a symbol that no input gives")
    return size
