"""The graph under construction of one entry or block, and the parameters it needs.

A block is built once for equal arguments and operand types, and called as often as it occurs. So its parameters are
known relative to the call, except those of parts, which are the same for every call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...compiler.ir import Builder, Graph, Parameter, Shapes, TensorType, Value
from ...compiler.ops.tensor import Tensor
from ..source import Span


class Key(NamedTuple):
    """A parameter: its path from the root of the program, or from where the body is called."""

    path: str
    absolute: bool = False

    def under(self, base: Key) -> Key:
        """The same parameter, seen by a caller that calls the body at ``base``."""
        if self.absolute:
            return self
        return Key(join(base.path, self.path), base.absolute)


@dataclass(frozen=True, slots=True)
class Owned:
    """A parameter that a body owns.

    ``parameter`` bears the path that it had in its own body. ``owner`` identifies the owning node: equal for two calls
    of one part only. ``spans`` are the places of the calls that lead to it, outermost first, and of the node itself.
    """

    key: Key
    owner: tuple[Any, ...]
    parameter: Parameter
    spans: tuple[Span, ...]

    def under(self, base: Key, caller: tuple[Any, ...], *spans: Span) -> Owned:
        """The same ownership, seen by a caller; that of a part does not depend on who calls it."""
        if self.key.absolute:
            return self
        key = self.key.under(base)
        return Owned(key, (*caller, *self.owner), self.parameter, (*spans, *self.spans))

    def apart(self, other: Owned) -> tuple[Span, Span]:
        """Where the ways to this parameter and to the other one part: the places of the two calls or nodes."""
        for mine, theirs in zip(self.spans, other.spans, strict=False):
            if mine != theirs:
                return mine, theirs
        return self.spans[0], other.spans[0]


def join(prefix: str, path: str) -> str:
    """Two paths joined with a dot; an empty one adds nothing."""
    return f"{prefix}.{path}" if prefix and path else prefix or path


@dataclass(slots=True)
class Body:
    """A builder with the inputs and parameters that were asked for so far.

    ``expanded`` counts the nodes inside the functions that it calls. ``updates`` are the next values of parameters
    that a training graph sets by itself: running statistics.
    """

    shapes: Shapes
    build: Builder = field(init=False)
    inputs: list[Value] = field(default_factory=list)
    parameters: dict[Key, Value] = field(default_factory=dict)
    owned: list[Owned] = field(default_factory=list)
    updates: dict[Key, Tensor] = field(default_factory=dict)
    expanded: int = 0

    def __post_init__(self) -> None:
        self.build = Builder(shapes=self.shapes)

    def input(self, type: TensorType) -> Tensor:
        """A new input."""
        value = Value(type)
        self.inputs.append(value)
        return Tensor(self.build, value)

    def current(self, key: Key, type: TensorType) -> Tensor:
        """The parameter as the nodes so far leave it."""
        return self.updates[key] if key in self.updates else self.parameter(key, type)

    def parameter(self, key: Key, type: TensorType) -> Tensor:
        """The parameter as a tensor of this body."""
        value = self.parameters.setdefault(key, Value(type))
        # Two owners of one path are reported at the end; until then each has the type that it needs.
        return Tensor(self.build, value if value.type == type else Value(type))

    def graph(self, outputs: list[Value]) -> Graph:
        """The finished graph: inputs, then parameters."""
        return self.build.graph((*self.inputs, *self.parameters.values()), outputs)


@dataclass(frozen=True, slots=True)
class Function:
    """A finished body: how to call it, and what its result looks like.

    ``template`` is the result with the number of the graph output in place of each tensor, wrapped in `Slot`; behind
    them come the next values of ``updates``.
    """

    name: str
    graph: Graph
    parameters: tuple[Key, ...]
    owned: tuple[Owned, ...]
    template: Any
    nodes: int
    updates: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a graph output in a template."""

    index: int
