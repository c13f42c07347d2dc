"""Nodes that a target runs as one kernel become one `fused` node."""

from __future__ import annotations

from dataclasses import replace

from ..fusion.grouping import Grouping, Kernel
from ..fusion.regions import with_kernels
from ..fusion.rules import Fusion
from ..fusion.views import is_move, is_scalar
from ..ir.graph import Graph, Node
from ..ir.program import Program
from ..ops.fused import Fused
from .context import Context
from .dce import live
from .sweep import map_regions

NAMES = 12
"""Most ops that a report names."""


def fuse(program: Program, context: Context) -> Program:
    """The program with the kernels that ``context.fusion`` allows, in entries, functions and regions.

    The prepare graph stays: it runs where bundles are made. Idempotent; a target without rules gets the program back.
    """
    rules = context.fusion
    if rules is None:
        return program
    entries = {
        name: replace(entry, graph=_graph(entry.graph, rules, context)) for name, entry in program.entries.items()
    }
    functions = {name: _graph(graph, rules, context) for name, graph in program.functions.items()}
    return replace(program, entries=entries, functions=functions)


def _graph(graph: Graph, rules: Fusion, context: Context) -> Graph:
    nodes = tuple(
        node if isinstance(node.op, Fused) else map_regions(node, lambda region: _graph(region, rules, context))
        for node in live(graph).nodes
    )
    graph = Graph(graph.inputs, nodes, graph.outputs)

    def refused(node: Node, kernel: Kernel, why: str) -> None:
        beside = kernel.anchor or kernel.nodes[-1]
        context.refused("fuse", f"{node.op.name} with {beside.op.name}", why, node.loc)

    grouping = Grouping(graph, rules, refused)
    changed, made = with_kernels(graph, grouping, grouping.kernels())
    for kernel, node in made.items():
        context.rewritten("fuse", f"{kernel.kind} kernel: {_names(node)}", node.loc)
    return changed


def _names(node: Node) -> str:
    """What a kernel computes, in order, repeated ops counted."""
    names = [each.op.name for each in node.regions[0].nodes if not (is_move(each) or is_scalar(each))]
    runs: list[tuple[str, int]] = []
    for name in names:
        if runs and runs[-1][0] == name:
            runs[-1] = name, runs[-1][1] + 1
        else:
            runs.append((name, 1))
    shown = [name if count == 1 else f"{count} {name}" for name, count in runs[:NAMES]]
    return " + ".join(shown) + (f" + ... ({len(names)} ops)" if len(runs) > NAMES else "")
