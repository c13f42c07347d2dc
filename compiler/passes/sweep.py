"""What passes that go graph by graph have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..ir.graph import Graph, Node
from ..ir.program import Program


def map_graphs(program: Program, change: Callable[[Graph], Graph]) -> Program:
    """The program with every graph changed: entries, functions and prepare; inputs and outputs keep their types."""
    return replace(
        program,
        entries={name: replace(entry, graph=change(entry.graph)) for name, entry in program.entries.items()},
        functions={name: change(graph) for name, graph in program.functions.items()},
        prepare=change(program.prepare),
    )


def map_regions(node: Node, change: Callable[[Graph], Graph]) -> Node:
    """The node with its regions changed; itself if there are none."""
    if not node.regions:
        return node
    return replace(node, regions=tuple(change(region) for region in node.regions))
