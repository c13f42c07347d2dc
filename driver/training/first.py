"""What a run begins with: its program, weights and states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...compiler.initialize import random_parameters
from ...compiler.ir import Parameter, Program
from ...compiler.ir.op import OpError
from ...compiler.training.plan import TrainingPlan
from ...compiler.training.program import TrainingError, training_program
from ...compiler.training.step import SEED
from ...spec.weights.errors import WeightsError
from ..build import Weights
from ..model import Model
from ..samples import whole_shape


def trainable(plan: TrainingPlan) -> Program:
    """The program of a plan. Raises TrainingError."""
    try:
        return training_program(plan)
    except OpError as error:
        raise TrainingError(str(error)) from error


def first_states(program: Program, weights: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Every state of a training program, by name."""
    states = {}
    for name, state in program.state.items():
        shape = whole_shape(state.type.shape, {})
        value = weights.get(name, np.full(shape, state.initial, state.type.dtype.numpy))
        states[name] = np.asarray(seed, state.type.dtype.numpy) if name == SEED else value
    return states


def first_weights(model: Model, plan: TrainingPlan, source: Weights) -> dict[str, np.ndarray]:
    """Every parameter of a plan by path.

    A source need not hold those that only training has, nor, where it is a folder with the files of sub-models alone,
    those of the model around them: these are drawn by the seed. Raises WeightsError.
    """
    parameters = plan.parameters
    held = _held(model, parameters, source)
    read = source.parameters(model.having(replace(model.program, parameters=held)))
    missing = [path for path in held if path not in read]
    if missing:
        raise WeightsError(f"the weights lack {', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}")
    drawn = random_parameters(replace(model.program, parameters=parameters), source.seed)
    return {path: np.asarray(read[path] if path in held else drawn[path]) for path in parameters}


def _held(model: Model, parameters: Mapping[str, Parameter], source: Weights) -> dict[str, Parameter]:
    """The parameters that the source has to hold."""
    if source.path is None and source.values is None:
        return dict(parameters)
    own = {path: one for path, one in parameters.items() if path in model.program.parameters}
    if source.path is None:
        return own
    inner = {each.prefix: each.file for each in model.lowered.sources if each.prefix and each.file is not None}
    folder = Path(source.path)
    if not inner or not folder.is_dir() or not any((folder / file).exists() for file in inner.values()):
        return own
    if {item.name for item in folder.glob("*.safetensors")} - set(inner.values()):
        return own
    return {path: one for path, one in own.items() if any(path.startswith(f"{prefix}.") for prefix in inner)}
