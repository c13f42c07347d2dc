"""A graph's nodes, copied into another graph: what inlining and decomposing have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .ir.graph import Graph, Loc, Node, Value


def splice(
    graph: Graph,
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    append: Callable[[Node], None],
    place: Callable[[Loc | None], Loc | None],
) -> dict[Value, Value]:
    """Hand copies of a graph's nodes to ``append``, reading ``inputs`` and defining ``outputs``.

    ``place`` gives the location of a copy from that of its original. Returns what stands for those of ``outputs`` that
    no copied node defines: an input that the graph passes through, or a result that it gives twice.
    """
    values: dict[Value, Value] = dict(zip(graph.inputs, inputs, strict=True))
    defined = {value for node in graph.nodes for value in node.outputs}
    replaced: dict[Value, Value] = {}
    for inner, outer in zip(graph.outputs, outputs, strict=True):
        if inner in defined and inner not in values:
            values[inner] = outer
        else:
            replaced[outer] = values[inner]
    for node in graph.nodes:
        for value in node.outputs:
            if value not in values:
                values[value] = Value(value.type)
        append(
            Node(
                node.op,
                tuple(values[value] for value in node.inputs),
                tuple(values[value] for value in node.outputs),
                tuple(copied(region, place) for region in node.regions),
                place(node.loc),
            )
        )
    return replaced


def copied(graph: Graph, place: Callable[[Loc | None], Loc | None]) -> Graph:
    """The same graph with values of its own."""
    values = {value: Value(value.type) for value in graph.inputs}
    nodes: list[Node] = []
    for node in graph.nodes:
        for value in node.outputs:
            values[value] = Value(value.type)
        nodes.append(
            Node(
                node.op,
                tuple(values[value] for value in node.inputs),
                tuple(values[value] for value in node.outputs),
                tuple(copied(region, place) for region in node.regions),
                place(node.loc),
            )
        )
    inputs = tuple(values[value] for value in graph.inputs)
    return Graph(inputs, tuple(nodes), tuple(values[value] for value in graph.outputs))
