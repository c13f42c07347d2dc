"""Values, nodes, graphs, and the builder that appends to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .dims import AnyDim
from .op import Op, OpError, Shapes
from .types import TensorType, check_size


@dataclass(frozen=True, slots=True)
class Loc:
    """Where a node comes from: a place in a spec, and its label (names from the outside in, joined with dots)."""

    file: str = ""
    line: int = 0
    column: int = 0
    label: str = ""

    def inside(self, outer: Loc | None) -> Loc:
        """The same place, called from ``outer``."""
        if outer is None or not outer.label:
            return self
        return replace(self, label=f"{outer.label}.{self.label}" if self.label else outer.label)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" + (f" ({self.label})" if self.label else "")


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """One tensor in a graph. Two values are equal only if they are the same object."""

    type: TensorType


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """An op applied to values. ``regions`` are the isolated sub-graphs of scan, while, cond and fused groups."""

    op: Op
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    regions: tuple[Graph, ...] = ()
    loc: Loc | None = None

    @property
    def output(self) -> Value:
        """The only result."""
        (value,) = self.outputs
        return value


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Nodes in SSA order between typed inputs and outputs. It sees nothing but its inputs."""

    inputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Value, ...]

    def producers(self) -> dict[Value, Node]:
        """The node that defines each value; graph inputs are missing."""
        return {value: node for node in self.nodes for value in node.outputs}

    def users(self) -> dict[Value, list[Node]]:
        """The nodes that read each value, in order (a node that reads it twice stands twice)."""
        found: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in node.inputs:
                found.setdefault(value, []).append(node)
        return found

    def walk(self) -> Iterator[Node]:
        """Every node, those in regions after the node that holds them."""
        for node in self.nodes:
            yield node
            for region in node.regions:
                yield from region.walk()


@dataclass(slots=True)
class Builder:
    """Appends nodes; infers and checks their types on the way.

    ``loc`` is given to nodes that are built without one. Undecided equalities of dimensions gather in ``shapes``.
    """

    shapes: Shapes = field(default_factory=Shapes)
    nodes: list[Node] = field(default_factory=list)
    loc: Loc | None = None

    def emit(
        self,
        op: Op,
        inputs: Sequence[Value],
        regions: tuple[Graph, ...] = (),
        *,
        outputs: tuple[Value, ...] | None = None,
        loc: Loc | None = None,
    ) -> tuple[Value, ...]:
        """Append ``op`` and return its results. ``outputs`` redefines given values (a replacement keeps its users).

        Raises `OpError` if the op refuses the operands or ``outputs`` have other types.
        """
        arguments = op.arguments([value.type for value in inputs])
        op = op.canonical(*arguments)
        types = infer_types(op, arguments, regions, self.shapes)
        if outputs is None:
            outputs = tuple(Value(type) for type in types)
        elif tuple(value.type for value in outputs) != types:
            was, now = ", ".join(str(value.type) for value in outputs), ", ".join(map(str, types))
            raise OpError(f"{op.name}: a replacement gives {now} where {was} was")
        self.nodes.append(Node(op, tuple(inputs), outputs, regions, loc or self.loc))
        return outputs

    def append(self, node: Node) -> None:
        """Append a node as it is."""
        self.nodes.append(node)

    def graph(self, inputs: Iterable[Value], outputs: Iterable[Value]) -> Graph:
        """The graph of everything appended so far."""
        return Graph(tuple(inputs), tuple(self.nodes), tuple(outputs))


def infer_types(
    op: Op, arguments: Sequence[object], regions: tuple[Graph, ...], shapes: Shapes
) -> tuple[TensorType, ...]:
    """Result types of ``op``, sizes checked. Raises `OpError`."""
    try:
        inferred = op.infer(shapes, *arguments, regions=regions) if regions else op.infer(shapes, *arguments)
        types = inferred if isinstance(inferred, tuple) else (inferred,)
        for type in types:
            check_size(type)
    except OpError:
        raise
    except ValueError as error:
        raise OpError(f"{op.name}: {error}") from error
    return types


def rewrite_inputs(node: Node, replaced: Mapping[Value, Value]) -> Node:
    """The node reading other values; itself if none of its inputs is replaced."""
    if not any(value in replaced for value in node.inputs):
        return node
    return replace(node, inputs=tuple(replaced.get(value, value) for value in node.inputs))


@dataclass(frozen=True, slots=True)
class Guard:
    """Two dimensions that must be equal at run time, and where the spec asks for it."""

    left: AnyDim
    right: AnyDim
    loc: Loc | None = None
