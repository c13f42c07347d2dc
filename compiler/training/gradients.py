"""A training plan as a program that gives gradients: what a check of them runs."""

from __future__ import annotations

from dataclasses import replace

from ..differentiate import gradients
from ..ir.graph import Builder
from ..ir.program import Entry, Program
from ..ops.tensor import Tensor
from .labels import with_ranges
from .plan import TrainingPlan, entry_name
from .program import drawing_state, stateful
from .step import prepared, with_guards

PREFIX = "gradient."
"""Before the path of a parameter: the name of an output."""


def gradient_program(plan: TrainingPlan) -> Program:
    """The program whose entries give the loss of each learner and its gradient for each parameter that is learned.

    An entry is called as the step that would use them. Raises `OpError` for an op without a gradient.
    """
    entries: dict[str, Entry] = {}
    for learner in plan.learners:
        if not learner.learned:
            continue
        (entry,) = prepared(learner).entries.values()
        build = Builder(nodes=list(entry.graph.nodes))
        values = dict(zip(entry.params, entry.graph.inputs[len(entry.inputs) :], strict=True))
        paths = [path for path in learner.learned if path in values]
        weights = [Tensor(build, values[path]) for path in paths]
        loss = entry.graph.outputs[0]
        found = gradients(build, Tensor(build, loss), weights)
        slopes = [(w.like(0) if g is None else g).value for w, g in zip(weights, found, strict=True)]
        name = entry_name(learner.name)
        graph = build.graph(entry.graph.inputs, [loss, *slopes])
        outputs = ("loss", *(PREFIX + path for path in paths))
        entries[name] = with_ranges(replace(with_guards(entry, build), name=name, graph=graph, outputs=outputs))
    state = drawing_state()
    entries = {name: stateful(entry, state, (), {}) for name, entry in entries.items()}
    used = {name for entry in entries.values() for name in (*entry.params, *entry.states)}
    parameters = {path: one for path, one in plan.parameters.items() if path in used}
    state = {name: one for name, one in state.items() if name in used}
    return Program(plan.learners[0].program.name, entries, parameters=parameters, state=state)
