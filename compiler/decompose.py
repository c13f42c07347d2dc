"""Composites in simpler ops: their decomposition as a graph, traced once per op and operand types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .ir.dims import AnyDim
from .ir.graph import Builder, Graph, Value
from .ir.op import Op
from .ir.types import TensorType
from .ops.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Decomposition:
    """What a composite means: a graph from its flat operands to its results, and the sizes that must be equal."""

    graph: Graph
    guards: tuple[tuple[AnyDim, AnyDim], ...]


def decompose(op: Op, types: Sequence[TensorType]) -> Decomposition:
    """The decomposition of a composite for flat operands of these types. Raises `OpError`."""
    build = Builder()
    inputs = tuple(Value(type) for type in types)
    result = op.decompose(build, *op.arguments([Tensor(build, value) for value in inputs]))
    results: Sequence[Tensor] = result if isinstance(result, (tuple, list)) else (result,)
    graph = build.graph(inputs, [tensor.value for tensor in results])
    return Decomposition(graph, tuple(build.shapes.guards))


@dataclass(slots=True)
class Decompositions:
    """Decompositions seen so far, so that equal layers are traced once."""

    seen: dict[tuple[type[Op], Op, tuple[TensorType, ...]], Decomposition] = field(default_factory=dict)

    def of(self, op: Op, types: Sequence[TensorType]) -> Decomposition:
        """As `decompose`."""
        key = (type(op), op, tuple(types))
        found = self.seen.get(key)
        if found is None:
            found = self.seen[key] = decompose(op, types)
        return found
