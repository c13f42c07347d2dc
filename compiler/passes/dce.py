"""Dead code: nodes, functions, packed tensors and parameters of entries that nothing reads."""

from __future__ import annotations

from dataclasses import replace

from ..ir.graph import Graph, Node, Value
from ..ir.program import Entry, Program
from ..ops.control import Call, Scan
from .context import Context
from .sweep import map_regions


def dce(program: Program, context: Context) -> Program:
    """The program without what nothing reads. Inputs and states of entries stay: they are the public signature."""
    functions = {name: live(graph) for name, graph in program.functions.items()}
    entries = {name: _entry(entry) for name, entry in program.entries.items()}
    called = _called([entry.graph for entry in entries.values()] + [program.prepare], functions)
    program = replace(
        program, entries=entries, functions={name: graph for name, graph in functions.items() if name in called}
    )
    return _prepare(program)


def live(graph: Graph) -> Graph:
    """The graph without nodes whose results nobody reads; ops that are not pure stay.

    Loops lose the stacked results that nobody reads, and the constants and sequences that their region does not.
    """
    needed: set[Value] = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if not node.op.pure or any(value in needed for value in node.outputs):
            node = trimmed(node, node.op, needed) if isinstance(node.op, Scan) else map_regions(node, live)
            needed.update(node.inputs)
            kept.append(node)
    kept.reverse()
    return Graph(graph.inputs, tuple(kept), graph.outputs)


def trimmed(node: Node, op: Scan, needed: set[Value]) -> Node:
    """A loop without what nobody outside or inside reads. Carried values stay: they may be needed by each other."""
    (region,) = node.regions
    rows = range(op.carries, len(node.outputs))
    dropped = {place for place in rows if node.outputs[place] not in needed}
    region = live(replace(region, outputs=tuple(v for place, v in enumerate(region.outputs) if place not in dropped)))
    read = {value for inner in region.nodes for value in inner.inputs} | set(region.outputs)
    carried = range(op.constants, op.constants + op.carries)
    places = [place for place, value in enumerate(region.inputs) if value in read or place in carried]
    constants = sum(place < op.constants for place in places)
    return replace(
        node,
        op=op if constants == op.constants else op.model_copy(update={"constants": constants}),
        inputs=tuple(node.inputs[place] for place in places),
        outputs=tuple(value for place, value in enumerate(node.outputs) if place not in dropped),
        regions=(replace(region, inputs=tuple(region.inputs[place] for place in places)),),
    )


def _entry(entry: Entry) -> Entry:
    graph = live(entry.graph)
    read = {value for node in graph.nodes for value in node.inputs} | set(graph.outputs)
    first = len(entry.inputs)
    last = first + len(entry.params)
    params = [
        (name, value) for name, value in zip(entry.params, graph.inputs[first:last], strict=True) if value in read
    ]
    inputs = (*graph.inputs[:first], *(value for _, value in params), *graph.inputs[last:])
    return replace(entry, graph=replace(graph, inputs=inputs), params=tuple(name for name, _ in params))


def _called(roots: list[Graph], functions: dict[str, Graph]) -> set[str]:
    found: set[str] = set()
    todo = list(roots)
    while todo:
        for node in todo.pop().walk():
            if isinstance(node.op, Call) and node.op.function in functions and node.op.function not in found:
                found.add(node.op.function)
                todo.append(functions[node.op.function])
    return found


def _prepare(program: Program) -> Program:
    used = set(program.used_tensors())
    packed = [
        (name, value) for name, value in zip(program.packed, program.prepare.outputs, strict=True) if name in used
    ]
    graph = live(replace(program.prepare, outputs=tuple(value for _, value in packed)))
    read = {value for node in graph.nodes for value in node.inputs} | set(graph.outputs)
    inputs = [(name, value) for name, value in zip(program.prepare_inputs, graph.inputs, strict=True) if value in read]
    return replace(
        program,
        prepare=replace(graph, inputs=tuple(value for _, value in inputs)),
        prepare_inputs=tuple(name for name, _ in inputs),
        packed=tuple(name for name, _ in packed),
    )
