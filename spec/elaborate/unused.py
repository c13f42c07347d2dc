"""Parameters that a program owns and that no output needs."""

from __future__ import annotations

from collections.abc import Iterator

from ...compiler.ir import Graph, Program, Value
from ...compiler.ops.control import Call


def unused_parameters(program: Program) -> Iterator[str]:
    """Their paths, in order. A call needs what its function needs for any of its results."""
    live: dict[str, list[bool]] = {}
    for name, graph in program.functions.items():
        needed = _needed(graph, live)
        live[name] = [value in needed for value in graph.inputs]
    used: set[str] = set()
    for entry in program.entries.values():
        needed = _needed(entry.graph, live)
        first = len(entry.inputs)
        params = entry.graph.inputs[first : first + len(entry.params)]
        used.update(path for path, value in zip(entry.params, params, strict=True) if value in needed)
    yield from (path for path in program.parameters if path not in used)


def _needed(graph: Graph, live: dict[str, list[bool]]) -> set[Value]:
    """The values that the outputs of a graph depend on."""
    needed = set(graph.outputs)
    for node in reversed(graph.nodes):
        if not any(value in needed for value in node.outputs):
            continue
        if isinstance(node.op, Call):
            reads = live[node.op.function]
            needed.update(value for value, read in zip(node.inputs, reads, strict=True) if read)
        else:
            needed.update(node.inputs)
    return needed
