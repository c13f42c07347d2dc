"""Gradients checked: those of the targets by the reference's, and these by differences of the loss itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..backends import signature
from ..backends.executable import bind_sizes
from ..compiler.evaluate import evaluate
from ..compiler.ir import DType, Entry, Graph, Node
from ..compiler.ir.op import OpError
from ..compiler.training.gradients import PREFIX, gradient_program
from ..compiler.training.program import TrainingError
from .build import Weights
from .model import Model
from .samples import random_inputs
from .verify import Outcome, Tell, Verification, verify_model

DIFFERENCES = "differences"
"""Stands for a target: central differences of the loss, in float64."""
STEP = 1e-5
MOST_PLACES = 4
"""Elements of a parameter that are moved: that of the largest gradient, and some at random."""
TOLERANCE = 1e-4
"""Of a difference, relative to the largest gradient of the parameter."""


def with_gradients(model: Model) -> Model:
    """The model whose entries give the losses that it is trained by, and their gradients by parameter.

    They are called as the steps of training are (`train_step`, or one for each player). Raises SpecError, and
    `TrainingError` for a model without training, one that learns by a rule, and an op without a gradient.
    """
    try:
        program = gradient_program(model.training)
    except OpError as error:
        raise TrainingError(str(error)) from error
    if not program.entries:
        raise TrainingError(f"{model.name} learns by a rule, which has no gradients")
    return model.having(program)


def verify_gradients(
    model: Model,
    targets: Sequence[str] | None,
    weights: Weights,
    sizes: Mapping[str, int] | None = None,
    *,
    bisect: bool = False,
    tell: Tell = lambda message: None,
) -> Verification:
    """As `verify_model`, for the gradients of the losses that the model is trained by.

    The first outcome is that of the reference beside central differences. Raises what `verify_model` raises, and
    `TrainingError` for an op without a gradient.
    """
    learning = with_gradients(model)
    found = verify_model(learning, targets, weights, sizes, bisect=bisect, tell=tell)
    tell("differences of the loss")
    return replace(found, outcomes=(_differences(learning, weights, sizes or {}), *found.outcomes))


def _differences(model: Model, weights: Weights, sizes: Mapping[str, int]) -> Outcome:
    """The reference's gradients at some places of each parameter, beside differences of the loss."""
    program = model.program
    parameters = weights.parameters(model)
    promised = signature.from_json(signature.to_json(program)).entries
    worst = (0.0, 0.0, "")
    for name, entry in program.entries.items():
        inputs = random_inputs(promised[name], weights.seed, sizes)
        bound = bind_sizes(promised[name], {key: array.shape for key, array in inputs.items()})
        arrays = [inputs[port.name] for port in entry.inputs]
        arrays += [np.asarray(parameters[path]) for path in entry.params]
        arrays += [np.zeros((), np.int64) for _ in entry.states]
        worst = max(worst, _worst(entry, arrays, bound))
    relative, absolute, place = worst
    return Outcome(DIFFERENCES, relative <= TOLERANCE, relative, absolute, place if relative else "")


def _worst(entry: Entry, arrays: Sequence[np.ndarray], sizes: Mapping[str, int]) -> tuple[float, float, str]:
    """The largest error relative to the largest gradient of its parameter, the absolute one, and the parameter."""
    wide = [array.astype(np.float64) if DType.of(array).is_float else array for array in arrays]
    _, *slopes = evaluate(entry.graph, wide, sizes, wide=True)
    loss = Graph(entry.graph.inputs, _needed(entry.graph), entry.graph.outputs[:1])
    generator = np.random.default_rng(0)
    worst = (0.0, 0.0, "")
    for name, slope in zip(entry.outputs[1:], slopes, strict=True):
        path = name.removeprefix(PREFIX)
        at = len(entry.inputs) + entry.params.index(path)
        places = {int(np.abs(slope).argmax()), *generator.integers(0, slope.size, MOST_PLACES - 1).tolist()}
        for place in sorted(places):
            ends = []
            for step in (STEP, -STEP):
                moved = list(wide)
                moved[at] = wide[at].copy()
                moved[at].flat[place] += step
                ends.append(float(evaluate(loss, moved, sizes, wide=True)[0]))
            error = abs((ends[0] - ends[1]) / (2 * STEP) - float(slope.flat[place]))
            worst = max(worst, (error / max(float(np.abs(slope).max()), STEP), error, path))
    return worst


def _needed(graph: Graph) -> tuple[Node, ...]:
    """The nodes that the loss, the first output, needs."""
    needed = set(graph.outputs[:1])
    kept = []
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    return tuple(reversed(kept))
