"""One entry of a model as an ONNX file, or one step of its training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..backends.api import BackendError, Options
from ..compiler.training.program import TrainingError
from .build import Build, Weights, compile_program
from .model import Model, nearest
from .training.first import first_states, first_weights, trainable


def write_onnx(model: Model, path: Path, weights: Weights, opset: int | None, entry: str) -> None:
    """Write ``entry`` to ``path``, aside first and then renamed.

    Raises SpecError, WeightsError, BackendError (also for an entry that there is not).
    """
    settings = {} if opset is None else {"opset": opset}
    compiled = compile_program(model, Build("onnx", Options(None, settings)), weights)
    if entry not in compiled.program.entries:
        names = ", ".join(compiled.program.entries)
        raise BackendError(f"{model.name} has no entry {entry!r}{nearest(entry, compiled.program.entries)} ({names})")
    compiled.backend.export(compiled.program, compiled.weights, entry, path, compiled.options)


def write_train_step(model: Model, path: Path, weights: Weights, opset: int | None, player: str = "") -> str:
    """Write one step of training (of one player, where there are several) to ``path``; returns the name of its entry.

    The inputs are a batch, the targets and `learning_rate`; the outputs are the loss and the metrics. All that is
    learned or remembered goes in as `state.NAME` and comes out as `state.NAME.next`: the parameters, the optimizer's
    memory, and the count of draws; `state.random/seed` only goes in. The file holds the first value of each state, so
    that a first call needs none of them; a later call is given what the call before it gave. onnxruntime warns that
    such values are no constants, unless `SessionOptions.log_severity_level` is 3.

    Raises SpecError, WeightsError, TrainingError, BackendError.
    """
    plan = model.training
    program = trainable(plan)
    steps = {learner.name: learner.entry for learner in plan.learners}
    if player not in steps:
        known = ", ".join(name for name in steps if name)
        hint = f"its players are {known}" if known else "it has no players"
        message = f"has no player {player!r}{nearest(player, steps)} ({hint})" if player else f"has players: {known}"
        raise TrainingError(f"{model.name} {message}")
    entry = program.entries[steps[player]]
    program = replace(program, entries={entry.name: entry})
    given = first_weights(model, plan, weights)
    settings = {} if opset is None else {"opset": opset}
    build = Build("onnx", Options(None, settings))
    compiled = compile_program(model.having(program), build, Weights(values=given))
    states = first_states(compiled.program, given, weights.seed)
    held = {name: states[name] for name in compiled.program.entries[entry.name].states}
    compiled.backend.export(compiled.program, compiled.weights, entry.name, path, compiled.options, held)
    return entry.name
