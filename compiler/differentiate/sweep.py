"""What the gradient of a node with regions is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..ir.graph import Builder, Node, Value
from ..ops.tensor import Tensor

Pullback = Callable[[Builder, Mapping[Value, Tensor], Sequence[Value]], list[Tensor | None]]


@dataclass(frozen=True, slots=True)
class Sweep:
    """The node at ``position`` of the builder's nodes, the gradients of its results, and the values that vary.

    ``pullback`` differentiates a region.
    """

    build: Builder
    position: int
    given: Sequence[Tensor | None]
    varied: set[Value]
    pullback: Pullback

    @property
    def node(self) -> Node:
        return self.build.nodes[self.position]
