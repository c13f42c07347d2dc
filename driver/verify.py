"""Targets against the reference: same random weights, same random inputs, every entry."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends import registry
from ..backends.api import BackendError
from ..backends.executable import Executable, bind_sizes
from .bisect import Difference, first_difference
from .build import Build, Weights, compile_model
from .memory import check_memory
from .model import Model
from .samples import check_symbols, distance, random_inputs

TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest error, relative to the largest value of the output, by the program's compute dtype."""

Tell = Callable[[str], None]
"""Takes a sentence about what is being done."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One target compared with the reference.

    Errors are the largest difference over all outputs, absolute, and relative to the largest value of that output;
    both are infinite if the target failed, and ``problem`` says how. ``first_difference`` is set if it was asked for
    and a single node is to blame.
    """

    target: str
    passed: bool
    max_relative_error: float
    max_absolute_error: float
    worst_output: str = ""
    problem: str = ""
    first_difference: Difference | None = None

    def as_data(self) -> dict[str, Any]:
        """As JSON data; null for an error that is no number."""
        return {
            "passed": self.passed,
            "max_relative_error": _finite(self.max_relative_error),
            "max_absolute_error": _finite(self.max_absolute_error),
            "worst_output": self.worst_output,
            "problem": self.problem or None,
            "first_difference": self.first_difference.as_data() if self.first_difference else None,
        }


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

    def __str__(self) -> str:
        """A line for each target."""
        lines = []
        for outcome in self.outcomes:
            word = "agrees" if outcome.passed else "differs"
            problem = f" ({outcome.problem})" if outcome.problem else ""
            lines.append(f"{outcome.target} {word}, relative error {outcome.max_relative_error:.1e}{problem}")
        return "\n".join(lines)

    def as_data(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "passed": self.passed,
            "tolerance": self.tolerance,
            "sizes": dict(self.sizes),
            "targets": {outcome.target: outcome.as_data() for outcome in self.outcomes},
        }


def verify_model(
    model: Model,
    targets: Sequence[str] | None,
    weights: Weights,
    sizes: Mapping[str, int] | None = None,
    *,
    bisect: bool = False,
    tell: Tell = lambda message: None,
) -> Verification:
    """Compare ``targets`` (by default all that can run here) with the reference.

    ``bisect`` looks for the first node that differs. Raises SpecError, WeightsError, InputError, and BackendError for
    a target that is unknown or cannot run here; one that fails on this model is an outcome.
    """
    chosen = list(dict.fromkeys(targets)) if targets is not None else installed()
    for target in chosen:
        reason = registry.get(target).unready()
        if reason is not None:
            raise BackendError(f"{target}: {reason}")
    check_memory(model.program, sizes or {}, factor=2)
    weights = weights.kept(model)
    tell("reference")
    reference = compile_model(model, Build("reference"), weights)
    entries = reference.signature.entries
    check_symbols(entries.values(), sizes or {})
    inputs = {name: random_inputs(entry, weights.seed, sizes or {}) for name, entry in entries.items()}
    comparison = _Comparison(model, weights, inputs, run_all(reference, inputs), tolerance_of(model), tell)
    bound: dict[str, int] = {}
    for name, entry in entries.items():
        bound |= bind_sizes(entry, {key: value.shape for key, value in inputs[name].items()})
    outcomes = [comparison.of(target, bisect) for target in chosen]
    return Verification(tuple(outcomes), bound, comparison.tolerance)


def tolerance_of(model: Model) -> float:
    """The error that is allowed a program, by what it computes in."""
    return TOLERANCE[model.lowered.compute.value]


def installed() -> list[str]:
    """Every target but the reference that can run here."""
    return [name for name in registry.names() if name != "reference" and registry.get(name).unready() is None]


def run_all(net: Executable, inputs: Mapping[str, Mapping[str, np.ndarray]]) -> dict[tuple[str, str], np.ndarray]:
    """The outputs of every entry, each begun from the initial state, and the states that it leaves."""
    found: dict[tuple[str, str], np.ndarray] = {}
    for name, given in inputs.items():
        net.reset()
        outputs = net.run(name, **given)
        found |= {(name, key): value for key, value in outputs.items()}
        found |= {(name, f"state {key}"): value.copy() for key, value in net.states.items()}
    net.reset()
    return found


@dataclass(frozen=True, slots=True)
class _Comparison:
    model: Model
    weights: Weights
    inputs: Mapping[str, Mapping[str, np.ndarray]]
    wanted: Mapping[tuple[str, str], np.ndarray]
    tolerance: float
    tell: Tell

    def of(self, target: str, bisect: bool) -> Outcome:
        """A target beside the reference."""
        slow = registry.get(target).slow()
        self.tell(f"{target}, {slow}; smaller by --set and --dim is quicker" if slow else target)
        try:
            net = compile_model(self.model, Build(target), self.weights)
            errors = differences(run_all(net, self.inputs), self.wanted)
        except Exception as error:
            # A defect of one target must not hide what the others do.
            if os.environ.get("NETWRIGHT_DEBUG"):
                raise
            kind = "" if isinstance(error, BackendError) else f"{type(error).__name__}: "
            return Outcome(target, False, math.inf, math.inf, problem=f"{kind}{error}")
        (entry, output), relative = max(
            ((name, absolute / scale) for name, (absolute, scale) in errors.items()), key=lambda pair: pair[1]
        )
        absolute = max(absolute for absolute, _ in errors.values())
        passed = relative <= self.tolerance
        worst = output if len(self.inputs) == 1 else f"{entry}: {output}"
        first = self.first(target, entry) if bisect and not passed else None
        return Outcome(target, passed, relative, absolute, worst if relative else "", first_difference=first)

    def first(self, target: str, entry: str) -> Difference | None:
        """The first node of an entry that differs."""
        return first_difference(self.model, target, entry, self.weights, self.inputs[entry], self.tolerance, self.tell)


def differences(
    got: Mapping[tuple[str, str], np.ndarray], wanted: Mapping[tuple[str, str], np.ndarray]
) -> dict[tuple[str, str], tuple[float, float]]:
    """For each output the largest difference and the largest value; see `distance`."""
    return {name: distance(got[name], right) for name, right in wanted.items()}


def worst_error(got: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> float:
    """The largest difference over all outputs, relative to the largest value of each."""
    pairs: Iterable[tuple[float, float]] = (distance(got[name], right) for name, right in wanted.items())
    return max((absolute / scale for absolute, scale in pairs), default=0.0)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
