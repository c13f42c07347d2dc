"""Which axes a result has, by the access of the op that makes it: no op is known here that does not say it itself."""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.graph import Node
from ..ir.op import Access
from ..ops.reduce import Reduction
from ..ops.shape import Broadcast, Reshape, Transpose
from ..ops.source import Bitcast, Constant, Dimension
from .axes import Axes, Group, SpaceError, View

MOVES = (Reshape, Transpose, Broadcast)
"""What only says where elements are: free within a kernel."""


def is_move(node: Node) -> bool:
    """Whether the node is no work in a kernel."""
    return isinstance(node.op, MOVES)


def is_scalar(node: Node) -> bool:
    """Whether this is a number that can stand in a kernel's text: a constant or a size."""
    return isinstance(node.op, (Constant, Dimension)) and node.output.type.rank == 0


def is_pointwise(node: Node) -> bool:
    """Whether each element of the one result depends on the same element of the operands."""
    op = node.op
    same = op.elementwise or (not op.is_composite() and set(op.access) == {Access.SAME})
    return same and len(node.outputs) == 1 and not isinstance(op, Bitcast)


def is_reduction(node: Node) -> bool:
    """Whether this brings axes of more than one element to one number, which their order does not change."""
    op = node.op
    return isinstance(op, Reduction) and isinstance(op.axes, tuple) and any(_long(node, axis) for axis in op.axes)


def _long(node: Node, axis: int) -> bool:
    return node.inputs[0].type.shape[axis] != 1


def reduced(axes: Axes, node: Node, view: View) -> Group:
    """The axes that a reduction takes away."""
    assert isinstance(node.op, Reduction) and isinstance(node.op.axes, tuple)
    return axes.resolve([axis for place in node.op.axes for axis in view[place]])


def result_view(axes: Axes, node: Node, views: Sequence[View]) -> View:
    """The view of a node's result from those of its operands, which it may make equal or split.

    Takes moves, scalars, pointwise ops and reductions. Raises `SpaceError`.
    """
    op = node.op
    if isinstance(op, Transpose):
        return tuple(views[0][axis] for axis in op.axes)
    if isinstance(op, Reshape):
        made = axes.view(node.output.type.shape)
        axes.unify(axes.flat(views[0]), axes.flat(made))
        return tuple(axes.resolve(group) for group in made)
    if isinstance(op, Broadcast):
        kept = {op.axes[place]: place for place, size in enumerate(node.inputs[0].type.shape) if size != 1}
        return tuple(
            views[0][kept[axis]] if axis in kept else axes.new(size) for axis, size in enumerate(node.output.type.shape)
        )
    if isinstance(op, Reduction):
        assert isinstance(op.axes, tuple)
        if op.keep:
            return tuple(() if axis in op.axes else group for axis, group in enumerate(views[0]))
        return tuple(group for axis, group in enumerate(views[0]) if axis not in op.axes)
    if is_scalar(node):
        return ()
    if not is_pointwise(node):
        raise SpaceError(f"{op.name} is no part of a kernel")
    first, *others = views
    for other in others:
        for left, right in zip(first, other, strict=True):
            axes.unify(left, right)
    return tuple(axes.resolve(group) for group in first)
