"""Sums of gradients: those of slices that stand side by side are joined, not padded with zeros and added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ir.dims import AnyDim
from ..ir.graph import Builder, Node, Value
from ..ops import functional as fn
from ..ops.shape import Concat, Pad
from ..ops.source import Constant
from ..ops.tensor import Tensor


@dataclass(frozen=True, slots=True)
class _Part:
    """Tensors one after another along an axis, with ``low`` zeros before and ``high`` behind them."""

    axis: int
    low: int
    high: int
    xs: Sequence[Value]

    @property
    def stop(self) -> AnyDim:
        end: AnyDim = self.low
        for x in self.xs:
            end = end + x.type.shape[self.axis]
        return end


class Sums:
    """Adds gradients in a graph under construction."""

    def __init__(self, build: Builder) -> None:
        self._build = build
        self._known = len(build.nodes)
        self._makers: dict[Value, Node] = {}

    def add(self, one: Tensor, other: Tensor) -> Tensor:
        """The sum of two gradients of one value."""
        for node in self._build.nodes[self._known :]:
            self._makers.update(dict.fromkeys(node.outputs, node))
        self._known = len(self._build.nodes)
        first, second = self._part(one.value), self._part(other.value)
        if first is None or second is None or first.axis != second.axis:
            return one + other
        if first.stop == second.low:
            return self._joined(first, second, one.rank)
        if second.stop == first.low:
            return self._joined(second, first, one.rank)
        return one + other

    def _part(self, value: Value) -> _Part | None:
        """The value as what a slice's gradient is: zeros around something along one axis."""
        node = self._makers.get(value)
        if node is None or not isinstance(node.op, Pad) or any(node.op.interior):
            return None
        fill = self._makers.get(node.inputs[1])
        if fill is None or not isinstance(fill.op, Constant) or fill.op.meaning().any():
            return None
        low, high = node.op.low, node.op.high
        padded = [axis for axis, sides in enumerate(zip(low, high, strict=True)) if any(side != 0 for side in sides)]
        if len(padded) != 1:
            return None
        (axis,) = padded
        before, behind = low[axis], high[axis]
        if not isinstance(before, int) or not isinstance(behind, int) or min(before, behind) < 0:
            return None
        inner = self._makers.get(node.inputs[0])
        joined = inner is not None and isinstance(inner.op, Concat) and inner.op.axis == axis
        return _Part(axis, before, behind, inner.inputs if inner is not None and joined else node.inputs[:1])

    def _joined(self, first: _Part, second: _Part, rank: int) -> Tensor:
        axis = first.axis
        whole = fn.concat([Tensor(self._build, x) for x in (*first.xs, *second.xs)], axis)
        if first.low == 0 and second.high == 0:
            return whole
        low, high = ([side if k == axis else 0 for k in range(rank)] for side in (first.low, second.high))
        return fn.pad(whole, low, high)
