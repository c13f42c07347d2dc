"""Where a step stops being finite: its graph, node by node, by the meanings of the ops."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...compiler.evaluate import EvaluationError, evaluate
from ...compiler.ir import Entry, Graph, Node, Value


def first_not_finite(entry: Entry, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> str:
    """A sentence about the first node whose result is not finite though its operands are, among those that the results
    of the step come from.

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
    wrong = {value: np.isnan(array).any() for value, array in zip(watched, seen, strict=True) if not _finite(array)}
    found = _first(graph, wrong)
    if found is None:
        return "every node of the step is finite by the meanings of the ops"
    return f"it begins in {found.op.name}" + (f" at {found.loc}" if found.loc else ", where the weights are moved")


def _finite(array: np.ndarray) -> bool:
    return bool(np.isfinite(array).all())


def _first(graph: Graph, wrong: Mapping[Value, bool]) -> Node | None:
    """The node to blame; ``wrong`` are the values that are not finite, and whether they hold NaN.

    An infinite constant is meant, as in a mask: what comes from such alone is blamed when it makes NaN of it.
    """
    concerned = {value for value in graph.outputs if value in wrong}
    chain: list[Node] = []
    for node in reversed(graph.nodes):
        if not concerned.isdisjoint(node.outputs):
            chain.insert(0, node)
            concerned.update(value for value in node.inputs if value in wrong)
    for node in chain:
        if node.inputs and not any(value in wrong for value in node.inputs):
            return node
    for node in chain:
        makes = any(wrong.get(value) for value in node.outputs)
        if makes and not any(wrong.get(value) for value in node.inputs):
            return node
    return chain[0] if chain else None
