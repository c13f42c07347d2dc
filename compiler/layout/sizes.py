"""Sizes to ask costs for where a program has symbols."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..ir.dims import AnyDim, Symbol, decide, substitute, symbols
from ..ir.graph import Node, Value
from ..ir.types import TensorType

TYPICAL = 256
"""How long an axis of an input is taken to be if its symbol may be that long. A batch counts as one."""


@dataclass(slots=True)
class TypicalSizes:
    """A whole number for each symbol."""

    known: dict[str, AnyDim]
    types: dict[TensorType, TensorType] = field(default_factory=dict)

    @classmethod
    def of(cls, inputs: Iterable[TensorType]) -> TypicalSizes:
        """By where symbols stand in inputs: the first axis is a batch if it is a symbol, the others are long."""
        found: dict[str, AnyDim] = {}
        for type in inputs:
            for axis, size in enumerate(type.shape):
                names = symbols(size)
                if len(names) == 1:
                    (symbol,) = names
                    batch = axis == 0 and type.rank > 1 and str(size) == symbol.name
                    found.setdefault(symbol.name, max(symbol.low, 1) if batch else _fitting(size, symbol))
        return cls(found)

    def of_type(self, type: TensorType) -> TensorType:
        """The type with whole numbers for sizes."""
        if type.is_static:
            return type
        if type not in self.types:
            self.types[type] = type.with_shape(tuple(map(self._number, type.shape)))
        return self.types[type]

    def of_node(self, node: Node) -> Node:
        """The node on such types, without its regions."""
        inputs = tuple(Value(self.of_type(value.type)) for value in node.inputs)
        return Node(node.op, inputs, tuple(Value(self.of_type(value.type)) for value in node.outputs), (), node.loc)

    def _number(self, size: AnyDim) -> int:
        for symbol in sorted(symbols(size), key=lambda each: each.name):
            self.known.setdefault(symbol.name, min(max(TYPICAL, symbol.low), symbol.high))
        found = substitute(size, self.known)
        assert isinstance(found, int), "every symbol has a size"
        return max(found, 1)


def _fitting(size: AnyDim, symbol: Symbol) -> int:
    """The largest value of the only symbol of a size for which that is typical at most; the least if none is."""
    low, high = symbol.low, min(symbol.high, max(TYPICAL, symbol.low))
    while low < high:
        middle = (low + high + 1) // 2
        if decide(substitute(size, {symbol.name: middle}), "<=", TYPICAL):
            low = middle
        else:
            high = middle - 1
    return max(low, 1)
