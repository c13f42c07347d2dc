"""Gates of recurrent cells: one call for several slices of one array, where each call costs more than its elements."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from ....compiler.ir import Graph, Node, Value
from ....compiler.ops.elementwise import Exp, Sigmoid, Tanh
from ....compiler.ops.fused import Fused
from ....compiler.ops.shape import Slice
from ..scope import Scope

CALL = 16384
"""Elements that take about as long as a call."""
FUNCTIONS = (Sigmoid, Tanh, Exp)


def joined(scope: Scope, region: Graph) -> Graph:
    """A loop's body with equal functions of slices of one small value computed at once, and no small fused regions."""
    nodes = [part for node in region.nodes for part in _opened(scope, node)]
    slices = {node.output: node for node in nodes if isinstance(node.op, Slice)}
    groups: dict[tuple[object, Value, int], list[Node]] = {}
    for node in nodes:
        cut = slices.get(node.inputs[0]) if isinstance(node.op, FUNCTIONS) else None
        axis = _axis(cut)
        if cut is not None and axis is not None:
            groups.setdefault((node.op, cut.inputs[0], axis), []).append(node)
    whole: dict[Node, Node] = {}
    for (_, source, _), group in groups.items():
        covered = sum(_typical(scope, node.output) for node in group)
        elements = _typical(scope, source)
        if len(group) > 1 and 2 * covered >= elements and elements <= CALL:
            made = Node(group[0].op, (source,), (Value(source.type),), loc=group[0].loc)
            whole |= dict.fromkeys(group, made)
    found: list[Node] = []
    placed: set[Node] = set()
    for node in nodes:
        if node in whole:
            made = whole[node]
            found += [made] if made not in placed else []
            placed.add(made)
            node = replace(slices[node.inputs[0]], inputs=made.outputs, outputs=node.outputs)
        found.append(node)
    return Graph(region.inputs, _needed(found, region.outputs), region.outputs) if whole else region


def _opened(scope: Scope, node: Node) -> tuple[Node, ...]:
    """The nodes of a small fused region of elementwise ops in its place; else the node itself."""
    if not isinstance(node.op, Fused) or node.op.kind != "pointwise":
        return (node,)
    if max(_typical(scope, value) for value in node.outputs) > CALL:
        return (node,)
    (region,) = node.regions
    known = dict(zip(region.inputs, node.inputs, strict=True))
    if any(value in known for value in region.outputs) or len(set(region.outputs)) < len(region.outputs):
        return (node,)
    known |= dict(zip(region.outputs, node.outputs, strict=True))
    return tuple(
        replace(
            each,
            inputs=tuple(known.get(value, value) for value in each.inputs),
            outputs=tuple(known.get(value, value) for value in each.outputs),
        )
        for each in region.nodes
    )


def _axis(node: Node | None) -> int | None:
    """The axis that a slice cuts without steps; None if it cuts several."""
    if node is None or not isinstance(node.op, Slice) or any(step != 1 for step in node.op.stride):
        return None
    pairs = zip(node.inputs[0].type.shape, node.output.type.shape, strict=True)
    axes = [axis for axis, (whole, part) in enumerate(pairs) if whole != part]
    return axes[0] if len(axes) == 1 else None


def _typical(scope: Scope, value: Value) -> int:
    return prod(scope.typical(value.type.shape))


def _needed(nodes: list[Node], outputs: tuple[Value, ...]) -> tuple[Node, ...]:
    """The nodes that the outputs depend on, in order."""
    wanted = set(outputs)
    kept = []
    for node in reversed(nodes):
        if not node.op.pure or any(value in wanted for value in node.outputs):
            wanted.update(node.inputs)
            kept.append(node)
    return tuple(reversed(kept))
