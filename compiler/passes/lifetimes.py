"""From where to where each value of a graph lives, and how much memory that makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..ir.dims import AnyDim, substitute
from ..ir.graph import Graph, Node, Value
from ..ir.types import TensorType
from ..ops.shape import Broadcast, Reshape, Transpose
from ..ops.source import StopGradient

_VIEWS = (Reshape, Transpose, Broadcast, StopGradient)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Positions of the node that makes a value and of the last that reads it.

    ``first`` is -1 for a graph input, ``last`` the number of nodes for a graph output. ``nbytes`` may be symbolic.
    """

    value: Value
    first: int
    last: int
    nbytes: AnyDim


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes that live at once: if every value is freed after its last reader, and what no schedule goes below."""

    estimate: int
    lower_bound: int


def lifetimes(graph: Graph) -> list[Lifetime]:
    """The lifetime of each value, inputs first, then in order of definition."""
    last: dict[Value, int] = {}
    for position, node in enumerate(graph.nodes):
        for value in node.inputs:
            last[value] = position
    for value in graph.outputs:
        last[value] = len(graph.nodes)
    found = [Lifetime(value, -1, last.get(value, -1), value.type.nbytes) for value in graph.inputs]
    for position, node in enumerate(graph.nodes):
        found += [Lifetime(value, position, last.get(value, position), value.type.nbytes) for value in node.outputs]
    return found


def peak(
    graph: Graph,
    sizes: Mapping[str, int],
    inner: Callable[[Node], int] = lambda node: 0,
    passed: Callable[[Node], Mapping[Value, Value]] = lambda node: {},
) -> Peak:
    """The memory of the values that nodes make; inputs are the caller's.

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
    live = highest = bound = 0
    for position, node in enumerate(graph.nodes):
        for value in node.outputs:
            if value not in roots:
                made[value] = _bytes(value.type, sizes)
                live += made[value]
                ends.setdefault(last.get(value, position), []).append(value)
        extra = inner(node)
        highest = max(highest, live + extra)
        touched = {roots.get(value, value) for value in (*node.inputs, *node.outputs)}
        bound = max(bound, extra + sum(made.get(value, 0) for value in touched))
        live -= sum(made[value] for value in ends.get(position, ()))
    return Peak(highest, bound)


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
