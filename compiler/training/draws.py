"""Random numbers of a step: each place that draws has numbers of its own, and others in each step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..ir.graph import Builder, Graph, Node, Value
from ..ir.op import Op
from ..ops.tensor import Tensor


def numbered(graph: Graph, counter: Value) -> Graph:
    """The graph with the step of the k-th of n nodes that draw by ``counter`` set to n counter + k.

    Nodes in regions count, too. Inside a loop a node draws the same in each round: the mask of a dropout in a
    recurrent cell is one for the whole sequence (Gal and Ghahramani 2016).
    """
    count = _count(graph, counter)
    if not count:
        return graph
    build = Builder()
    base = Tensor(build, counter) * count
    nodes, _ = _renumbered(graph.nodes, counter, base.value, 0)
    return Graph(graph.inputs, (*build.nodes, *nodes), graph.outputs)


def _steps(op: Op, node: Node) -> Value | None:
    """The operand that counts, of a node that draws."""
    names = [name.rstrip("?*") for name in op.operands]
    if "seed" not in names or "step" not in names:
        return None
    value: Value | None = op.arguments(node.inputs)[names.index("step")]
    return value


def _count(graph: Graph, counter: Value) -> int:
    total = 0
    for node in graph.nodes:
        total += _steps(node.op, node) is counter
        for region in node.regions:
            total += sum(_count(region, inner) for inner in _handed(node, region, counter))
    return total


def _handed(node: Node, region: Graph, counter: Value) -> Iterable[Value]:
    """The inputs of a region that are the counter."""
    offset = len(node.inputs) - len(region.inputs)
    return [inner for inner, outer in zip(region.inputs, node.inputs[offset:], strict=True) if outer is counter]


def _renumbered(nodes: Iterable[Node], counter: Value, base: Value, first: int) -> tuple[list[Node], int]:
    """The nodes with steps counted on from ``first``; the number of the next."""
    build = Builder()
    for original in nodes:
        node, regions = original, []
        build.loc = node.loc
        for region in node.regions:
            for inner in _handed(node, region, counter):
                changed, first = _renumbered(region.nodes, inner, inner, first)
                region = Graph(region.inputs, tuple(changed), region.outputs)
            regions.append(region)
        if _steps(node.op, node) is counter:
            step = (Tensor(build, base) + first).value
            first += 1
            node = replace(node, inputs=tuple(step if value is counter else value for value in node.inputs))
        elif node.regions:
            inputs = tuple(base if value is counter else value for value in node.inputs)
            node = replace(node, inputs=inputs, regions=tuple(regions))
        build.append(node)
    return build.nodes, first
