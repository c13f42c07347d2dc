"""What says where a value lies on a mesh of devices."""

from __future__ import annotations

from typing import ClassVar

from ..ir.graph import Builder
from ..ir.op import Access, Cost, ErrorSample, Op, OpError, Sample, Shapes
from ..ir.types import TensorType
from .composite import Composite
from .samples import normal, types
from .tensor import Tensor


class ShardingConstraint(Composite):
    """x, spread over a mesh of devices: for each axis the axis of the mesh, or none where each device has all of it.

    The pass `shard` makes it from the `sharding` of a spec; on one device it is x itself.
    """

    name = "sharding_constraint"
    source = "jax.lax.with_sharding_constraint"
    numerics = "exact"
    family: ClassVar[str] = "control"
    access = (Access.SAME,)
    axes: tuple[str | None, ...]

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        if len(self.axes) != x.rank:
            raise OpError(f"sharding_constraint: {x} has {x.rank} axes, {len(self.axes)} are placed")
        named = [axis for axis in self.axes if axis is not None]
        if len(set(named)) != len(named):
            raise OpError(f"sharding_constraint: one mesh axis stands twice in {', '.join(named)}")
        return x

    def decompose(self, build: Builder, x: Tensor) -> Tensor:
        return x

    def cost(self, inputs: object, outputs: object) -> Cost:
        return Cost(0)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(axes=("data", None)), (normal(2, 3),), exact=True),
            Sample(cls(axes=()), (normal(),), "a scalar", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(axes=("data",)), types("float32[2, 3]"), "has 2 axes, 1 are placed"),
            ErrorSample(lambda: cls(axes=("data", "data")), types("float32[2, 3]"), "stands twice"),
        ]


OPS: tuple[type[Op], ...] = (ShardingConstraint,)
