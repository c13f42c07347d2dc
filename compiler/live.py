"""How much memory the values of a graph take, each in a place of its own, in the order in which the nodes stand.

The plain count that `summary` shows of a program as it was written, functions and all, the same for every target. What
a target takes of it, where results may stand in the place of operands, is said by `storage`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .ir.dims import substitute
from .ir.graph import Graph, Node, Value
from .ir.types import TensorType
from .ops.shape import Broadcast, Reshape, Transpose
from .ops.source import StopGradient

_VIEWS = (Reshape, Transpose, Broadcast, StopGradient)


def peak(
    graph: Graph,
    sizes: Mapping[str, int],
    inner: Callable[[Node], int] = lambda node: 0,
    passed: Callable[[Node], Mapping[Value, Value]] = lambda node: {},
) -> int:
    """The most bytes that values take at one time, if each is freed after its last reader; inputs are the caller's.

    Reshapes, transposes and broadcasts are views. ``inner`` gives what a node needs while it runs (its regions, its
    callee), ``passed`` the results of a call that are operands handed back. Every symbol must be in ``sizes``;
    `ValueError` otherwise.
    """
    roots = root_values(graph, passed)
    last: dict[Value, int] = {}
    for position, node in enumerate(graph.nodes):
        for value in node.inputs:
            last[roots.get(value, value)] = position
    for value in graph.outputs:
        last[roots.get(value, value)] = len(graph.nodes)
    made: dict[Value, int] = {}
    ends: dict[int, list[Value]] = {}
    live = highest = 0
    for position, node in enumerate(graph.nodes):
        for value in node.outputs:
            if value not in roots:
                made[value] = _bytes(value.type, sizes)
                live += made[value]
                ends.setdefault(last.get(value, position), []).append(value)
        highest = max(highest, live + inner(node))
        live -= sum(made[value] for value in ends.get(position, ()))
    return highest


def root_values(graph: Graph, passed: Callable[[Node], Mapping[Value, Value]]) -> dict[Value, Value]:
    """For every value that only shows another one: which. ``passed`` is as in `peak`."""
    roots: dict[Value, Value] = {}
    for node in graph.nodes:
        if isinstance(node.op, _VIEWS):
            roots[node.output] = roots.get(node.inputs[0], node.inputs[0])
        else:
            roots |= {value: roots.get(operand, operand) for value, operand in passed(node).items()}
    return roots


def _bytes(type: TensorType, sizes: Mapping[str, int]) -> int:
    total = substitute(type.nbytes, sizes)
    if not isinstance(total, int):
        raise ValueError(f"a size of {type} is not given")
    return total
