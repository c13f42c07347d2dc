"""What a model's training says, with every number and path settled: what `program.training_program` compiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal as OneOf

from ..ir.program import Parameter, Program
from .optimizers import Optimizer

Penalty = OneOf["l1", "l2", "max_norm"]
PENALTIES: tuple[Penalty, ...] = ("l1", "l2", "max_norm")


@dataclass(frozen=True, slots=True)
class Regularizer:
    """``l1`` adds strength sum|w| to the loss, ``l2`` strength sum w^2, both for each of ``paths``.

    ``max_norm`` scales the weights that come into a unit (a slice of axis 0; a vector as a whole) so that their
    Euclidean norm is ``strength`` at most, after each step.
    """

    kind: Penalty
    strength: float
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The learning rate over time, in epochs; see `spec.model.training`. ``kind`` constant is ``start`` throughout."""

    kind: OneOf["constant", "cosine", "linear", "step", "exponential", "inverse"]
    start: float
    end: float = 0.0
    epochs: float = 0.0
    every: float = 1.0
    factor: float = 1.0
    warmup: float = 0.0


@dataclass(frozen=True, slots=True)
class Learner:
    """One who learns: a model has one, or several players that take turns, ``steps`` at a time.

    ``program`` has one entry, called as `entry_name` says. Its outputs are ``loss`` (unless it learns by a rule), then
    the metrics; behind them the graph gives the next value of each parameter in ``sets``: running statistics, or what
    a rule says. ``learned`` are the parameters that the loss is differentiated by.
    """

    name: str
    program: Program
    metrics: tuple[str, ...]
    sets: tuple[str, ...]
    learned: tuple[str, ...] = ()
    frozen: frozenset[str] = frozenset()
    """Parameters that stay as they are; batch normalisation with such statistics works as when nothing is learned."""
    optimizer: Optimizer | None = None
    schedule: Schedule = field(default_factory=lambda: Schedule("constant", 0.0))
    regularizers: tuple[Regularizer, ...] = ()
    clip: float | None = None
    steps: int = 1

    @property
    def entry(self) -> str:
        """The name of its entry."""
        return entry_name(self.name)


@dataclass(frozen=True, slots=True)
class Stop:
    """End when ``monitor`` has not become better for ``patience`` epochs; ``restore_best`` goes back to its best."""

    monitor: str
    better: OneOf["lower", "higher"] = "lower"
    patience: int = 1
    restore_best: bool = True


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """All of it. ``evaluation`` is a program with the entry ``evaluate``: loss and metrics while nothing is learned.

    ``batch`` None takes all examples at once.
    """

    learners: tuple[Learner, ...]
    evaluation: Program | None
    batch: int | None
    epochs: int
    shuffle: bool
    stop: Stop | None
    targets: tuple[str, ...]
    """The inputs that training adds to those of the model."""

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Every parameter of the model, and those that only training has."""
        programs = [learner.program for learner in self.learners]
        programs += [self.evaluation] if self.evaluation is not None else []
        return {path: one for program in programs for path, one in program.parameters.items()}


def entry_name(learner: str) -> str:
    """The entry that is one step of a learner."""
    return f"train_step_{learner}" if learner else "train_step"
