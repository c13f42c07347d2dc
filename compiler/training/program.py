"""A training plan as a program: an entry per learner that takes one step, and one that measures.

What is learned is state. So every target trains that keeps state, and a step is exported as any other entry: weights
and the optimizer's memory go in and come out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from ..ir.graph import Graph, Value
from ..ir.program import Entry, Program, State
from ..ir.types import DType, TensorType
from ..passes.context import Context
from ..passes.inline import inline
from .draws import numbered
from .labels import with_ranges
from .plan import Learner, TrainingPlan
from .step import DRAWS, RATE, SEED, build_step


class TrainingError(Exception):
    """A plan that cannot be compiled: names that clash, or nothing to learn. One clear message."""


def training_program(plan: TrainingPlan) -> Program:
    """The program of a plan: entries `train_step` (one for each player) and `evaluate`.

    Raises `TrainingError`, and `OpError` for an op without a gradient.
    """
    parameters = plan.parameters
    learned = dict.fromkeys(path for each in plan.learners for path in (*each.learned, *each.sets))
    state = {path: State(path, parameters[path].type, loc=parameters[path].loc) for path in learned}
    state |= drawing_state()
    entries: dict[str, Entry] = {}
    for learner in plan.learners:
        _check(learner)
        entry, memory, updates = build_step(learner)
        for name in memory:
            if name in state:
                raise TrainingError(f"a parameter is called {name}, as a state of the optimizer; give it another path")
        state |= memory
        entries[learner.entry] = stateful(entry, state, [*memory], updates)
    if plan.evaluation is not None:
        evaluate = with_ranges(_numbered(inline(plan.evaluation, Context()).entries["evaluate"]))
        entries["evaluate"] = stateful(evaluate, state, (), {})
    used = {name for entry in entries.values() for name in (*entry.states, *entry.updates)}
    kept = {path: parameter for path, parameter in parameters.items() if path not in state}
    state = {name: one for name, one in state.items() if name in used}
    return Program(plan.learners[0].program.name, entries, parameters=kept, state=state)


def drawing_state() -> dict[str, State]:
    """The states that random numbers are drawn by."""
    return {name: State(name, TensorType(DType.INT64, ())) for name in (SEED, DRAWS)}


def _check(learner: Learner) -> None:
    (entry,) = learner.program.entries.values()
    if any(port.name == RATE for port in entry.inputs):
        raise TrainingError(f"an input is called {RATE}, as the one that training adds; rename it")
    if not learner.learned and not learner.sets:
        who = f"the player {learner.name}" if learner.name else "the model"
        raise TrainingError(f"{who} has no parameters to learn")


def _numbered(entry: Entry) -> Entry:
    """The entry with its draws numbered."""
    values = dict(zip(entry.params, entry.graph.inputs[len(entry.inputs) :], strict=True))
    return replace(entry, graph=numbered(entry.graph, values[DRAWS])) if DRAWS in values else entry


def stateful(entry: Entry, state: Mapping[str, State], memory: Collection[str], updates: Mapping[str, Value]) -> Entry:
    """The entry with those of its parameters that are state handed in as such, before ``memory``."""
    first = len(entry.inputs)
    names = (*entry.params, *memory)
    values = dict(zip(names, entry.graph.inputs[first:], strict=True))
    params = [name for name in values if name not in state]
    states = [name for name in values if name in state]
    inputs = (*entry.graph.inputs[:first], *(values[name] for name in (*params, *states)))
    outputs = (*entry.graph.outputs[: len(entry.outputs)], *updates.values())
    graph = Graph(inputs, entry.graph.nodes, outputs)
    return replace(entry, graph=graph, params=tuple(params), states=tuple(states), updates=tuple(updates))
