"""Element-by-element work between a reshape that cuts axes and one that puts them together again, on whole axes.

Groups of channels that stand last are the case: a normalisation over [N, H W, groups, C / groups] works on [N, H W, C]
as well, where what lies side by side in memory is one long axis. A sum over pixels and over the channels of a group
sums the pixels first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from ..ir.dims import AnyDim, Shape, product
from ..ir.graph import Builder, Graph, Node, Value, rewrite_inputs
from ..ir.op import Access
from ..ops.reduce import ReduceMax, ReduceMin, ReduceProd, ReduceSum, Reduction
from ..ops.shape import Broadcast, Reshape
from .form import regrouped

Runs = tuple[tuple[int, int], ...]
"""For each whole axis, which of the cut axes it is made of: the first, and the one after the last."""


def coarsen(graph: Graph) -> Graph:
    """The graph with such work on whole axes. Dead reshapes are left behind."""
    return _Coarsener(graph.producers()).graph(graph)


@dataclass(frozen=True, slots=True)
class _Whole:
    """What a value is a reshape of, with fewer axes."""

    value: Value
    runs: Runs

    @property
    def shape(self) -> Shape:
        return self.value.type.shape


def common_runs(before: Shape, after: Shape) -> Runs:
    """The runs of ``after`` between places where both shapes have counted the same number of elements."""
    counted: list[AnyDim] = [1]
    for size in before:
        counted.append(counted[-1] * size)
    runs, first = [], 0
    total: AnyDim = 1
    for axis, size in enumerate(after, 1):
        total = total * size
        if total in counted and size != 1:
            runs.append((first, axis))
            first = axis
    if first < len(after) and runs:
        runs[-1] = (runs[-1][0], len(after))
    return tuple(runs)


@dataclass(slots=True)
class _Coarsener:
    """One graph in the making."""

    producers: dict[Value, Node]
    build: Builder = field(default_factory=Builder)
    wholes: dict[Value, _Whole] = field(default_factory=dict)
    replaced: dict[Value, Value] = field(default_factory=dict)

    def graph(self, graph: Graph) -> Graph:
        for original in graph.nodes:
            node = rewrite_inputs(original, self.replaced)
            self.build.loc = node.loc
            if not self.changed(node):
                self.build.append(node)
            if isinstance(node.op, Reshape):
                self.cut(node)
        return self.build.graph(graph.inputs, [self.replaced.get(value, value) for value in graph.outputs])

    def changed(self, node: Node) -> bool:
        """Append what stands for a node, if that is something else."""
        if isinstance(node.op, Reshape):
            return self.joined(node)
        if type(node.op) in (ReduceSum, ReduceMax, ReduceMin, ReduceProd):
            return self.reduced(node, cast(Reduction, node.op))
        if node.inputs and len(node.outputs) == 1 and not node.regions and set(node.op.access) == {Access.SAME}:
            return self.pointwise(node)
        return False

    def cut(self, node: Node) -> None:
        """Note what a reshape cuts, if it does."""
        (x,), shape = node.inputs, node.output.type.shape
        runs = common_runs(x.type.shape, shape)
        if node.output not in self.wholes and 0 < len(runs) < len(shape):
            sizes = tuple(product(shape[first:last]) for first, last in runs)
            if product(sizes) == product(shape):
                self.wholes[node.output] = _Whole(regrouped(self.build, x, sizes), runs)

    def joined(self, node: Node) -> bool:
        whole = self.wholes.get(node.inputs[0])
        if whole is None:
            return False
        if whole.shape == node.output.type.shape:
            self.replaced[node.output] = whole.value
        else:
            self.build.emit(node.op, [whole.value], outputs=node.outputs)
        return True

    def pointwise(self, node: Node) -> bool:
        shape = node.output.type.shape
        found = [self.wholes[value] for value in node.inputs if value in self.wholes]
        if not found or any(value.type.shape != shape for value in node.inputs):
            return False
        runs = found[0].runs
        operands: list[Value] = []
        for value in node.inputs:
            whole = self.wholes.get(value)
            if whole is not None and whole.runs == runs:
                operands.append(whole.value)
                continue
            made = self.repeated(value, runs)
            if made is None:
                return False
            operands.append(made)
        (result,) = self.build.emit(node.op, operands)
        self.build.emit(Reshape(shape=shape), [result], outputs=node.outputs)
        self.wholes[node.output] = _Whole(result, runs)
        return True

    def repeated(self, value: Value, runs: Runs) -> Value | None:
        """A broadcast to whole axes; None for what is no broadcast."""
        node = self.producers.get(value)
        if node is None or not isinstance(node.op, Broadcast):
            return None
        (x,), axes, shape = (self.replaced.get(v, v) for v in node.inputs), node.op.axes, node.op.shape
        sizes = dict(zip(axes, x.type.shape, strict=True))
        wanted = [run for run in runs if any(sizes.get(axis, 1) != 1 for axis in range(*run))]
        partial = tuple(shape[axis] for run in wanted for axis in range(*run))
        kept = [axis for run in wanted for axis in range(*run)]
        small = regrouped(self.build, x, tuple(size for size in x.type.shape if size != 1))
        places = tuple(kept.index(axis) for axis in axes if sizes[axis] != 1)
        if small.type.shape != partial:
            (small,) = self.build.emit(Broadcast(shape=partial, axes=places), [small])
        small = regrouped(self.build, small, tuple(product(shape[first:last]) for first, last in wanted))
        whole = tuple(product(shape[first:last]) for first, last in runs)
        return self.build.emit(Broadcast(shape=whole, axes=tuple(runs.index(run) for run in wanted)), [small])[0]

    def reduced(self, node: Node, op: Reduction) -> bool:
        """Sum over whole axes first, then over what is left of those that are kept in part."""
        whole = self.wholes.get(node.inputs[0])
        gone = set(cast(Sequence[int], op.axes))
        if whole is None or node.output.type.dtype.is_half:
            return False
        first = [place for place, run in enumerate(whole.runs) if gone >= set(range(*run))]
        if not first:
            return False
        shape = node.inputs[0].type.shape
        rest = [axis for place, run in enumerate(whole.runs) if place not in first for axis in range(*run)]
        (value,) = self.build.emit(replace_axes(op, first), [whole.value])
        second = [at for at, axis in enumerate(rest) if axis in gone]
        if second:
            value = regrouped(self.build, value, tuple(shape[axis] for axis in rest))
            (value,) = self.build.emit(replace_axes(op, second), [value])
        self.build.emit(Reshape(shape=node.output.type.shape), [value], outputs=node.outputs)
        return True


def replace_axes(op: Reduction, axes: Sequence[int]) -> Reduction:
    """The reduction over other axes, which go."""
    return op.model_copy(update={"axes": tuple(axes), "keep": False})
