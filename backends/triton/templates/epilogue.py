"""What follows an anchor in its kernel: the rest of the region on the tile of sums, and the stores of its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ....compiler.fusion import Space
from ....compiler.fusion.space import space, split
from ....compiler.ir import Graph, Node, Value
from ..arrays import Array
from ..body import Body, Coordinate, address, along, store
from ..kernel import Draft, Launch
from ..scope import Scope
from .index import coordinates, total


Indices = Mapping[str, Mapping[int, Coordinate]]


@dataclass(frozen=True)
class Region:
    """A region around an anchor, with the arrays of its inputs and those made for its results."""

    graph: Graph
    anchor: Node
    before: tuple[Node, ...]
    after: tuple[Node, ...]
    space: Space
    arrays: Mapping[Value, Array]
    results: Mapping[Value, Array]

    @classmethod
    def of(cls, scope: Scope, graph: Graph, inputs: Sequence[Array]) -> Region:
        """Split a region at its anchor, and make memory for its results."""
        before, anchor, after = split(graph)
        assert anchor is not None, "a template needs an anchor"
        arrays = dict(zip(graph.inputs, inputs, strict=True))
        results = {value: scope.new(value.type) for value in graph.outputs}
        return cls(graph, anchor, before, after, space(graph), arrays, results)

    def spread(self, draft: Draft, places: Sequence[int], index: str, mask: str | None = None) -> dict[int, Coordinate]:
        """The coordinates along the axes of the space, for an index that counts the given axes of the anchor's result.

        Writes a line for each axis that is no plain index.
        """
        view = self.space.views[self.anchor.output]
        axes = [axis for place in places for axis in view[place]]
        texts = coordinates(draft, index, [self.space.axes[axis].size for axis in axes])
        return {
            axis: Coordinate(text if text == index else draft.let(text, "c"), mask)
            for axis, text in zip(axes, texts, strict=True)
        }

    def finish(self, draft: Draft, result: str, indices: Indices, mask: str) -> None:
        """Write what follows the anchor, whose tile is ``result``, and store the region's results under the mask.

        ``indices`` are the indices of the tile, which together give it its shape, each with the coordinates that follow
        from it; all axes of the anchor's result must be among these.
        """
        where = {axis: coordinate for axes in indices.values() for axis, coordinate in axes.items()}
        body = Body(draft, self.space, self.after, self.arrays, where, {self.anchor.output: result})
        for value, array in self.results.items():
            text = body.value(value)
            strides = along(self.space, self.space.views[value], array)
            # An index over sizes of 1 only is 0 wherever the mask holds; it gives the addresses the tile's shape.
            flat = [index for index, axes in indices.items() if not any(axis in strides for axis in axes)]
            store(draft, array, total((address(draft, array, strides, where), *flat)), text, mask)

    def launch(self, scope: Scope, launch: Launch) -> None:
        """Run the kernel that fills the results. It may fill the memory of an operand of the epilogue that dies."""
        outs = list(self.results.values())
        early = {value for node in (*self.before, self.anchor) for value in node.inputs}
        late = [array for value, array in self.arrays.items() if value not in early and self._elementwise(value)]
        scope.launch(launch, out=outs[0] if len(outs) == 1 else None, reuse=late if len(outs) == 1 else ())

    def _elementwise(self, value: Value) -> bool:
        """Whether a tile reads just those elements of an operand that it writes of the one result."""
        (result,) = self.results if len(self.results) == 1 else (None,)
        views = self.space.views
        return result is not None and value in views and views[value] == views[result]

    def outputs(self) -> list[Array]:
        """The arrays of the region's results."""
        return [self.results[value] for value in self.graph.outputs]

