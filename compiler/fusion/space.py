"""The index space of a fused region, from which a target derives tiles and index code.

A kernel walks the axes of its space. A value that lacks one of them does not vary along it: a reshape is a regrouping
of axes, a transpose another order, a broadcast a missing axis, and a row's sum lacks the axes that it is summed over.
So only elementwise ops and reductions are work, and an element's address is a sum of strides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..ir.dims import AnyDim
from ..ir.graph import Graph, Node, Value
from .axes import Axes, Group, SpaceError, View
from .views import is_move, is_pointwise, is_reduction, is_scalar, reduced, result_view


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a space. ``reduced`` axes are brought to one number inside the region."""

    size: AnyDim
    reduced: bool = False


@dataclass(frozen=True, slots=True)
class Space:
    """The axes that a region walks, and how each of its values lies along them.

    ``axes`` are the parallel ones, slow to fast in the order of the main result, then the reduced ones. ``views`` has
    for each axis of a value the places in ``axes`` that make it up, slow to fast; () for a size of 1.
    """

    axes: tuple[Axis, ...]
    views: Mapping[Value, View]

    @property
    def parallel(self) -> int:
        """How many axes are parallel; they stand first."""
        return sum(not axis.reduced for axis in self.axes)

    def varies(self, value: Value) -> frozenset[int]:
        """The axes along which a value varies."""
        return frozenset(axis for group in self.views[value] for axis in group)


def anchor_of(region: Graph) -> Node | None:
    """The node of a region that is neither elementwise nor a move nor a reduction. Raises `SpaceError` for two."""
    found = [
        node
        for node in region.nodes
        if not (is_move(node) or is_scalar(node) or is_pointwise(node) or is_reduction(node))
    ]
    if len(found) > 1:
        raise SpaceError(f"{found[0].op.name} and {found[1].op.name} cannot share a kernel")
    return found[0] if found else None


def split(region: Graph) -> tuple[tuple[Node, ...], Node | None, tuple[Node, ...]]:
    """The prologue, the anchor, and what stands after it (all nodes if there is no anchor)."""
    anchor = anchor_of(region)
    if anchor is None:
        return (), None, region.nodes
    before = ancestors(region.nodes, anchor.inputs)
    after = tuple(node for node in region.nodes if node not in before and node is not anchor)
    return tuple(node for node in region.nodes if node in before), anchor, after


def ancestors(nodes: Sequence[Node], values: Iterable[Value]) -> set[Node]:
    """The nodes among these that the values are computed from."""
    needed = set(values)
    found: set[Node] = set()
    for node in reversed(nodes):
        if any(value in needed for value in node.outputs):
            found.add(node)
            needed.update(node.inputs)
    return found


def space(region: Graph) -> Space:
    """The space of a region; behind an anchor, that of its result. Raises `SpaceError`."""
    _, anchor, nodes = split(region)
    inputs = region.inputs if anchor is None else (*region.inputs, *anchor.outputs)
    results = [value for value in region.outputs if anchor is None or value not in anchor.outputs]
    return _space(inputs, nodes, [*(anchor.outputs if anchor else ()), *results])


def operand_space(region: Graph, anchor: Node, operand: int) -> Space:
    """The space of an anchor's operand, with all that it is computed from. Raises `SpaceError`."""
    value = anchor.inputs[operand]
    before = ancestors(region.nodes, [value])
    return _space(region.inputs, [node for node in region.nodes if node in before], [value])


def _space(inputs: Sequence[Value], nodes: Sequence[Node], results: Sequence[Value]) -> Space:
    axes = Axes()
    used = {value for node in nodes for value in node.inputs} | set(results)
    views: dict[Value, View] = {value: axes.view(value.type.shape) for value in inputs if value in used}
    taken: list[tuple[Node, Value]] = []
    for node in nodes:
        views[node.output] = result_view(axes, node, [views[value] for value in node.inputs])
        if is_reduction(node):
            taken.append((node, node.inputs[0]))
    away: set[int] = set()
    for node, operand in taken:
        these = set(reduced(axes, node, views[operand]))
        if away and these != away:
            raise SpaceError(f"{node.op.name} reduces other axes than a reduction before it")
        away = these
    ordered: dict[int, None] = {}
    # Results say the order of axes; what no result varies along is reduced, or belongs to an operand alone.
    for value in (*results, *views):
        for axis in axes.flat(views[value]):
            if axis not in away:
                ordered.setdefault(axis)
    for axis in axes.flat(views[taken[0][1]]) if taken else ():
        if axis in away:
            ordered.setdefault(axis)
    places = {axis: place for place, axis in enumerate(ordered)}
    return Space(
        tuple(Axis(axes.size(axis), axis in away) for axis in ordered),
        {value: _numbered(axes, view, places) for value, view in views.items()},
    )


def _numbered(axes: Axes, view: View, places: Mapping[int, int]) -> View:
    numbered = tuple(tuple(places[axis] for axis in axes.resolve(group)) for group in view)
    flat: Group = tuple(axis for group in numbered for axis in group)
    if len(set(flat)) < len(flat):
        raise SpaceError("a value would meet itself along another axis")
    return numbered


__all__ = ["Axis", "Space", "SpaceError", "ancestors", "anchor_of", "operand_space", "space", "split"]
