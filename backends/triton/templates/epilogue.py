"""What follows an anchor in its kernel: the rest of the region on the tile of sums, and the stores of its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ....compiler.fusion import Space
from ....compiler.fusion.space import space, split
from ....compiler.fusion.views import is_move
from ....compiler.ir import Graph, Node, Value
from ..arrays import Array
from ..body import Body, Coordinate, Strides, address, along, store
from ..kernel import Draft, Launch
from ..scope import Scope
from .index import coordinates, total
from .walk import merged

PLAIN = 4
"""Nodes behind an anchor up to which nothing but the sums needs many registers."""


@dataclass(frozen=True)
class Index:
    """A variable of a kernel that counts the elements of some axes of an anchor's result, slow to fast.

    ``mask`` names the tile that says where it is valid (None for a plain number). ``side`` is the tile of its shape
    that is 0 wherever its axes have one element only: itself, if nothing else is said.
    """

    name: str
    places: Sequence[int]
    mask: str | None = None
    side: str = ""


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
        results = {value: scope.result(value) for value in graph.outputs}
        return cls(graph, anchor, before, after, space(graph), arrays, results)

    @property
    def late(self) -> dict[Value, Array]:
        """The inputs that are read behind the anchor."""
        used = {value for node in self.after for value in node.inputs}
        return {value: array for value, array in self.arrays.items() if value in used}

    @property
    def rich(self) -> bool:
        """Whether more follows the anchor than a bias, an activation and a residual."""
        return sum(not is_move(node) for node in self.after) > PLAIN

    def finish(self, draft: Draft, result: str, indices: Sequence[Index], mask: str) -> None:
        """Write what follows the anchor, whose tile is ``result``, and store the region's results under the mask.

        ``indices`` have each axis of the anchor's result once. Axes that lie together in all arrays are one.
        """
        strides, where, axes_of = self._coordinates(draft, indices)
        body = Body(draft, self.space, self.after, self.arrays, where, {self.anchor.output: result}, strides)
        # All are computed before the first is stored: that may be into the memory of an operand.
        texts = [body.value(value) for value in self.results]
        for (value, array), text in zip(self.results.items(), texts, strict=True):
            moves = strides[value]
            # The address gets the shape of the tile from a side that has one element only, and is 0 where that is.
            sides = dict.fromkeys(index.side or index.name for index in indices if index.mask)
            for index in indices:
                if any(axis in moves for axis in axes_of[index.name]):
                    sides.pop(index.side or index.name, None)
            store(draft, array, total((address(draft, array, moves, where), *sides)), text, mask)

    def _coordinates(
        self, draft: Draft, indices: Sequence[Index]
    ) -> tuple[dict[Value, Strides], dict[int, Coordinate], dict[str, list[int]]]:
        """The strides of values and the coordinates along merged axes, and the merged axes of each index."""
        view = self.space.views[self.anchor.output]
        runs = [[axis for place in index.places for axis in view[place]] for index in indices]
        inner = {axis for run in runs for before, axis in pairwise(run) if axis == before + 1}
        sizes = [axis.size for axis in self.space.axes]
        arrays = {**self.late, **self.results}
        strides = [along(self.space, self.space.views[value], array) for value, array in arrays.items()]
        joined, moves = merged(sizes, strides, {axis for axis in range(len(sizes)) if axis not in inner})
        where: dict[int, Coordinate] = {}
        axes_of: dict[str, list[int]] = {}
        for index, run in zip(indices, runs, strict=True):
            found = [(axis, size) for axis, (first, size) in enumerate(joined) if first in run]
            found.sort(key=lambda each: run.index(joined[each[0]][0]))
            texts = coordinates(draft, index.name, [size for _, size in found])
            axes_of[index.name] = [axis for axis, _ in found]
            for (axis, _), text in zip(found, texts, strict=True):
                where[axis] = Coordinate(text if text == index.name else draft.let(text, "c"), index.mask)
        return dict(zip(arrays, moves, strict=True)), where, axes_of

    def launch(self, scope: Scope, launch: Launch) -> None:
        """Run the kernel that fills the results. The one result may take the memory of an operand that is read where
        it is written, and nowhere else."""
        if len(self.results) > 1:
            scope.launch(launch)
            return
        ((value, out),) = self.results.items()
        read = {value for node in (*self.before, self.anchor) for value in node.inputs}
        early = {array.buffer for each, array in self.arrays.items() if each in read}
        wanted = along(self.space, self.space.views[value], out)
        fits: list[Array] = []
        for each, array in self.late.items():
            same = along(self.space, self.space.views[each], array) == wanted and array.offset == out.offset
            others = [other for other in self.late.values() if other.buffer is array.buffer and other is not array]
            if same and array.dtype is out.dtype and array.buffer not in early and not others:
                fits.append(array)
        scope.launch(launch, out=out, reuse=fits)

    def outputs(self) -> list[Array]:
        """The arrays of the region's results."""
        return [self.results[value] for value in self.graph.outputs]
