"""Regions that turn features first to features last, done features first: the turn then is a view of the result.

Products and attention read such a view as it is. So nothing is written in another order, and results stay in the memory
of operands.
"""

from __future__ import annotations

from ....compiler.ir import Graph, Node, Value
from ....compiler.ir.op import Access
from ....compiler.ops.shape import Broadcast, Transpose

LAST = (1, 2, 0)
"""The axes of [features, N, T] in the order [N, T, features]."""
PLACES = (1, 2, 0)
"""Where each of the axes N, T and features stands in [features, N, T]."""


def without_turns(region: Graph) -> Graph | None:
    """The region with its only result features first; None where nothing turns it last, or where something besides
    element-by-element work follows, or reads what is neither turned nor repeated along all axes but one."""
    found: dict[Value, Value] = {}
    nodes: list[Node] = []
    producers = region.producers()
    for node in region.nodes:
        if isinstance(node.op, Transpose) and node.op.axes == LAST and node.inputs[0] not in found:
            found[node.output] = node.inputs[0]
        elif not any(value in found for value in node.inputs):
            nodes.append(node)
        elif set(node.op.access) != {Access.SAME} or len(node.outputs) != 1:
            return None
        else:
            operands = []
            for value in node.inputs:
                if value not in found:
                    repeated = _repeated(producers.get(value))
                    if repeated is None:
                        return None
                    nodes.append(repeated)
                    found[value] = repeated.output
                operands.append(found[value])
            found[node.output] = Value(node.output.type.with_shape(operands[0].type.shape))
            nodes.append(Node(node.op, tuple(operands), (found[node.output],), loc=node.loc))
    result = found.get(region.outputs[0])
    if result is None or len(region.outputs) != 1 or result in region.inputs:
        return None
    read = {result}.union(*(node.inputs for node in nodes))
    return Graph(region.inputs, tuple(node for node in nodes if read.intersection(node.outputs)), (result,))


def _repeated(node: Node | None) -> Node | None:
    """A broadcast to [N, T, features] as one to [features, N, T]."""
    if node is None or not isinstance(node.op, Broadcast) or len(node.op.axes) > 1:
        return None
    shape = node.output.type.shape
    op = Broadcast(shape=(shape[2], *shape[:2]), axes=tuple(PLACES[axis] for axis in node.op.axes))
    return Node(op, node.inputs, (Value(node.output.type.with_shape(op.shape)),), loc=node.loc)
