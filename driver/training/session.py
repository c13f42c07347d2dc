"""A training run before its first step: compiled, its examples checked, its checkpoint read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...backends import signature
from ...backends.executable import Executable
from ...backends.signature import EntrySignature
from ...compiler.ir import Program
from ...compiler.ir.text import print_program
from ...compiler.training.plan import TrainingPlan
from ..build import Build, Weights, compile_model
from ..model import Model
from .checkpoint import CheckpointError, Position
from .checkpoint import read as read_checkpoint
from .data import DataError, Examples, checked_examples, read_examples
from .feed import check_batches
from .first import first_states, first_weights, trainable
from .history import History

WEIGHTS, CHECKPOINT, METRICS, CURVE = "weights.safetensors", "checkpoint.safetensors", "metrics.jsonl", "loss.svg"


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train. What is None is as the spec says.

    ``validation`` is a share of the examples that is set apart, or a file of others. ``folder`` gets weights,
    checkpoint, measures and curve; without it nothing is written. ``resume`` goes on from the checkpoint in it.
    ``seed`` is that of first values, order, split and of all random numbers of the steps. A checkpoint is written every
    ``save_every`` seconds and after each epoch.
    """

    target: str = "numpy"
    epochs: int | None = None
    batch: int | None = None
    seed: int = 0
    validation: float | Path | None = None
    folder: Path | None = None
    resume: bool = False
    weights: Weights | None = None
    save_every: float = 60.0


@dataclass(slots=True)
class Session:
    """What a run works with. ``given`` are the first values of all parameters, ``kept`` the paths of the model's own.

    ``states`` and ``best`` are what the run begins or goes on with.
    """

    settings: Settings
    plan: TrainingPlan
    program: Program
    net: Executable
    given: Mapping[str, np.ndarray]
    kept: tuple[str, ...]
    examples: Examples
    apart: Examples | None
    batch: int
    epochs: int
    position: Position
    history: History
    states: dict[str, np.ndarray]
    best: dict[str, np.ndarray]


def open_session(model: Model, data: Path | Mapping[str, np.ndarray], settings: Settings) -> Session:
    """Check everything and compile; nothing is learned or written yet.

    Raises SpecError, DataError, TrainingError, CheckpointError, WeightsError, BackendError.
    """
    plan = model.training
    program = trainable(plan)
    _check_folder(settings)
    entries = signature.from_json(signature.to_json(program)).entries
    examples, apart = _read(data, settings, list(entries.values()))
    batch = settings.batch or plan.batch or examples.count
    if batch > examples.count:
        raise DataError(f"{_counted(examples)} to learn from, fewer than a batch of {batch}")
    check_batches("the examples", [entries[learner.entry] for learner in plan.learners], examples, batch)
    if apart is not None:
        if "evaluate" not in entries:
            raise DataError("no examples can be set apart: players without `metrics` have no measure to take of them")
        check_batches("the examples set apart", [entries["evaluate"]], apart, batch)
    given = first_weights(model, plan, settings.weights or Weights(seed=settings.seed))
    net = compile_model(model.having(program), Build(settings.target), Weights(values=given))
    states = first_states(program, given, settings.seed)
    fixed = {name: array for name, array in given.items() if name not in program.state}
    tables = [fixed, examples.arrays, apart.arrays if apart is not None else {}]
    position = Position(_identity(program, plan, settings, tables, batch))
    best: dict[str, np.ndarray] = {}
    if settings.resume and settings.folder is not None:
        run = position.run
        position, states, best = read_checkpoint(settings.folder / CHECKPOINT)
        if position.run != run:
            message = (
                "is of another run: the model, its fixed weights, the data, --validation, the seed or the batch differ"
            )
            raise CheckpointError(f"{settings.folder / CHECKPOINT} {message}")
    path = None if settings.folder is None else settings.folder / METRICS
    history = History.resumed(path, position.epoch) if settings.resume else History(path)
    epochs = plan.epochs if settings.epochs is None else settings.epochs
    kept = tuple(model.program.parameters)
    return Session(
        settings, plan, program, net, given, kept, examples, apart, batch, epochs, position, history, states, best
    )


def _counted(examples: Examples) -> str:
    return "there is one example" if examples.count == 1 else f"there are {examples.count} examples"


def _check_folder(settings: Settings) -> None:
    """Raises `CheckpointError` for a folder that holds a run, or none to go on with."""
    if settings.folder is None:
        if settings.resume:
            raise CheckpointError("there is no folder to resume from")
        return
    if settings.folder.exists() and not settings.folder.is_dir():
        raise CheckpointError(f"{settings.folder} is a file; name a folder")
    there = (settings.folder / CHECKPOINT).is_file()
    if settings.resume and not there:
        raise CheckpointError(f"{settings.folder} holds no {CHECKPOINT} to resume from")
    if there and not settings.resume:
        raise CheckpointError(f"{settings.folder} holds a training run; resume it, or name another folder")
    if not there and (settings.folder / WEIGHTS).exists():
        raise CheckpointError(f"{settings.folder} holds a {WEIGHTS}; name another folder")


def _read(
    data: Path | Mapping[str, np.ndarray], settings: Settings, entries: Sequence[EntrySignature]
) -> tuple[Examples, Examples | None]:
    """The examples to learn from, and those set apart. Raises `DataError`."""
    if isinstance(data, Path):
        examples = read_examples(data, entries)
    else:
        examples = checked_examples(data, entries, "the examples")
    if isinstance(settings.validation, Path):
        return examples, read_examples(settings.validation, entries)
    return examples.split(settings.validation, settings.seed) if settings.validation else (examples, None)


def _identity(
    program: Program,
    plan: TrainingPlan,
    settings: Settings,
    tables: Iterable[Mapping[str, np.ndarray]],
    batch: int,
) -> str:
    """What a run is the same by: the program, turns and rates, the seed, the batch, and tables of arrays."""
    digest = hashlib.sha256(print_program(program).encode())
    turns = [(learner.name, learner.steps, learner.schedule) for learner in plan.learners]
    digest.update(f"{settings.seed} {batch} {plan.shuffle} {turns}".encode())
    for table in tables:
        for name, array in sorted(table.items()):
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
