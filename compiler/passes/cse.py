"""Common subexpressions: equal ops on equal values are computed once."""

from __future__ import annotations

from collections.abc import Hashable

from ..ir.graph import Graph, Node, Value, rewrite_inputs
from ..ir.program import Program
from .context import Context
from .sweep import map_graphs, map_regions


def cse(program: Program, context: Context) -> Program:
    """The program with each pure computation done once per graph; the first one stays."""
    merged = 0

    def change(graph: Graph) -> Graph:
        nonlocal merged
        smaller, count = merge(graph)
        merged += count
        return smaller

    changed = map_graphs(program, change)
    if merged:
        context.rewritten("cse", f"equal nodes merged: {merged}")
    return changed


def merge(graph: Graph) -> tuple[Graph, int]:
    """The graph without repeated computations, and how many nodes went."""
    seen: dict[Hashable, Node] = {}
    replaced: dict[Value, Value] = {}
    nodes: list[Node] = []
    merged = 0

    def inner(region: Graph) -> Graph:
        nonlocal merged
        smaller, count = merge(region)
        merged += count
        return smaller

    for original in graph.nodes:
        node = map_regions(rewrite_inputs(original, replaced), inner)
        if not node.op.pure:
            nodes.append(node)
            continue
        # Pydantic's hash leaves the class out, so that all ops without attributes would collide.
        key = (type(node.op), node.op, node.inputs, tuple(structure(region) for region in node.regions))
        first = seen.setdefault(key, node)
        if first is node:
            nodes.append(node)
        else:
            merged += 1
            replaced.update(zip(node.outputs, first.outputs, strict=True))
    if not merged:
        return graph, 0
    return Graph(graph.inputs, tuple(nodes), tuple(replaced.get(value, value) for value in graph.outputs)), merged


def structure(graph: Graph) -> Hashable:
    """Equal for graphs that differ in nothing but the identity of their values."""
    numbers = {value: number for number, value in enumerate(graph.inputs)}
    nodes: list[Hashable] = []
    for node in graph.nodes:
        inputs = tuple(numbers[value] for value in node.inputs)
        for value in node.outputs:
            numbers[value] = len(numbers)
        nodes.append((type(node.op), node.op, inputs, tuple(structure(region) for region in node.regions)))
    types = tuple(value.type for value in graph.inputs)
    return types, tuple(nodes), tuple(numbers[value] for value in graph.outputs)
