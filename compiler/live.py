"""How much memory the values of a graph take, each in a place of its own, in the order in which the nodes stand.

The plain count that `summary` shows of a program as it was written, functions and all, the same for every target. What
a target takes of it, where results may stand in the place of operands, is said by `storage`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .ir.dims import substitute
from .ir.graph import Graph, Node, Value
from .ir.types import TensorType
from .ops.control import Call
from .ops.shape import Broadcast, Reshape, Transpose
from .ops.source import StopGradient

_VIEWS = (Reshape, Transpose, Broadcast, StopGradient)


Places = frozenset[int]
"""Of operands, or of results."""


def peak(
    graph: Graph,
    sizes: Mapping[str, int],
    inner: Callable[[Node, Places, Places], int] = lambda node, given, unread: 0,
    passed: Callable[[Node], Mapping[Value, Value]] = lambda node: {},
    owned: Sequence[Value] = (),
    kept: Sequence[Value] | None = None,
) -> int:
    """The most bytes that values take at one time, if each is freed after its last reader.

    Reshapes, transposes and broadcasts are views. ``inner`` gives what a node needs while it runs (its regions, its
    callee) beside its results and operands; of the operands those at the places ``given`` are its to free, and nobody
    reads the results at the places ``unread``, which a call does not keep then. ``passed`` are the results of a call
    that are operands handed back. Inputs are the caller's and not counted, but for those that are ``owned``; of the
    outputs those ``kept`` live to the end (None: all). Every symbol must be in ``sizes``; `ValueError` otherwise.
    """
    roots = root_values(graph, passed)
    last: dict[Value, int] = {}
    for position, node in enumerate(graph.nodes):
        for value in node.inputs:
            last[roots.get(value, value)] = position
    for value in graph.outputs if kept is None else kept:
        last[roots.get(value, value)] = len(graph.nodes)
    made = {value: _bytes(value.type, sizes) for value in owned}
    ends: dict[int, list[Value]] = {}
    for value in owned:
        ends.setdefault(last.get(value, len(graph.nodes)), []).append(value)
    live = highest = sum(made.values())
    for position, node in enumerate(graph.nodes):
        unread = {at for at, value in enumerate(node.outputs) if roots.get(value, value) not in last}
        for at, value in enumerate(node.outputs):
            if value not in roots and not (at in unread and isinstance(node.op, Call)):
                made[value] = _bytes(value.type, sizes)
                live += made[value]
                ends.setdefault(last.get(value, position), []).append(value)
        ending = ends.get(position, ())
        given = (at for at, value in enumerate(node.inputs) if value in ending and node.inputs.count(value) == 1)
        highest = max(highest, live + inner(node, frozenset(given), frozenset(unread)))
        live -= sum(made[value] for value in ending)
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
