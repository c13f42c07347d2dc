"""Calls become the nodes of their functions; locations say through which call they came."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from ..ir.graph import Graph, Loc, Node, Value, rewrite_inputs
from ..ir.program import Program
from ..ops.control import Call
from ..splice import splice
from .context import Context
from .sweep import map_regions

LIMIT = 4_000_000
"""Most nodes that inlining may give."""


class InlineError(Exception):
    """A call of an unknown function, or more nodes than `LIMIT`."""


def inline(program: Program, context: Context) -> Program:
    """The program without functions. A function may call those that stand before it. Raises `InlineError`."""
    counts: dict[str, int] = {}
    for name, graph in program.functions.items():
        counts[name] = _count(graph, counts)
    total = sum(_count(entry.graph, counts) for entry in program.entries.values())
    if total > LIMIT:
        raise InlineError(f"inlined, the program would have {total} nodes, more than {LIMIT}")
    flat: dict[str, Graph] = {}
    for name, graph in program.functions.items():
        flat[name] = inline_calls(graph, flat)
    for name in flat:
        context.rewritten("inline", f"function {name}")
    entries = {name: replace(entry, graph=inline_calls(entry.graph, flat)) for name, entry in program.entries.items()}
    return replace(program, entries=entries, functions={}, prepare=inline_calls(program.prepare, flat))


def _count(graph: Graph, counts: Mapping[str, int]) -> int:
    total = 0
    for node in graph.walk():
        if isinstance(node.op, Call) and node.op.function not in counts:
            raise InlineError(f"no function {node.op.function!r} stands before this call{_at(node)}")
        total += counts[node.op.function] if isinstance(node.op, Call) else 1
    return total


def inline_calls(graph: Graph, functions: Mapping[str, Graph], only: Collection[str] | None = None) -> Graph:
    """The graph with each call, or each of the functions in ``only``, replaced by their nodes, in regions too."""

    def wanted(node: Node) -> bool:
        return isinstance(node.op, Call) and (only is None or node.op.function in only)

    if not any(map(wanted, graph.walk())):
        return graph
    nodes: list[Node] = []
    replaced: dict[Value, Value] = {}
    for original in graph.nodes:
        node = rewrite_inputs(original, replaced)
        if isinstance(node.op, Call) and wanted(node):
            callee = functions[node.op.function]
            replaced |= splice(callee, node.inputs, node.outputs, nodes.append, _Caller(node.loc))
        else:
            nodes.append(map_regions(node, lambda region: inline_calls(region, functions, only)))
    return Graph(graph.inputs, tuple(nodes), tuple(replaced.get(value, value) for value in graph.outputs))


class _Caller:
    """Places a callee's locations inside a call."""

    def __init__(self, outer: Loc | None) -> None:
        self.outer = outer
        self.seen: dict[Loc, Loc] = {}

    def __call__(self, loc: Loc | None) -> Loc | None:
        if loc is None:
            return self.outer
        found = self.seen.get(loc)
        if found is None:
            found = self.seen[loc] = loc.inside(self.outer)
        return found


def _at(node: Node) -> str:
    return f" at {node.loc}" if node.loc else ""
