"""Values whose elements are all one number that is known when the program is compiled."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..ir.graph import Builder, Node, Value
from ..ir.types import DType, Literal, TensorType
from ..ops.shape import Broadcast, Reshape, Reverse, Slice, Transpose
from ..ops.source import Cast, Constant, Dimension


class Numbers:
    """Sees the number through what repeats or moves elements. ``producers`` may grow while this is used."""

    def __init__(self, producers: Mapping[Value, Node]) -> None:
        self._producers = producers
        self._known: dict[Value, np.generic | None] = {}

    def of(self, value: Value) -> np.generic | None:
        """The number, in the dtype of its tensor; None if there is none, or it is not known."""
        if value not in self._known:
            node = self._producers.get(value)
            if node is None:
                return None
            self._known[value] = self._of_node(node)
        return self._known[value]

    def _of_node(self, node: Node) -> np.generic | None:
        match node.op:
            case Constant(value=literal):
                size = literal.type.dtype.bytes
                first = literal.data[:size]
                if not first or literal.data != first * (len(literal.data) // size):
                    return None
                return np.frombuffer(first, literal.type.dtype.numpy)[0]
            case Dimension(size=int() as size):
                return np.int64(size)
            case Broadcast() | Reshape() | Transpose() | Slice() | Reverse():
                return self.of(node.inputs[0])
            case Cast():
                inner = self.of(node.inputs[0])
                return None if inner is None else scalar(node.op.meaning(np.asarray(inner)))
        return None


def scalar(array: np.ndarray) -> np.generic:
    """The number in an array without axes."""
    return array.dtype.type(array[()])


def filled(build: Builder, type: TensorType, number: np.generic | float) -> Value:
    """A tensor of one number, in its canonical form: a scalar constant, broadcast."""
    (scalar,) = build.emit(Constant(value=Literal.of(number, DType(type.dtype))), ())
    if not type.shape:
        return scalar
    return build.emit(Broadcast(shape=type.shape, axes=()), (scalar,))[0]
