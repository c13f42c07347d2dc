"""Which values of an entry follow from its parameters alone."""

from __future__ import annotations

from ..ir.dims import Dim
from ..ir.graph import Graph, Node, Value
from ..ir.program import Entry
from ..ir.types import TensorType
from ..ops.control import Call


def parameter_values(entry: Entry) -> dict[Value, str]:
    """The graph inputs of an entry that are parameters, with their names."""
    first = len(entry.inputs)
    return dict(zip(entry.graph.inputs[first : first + len(entry.params)], entry.params, strict=True))


def frozen_values(graph: Graph, parameters: dict[Value, str]) -> set[Value]:
    """Parameters, constants, and what is computed from them by nodes of known size, one result, and no regions."""
    found: set[Value] = set(parameters)
    for node in graph.nodes:
        if all(value in found for value in node.inputs) and movable(node):
            found.add(node.output)
    return found


def movable(node: Node) -> bool:
    """Whether a node can run before any size or input is known."""
    if len(node.outputs) != 1 or node.regions or isinstance(node.op, Call) or not node.op.pure:
        return False
    return node.output.type.is_static and not any(map(has_symbols, node.op.fields().values()))


def has_symbols(attribute: object) -> bool:
    """Whether an attribute speaks of sizes that are found at run time."""
    if isinstance(attribute, tuple):
        return any(map(has_symbols, attribute))
    return isinstance(attribute, Dim)


def nbytes(type: TensorType) -> int:
    """Bytes of a tensor of known size."""
    total = type.nbytes
    assert isinstance(total, int), "the size is not known"
    return total
