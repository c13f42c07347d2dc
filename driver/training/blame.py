"""Where a step stops being finite: its graph, node by node, by the meanings of the ops."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...compiler.evaluate import EvaluationError, evaluate
from ...compiler.ir import Entry, Graph


def first_not_finite(entry: Entry, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> str:
    """A sentence about the first node whose result is not finite though its operands are.

    ``arrays`` has the inputs, parameters and states of the entry by name.
    """
    graph = entry.graph
    names = [*(port.name for port in entry.inputs), *entry.params, *entry.states]
    for name, value in zip(names, graph.inputs, strict=True):
        if value.type.dtype.is_float and not np.isfinite(arrays[name]).all():
            return f"{name} is not finite before the step"
    watched = [value for node in graph.nodes for value in node.outputs if value.type.dtype.is_float]
    try:
        seen = evaluate(Graph(graph.inputs, graph.nodes, tuple(watched)), [arrays[name] for name in names], sizes)
    except (EvaluationError, MemoryError) as error:
        return f"the node where that begins could not be found ({error})"
    wrong = {value for value, array in zip(watched, seen, strict=True) if not np.isfinite(array).all()}
    for node in graph.nodes:
        if not wrong.isdisjoint(node.outputs):
            where = f" at {node.loc}" if node.loc is not None else ""
            return f"it begins in {node.op.name}{where}"
    return "every node of the step is finite in float32"
