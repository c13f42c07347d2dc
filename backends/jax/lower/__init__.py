"""How each op is written in JAX, by family."""

from __future__ import annotations

from ....compiler.ir import Graph, Op
from ..scope import Lowering, Scope
from . import composite, contract, control, elementwise, index, reduce, shape, source

LOWERINGS: dict[type[Op], Lowering] = {
    **elementwise.LOWERINGS,
    **source.LOWERINGS,
    **shape.LOWERINGS,
    **reduce.LOWERINGS,
    **contract.LOWERINGS,
    **index.LOWERINGS,
    **control.LOWERINGS,
    **composite.LOWERINGS,
}


def lower_graph(scope: Scope, graph: Graph) -> None:
    """Write the lines of a graph whose inputs are bound."""
    for node in graph.nodes:
        scope.begin(node)
        LOWERINGS[type(node.op)](scope, node, node.op)


__all__ = ["LOWERINGS", "lower_graph"]
