"""Kernels become nodes: each group of a graph is one `fused` node with a region."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Sequence

from ..ir.graph import Graph, Node, Value
from ..ops.fused import Fused
from .grouping import Grouping, Kernel, Source


def with_kernels(graph: Graph, grouping: Grouping, kernels: Sequence[Kernel]) -> tuple[Graph, dict[Kernel, Node]]:
    """The graph with a `fused` node for each kernel, and these nodes. The order changes only where it must."""
    owner = {node: kernel for kernel in kernels for node in kernel.nodes}
    needed = set(graph.outputs)
    for kernel in kernels:
        inside = {value for node in kernel.nodes for value in node.outputs}
        bases = (source.base for node in kernel.nodes for source in kernel.sources[node])
        needed.update(base for base in bases if base not in inside and not grouping.is_number(base))
    made: dict[Kernel, Node] = {}
    units: list[tuple[int, Node]] = []
    for position in range(len(graph.nodes) - 1, -1, -1):
        node = graph.nodes[position]
        if node not in owner and (not grouping.is_free(node) or node.output in needed):
            needed.update(node.inputs)
            units.append((position, node))
    for kernel in kernels:
        made[kernel] = _fused(kernel, grouping, needed)
        units.append((kernel.last, made[kernel]))
    return Graph(graph.inputs, tuple(_ordered(units)), graph.outputs), made


def _fused(kernel: Kernel, grouping: Grouping, needed: set[Value]) -> Node:
    """The node of a kernel. An operand that is read under two views stands twice."""
    body = _Body(grouping)
    nodes = sorted(kernel.nodes, key=grouping.index.__getitem__)
    for node in nodes:
        inputs = tuple(body.operand(source) for source in kernel.sources[node])
        outputs = tuple(Value(value.type) for value in node.outputs)
        body.computed.update(zip(node.outputs, outputs, strict=True))
        body.nodes.append(Node(node.op, inputs, outputs, loc=node.loc))
    results = [value for node in nodes for value in node.outputs if value in needed]
    region = Graph(tuple(body.inputs.values()), tuple(body.nodes), tuple(body.computed[value] for value in results))
    operands = tuple(base for base, _ in body.inputs)
    return Node(
        Fused.model_validate({"kind": kernel.kind}),
        operands,
        tuple(results),
        (region,),
        (kernel.anchor or nodes[0]).loc,
    )


class _Body:
    """A region under construction."""

    def __init__(self, grouping: Grouping) -> None:
        self.grouping = grouping
        self.nodes: list[Node] = []
        self.inputs: dict[tuple[Value, Hashable], Value] = {}
        self.computed: dict[Value, Value] = {}

    def operand(self, source: Source) -> Value:
        """The value that a node reads, with copies of the moves and scalars that it needs."""
        value = self.base(source)
        for node in source.chain:
            value = self.move(node, value)
        return value

    def base(self, source: Source) -> Value:
        if source.base in self.computed:
            return self.computed[source.base]
        if self.grouping.is_number(source.base):
            return self.number(source.base)
        view = source.view and tuple(self.grouping.axes.resolve(group) for group in source.view)
        return self.inputs.setdefault((source.base, view), Value(source.base.type))

    def number(self, value: Value) -> Value:
        """A copy of a scalar, with what it is computed from."""
        if value not in self.computed:
            node = self.grouping.producers[value]
            inputs = tuple(self.number(operand) for operand in node.inputs)
            self.computed[value] = Value(value.type)
            self.nodes.append(Node(node.op, inputs, (self.computed[value],), loc=node.loc))
        return self.computed[value]

    def move(self, node: Node, value: Value) -> Value:
        """A copy of a move for one reader: another reader may repeat the value along other axes."""
        copy = Node(node.op, (value,), (Value(node.output.type),), loc=node.loc)
        self.nodes.append(copy)
        return copy.output


def _ordered(units: Sequence[tuple[int, Node]]) -> list[Node]:
    """The nodes in an order in which operands stand before their readers; earlier positions first."""
    producers = {value: node for _, node in units for value in node.outputs}
    positions = {node: position for position, node in units}
    waiting: dict[Node, int] = {}
    readers: dict[Node, list[Node]] = {}
    for node in positions:
        before = {producers[value] for value in node.inputs if value in producers}
        waiting[node] = len(before)
        for each in before:
            readers.setdefault(each, []).append(node)
    ready = [(positions[node], number, node) for number, node in enumerate(waiting) if not waiting[node]]
    heapq.heapify(ready)
    found: list[Node] = []
    count = len(waiting)
    while ready:
        _, _, node = heapq.heappop(ready)
        found.append(node)
        for reader in readers.get(node, ()):
            waiting[reader] -= 1
            if not waiting[reader]:
                count += 1
                heapq.heappush(ready, (positions[reader], count, reader))
    assert len(found) == len(units), "two kernels need each other"
    return found
