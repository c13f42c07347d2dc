"""Where lowerings put their work: the arrays of values, the open blocks of the plan, and what entries share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ...compiler.ir import AnyDim, Graph, Literal, Loc, Node, Shape, TensorType, Value
from ...compiler.ops.shape import Concat
from . import arrays
from .arrays import Array, Kind
from .kernel import Kernel, Launch
from .launches import computed
from .plan import Block, Piece, Statement
from .templates.pointwise import move

Lowering = Callable[..., "Array | Sequence[Array]"]
"""From the scope, the node and its operands (lined up with those the op declares) to the results."""
Template = Callable[["Scope", Graph, Sequence[Array]], Sequence[Array]]
"""From the scope, a region and the arrays of its inputs to those of its outputs. A lone node is a region of one."""

Refusal = Callable[[Node], "str | None"]
"""None if the lowering takes a node, else the reason why not."""


@dataclass
class Shared:
    """What the entries of a program share."""

    lowerings: dict[str, Lowering]
    templates: dict[str, Template]
    writers: frozenset[str] = frozenset()
    """The ops whose lowerings ask `Scope.result` for their memory."""
    kernels: dict[str, Kernel] = field(default_factory=dict)
    """By text."""
    constants: dict[Literal, Array] = field(default_factory=dict)
    symbols: int = 0

    def kernel(self, kernel: Kernel) -> Kernel:
        """The kernel under its final name; equal ones are one."""
        if kernel.text not in self.kernels:
            name = f"k{len(self.kernels)}_{kernel.name}"
            self.kernels[kernel.text] = replace(kernel, name=name, text=kernel.text.replace("{name}", name, 1))
        return self.kernels[kernel.text]


class Scope:
    """Lowers the graph of one entry to a plan of launches."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.block = Block()
        self.arrays: dict[Value, Array] = {}
        self.places: dict[Value, Array] = {}
        self.loc: Loc | None = None
        self.what = ""

    # ---- graphs

    def lower(self, graph: Graph, inputs: Sequence[Array]) -> list[Array]:
        """Lower the nodes of a graph or region; returns the arrays of its outputs."""
        outer = self.loc
        self.arrays.update(zip(graph.inputs, inputs, strict=True))
        self._place(graph)
        for node in graph.nodes:
            self.loc, self.what = node.loc or outer, computed(node)
            made = self.node(node, [self.arrays[value] for value in node.inputs])
            self.arrays.update(zip(node.outputs, made, strict=True))
        self.loc, self.what = outer, ""
        return [self.arrays[value] for value in graph.outputs]

    def node(self, node: Node, operands: Sequence[Array]) -> Sequence[Array]:
        """Lower one node: by its own lowering, else by the template of its op as a region of one node."""
        lowering = self.shared.lowerings.get(node.op.name)
        if lowering is not None:
            made = lowering(self, node, *node.op.arguments(operands))
            return [made] if isinstance(made, Array) else made
        return self.template(node.op.name, node, operands)

    def template(self, kind: str, node: Node, operands: Sequence[Array]) -> Sequence[Array]:
        """Lower one node by a template, as a region of one node."""
        given = dict(zip(node.inputs, operands, strict=True))
        region = Graph(tuple(given), (node,), node.outputs)
        return self.shared.templates[kind](self, region, list(given.values()))

    def _place(self, graph: Graph) -> None:
        """Give what is concatenated its place in the whole, so that it need not be copied there."""
        makers = {value: node for node in graph.nodes for value in node.outputs}
        for node in reversed(graph.nodes):
            if not isinstance(node.op, Concat):
                continue
            whole = self.places.setdefault(node.output, arrays.new(node.output.type))
            for value, part in zip(node.inputs, arrays.parts(whole, node.op.axis, node.inputs), strict=True):
                maker = makers.get(value)
                if maker is not None and maker.op.name in self.shared.writers and node.inputs.count(value) == 1:
                    self.places.setdefault(value, part)

    # ---- memory

    def result(self, value: Value) -> Array:
        """Memory for a value that a kernel fills: new, or its place in a concatenation. Only the strides may differ
        from row-major order."""
        return self.places.get(value) or arrays.new(value.type)

    def new(self, type: TensorType, kind: Kind = Kind.ARENA) -> Array:
        """New memory, in row-major order."""
        return arrays.new(type, kind)

    def constant(self, literal: Literal) -> Array:
        """A literal: a number where all elements are one, else memory that is filled when the bundle is loaded."""
        values = literal.array()
        if values.size and literal.data == values.reshape(-1)[:1].tobytes() * values.size:
            return arrays.number(values.reshape(-1)[0].item(), literal.type)
        if literal not in self.shared.constants:
            made = arrays.new(literal.type, Kind.CONSTANT)
            made.buffer.index = len(self.shared.constants)
            self.shared.constants[literal] = made
        return self.shared.constants[literal]

    def spelled(self, array: Array) -> Array:
        """The array in memory: copied if it is imaginary."""
        return self.copy(array) if array.buffer.imaginary else array

    def reshape(self, array: Array, shape: Shape) -> Array:
        """The array in another shape: a view if possible, else a copy."""
        view = arrays.reshape(array, shape)
        if view is None:
            view = arrays.reshape(self.copy(array), shape)
            assert view is not None
        return view

    # ---- the plan

    def launch(self, launch: Launch, out: Array | None = None, reuse: Sequence[Array] = ()) -> None:
        """Run a kernel. ``out`` is memory that it fills; it may be that of an array of ``reuse`` which dies here, if
        each of its elements is written by the one that reads that element of the other."""
        launch = replace(launch, kernel=self.shared.kernel(launch.kernel))
        self.block.items.append(Statement(launch, out=out, reuse=tuple(reuse), loc=self.loc, what=self.what))

    def copy(self, source: Array) -> Array:
        """The values in memory of their own, in row-major order; no work at all if the source dies here."""
        out = self.new(source.type)
        self.block.items.append(Statement(self._move(out, source), out=out, source=source, loc=self.loc, what="copy"))
        return out

    def store(self, target: Array, source: Array) -> None:
        """Copy the values into an existing array; no work at all if they could be made there."""
        self.block.items.append(
            Statement(self._move(target, source), source=source, target=target, loc=self.loc, what="copy")
        )

    def _move(self, target: Array, source: Array) -> Launch:
        launch = move(target, source)
        return replace(launch, kernel=self.shared.kernel(launch.kernel))

    # ---- control flow on the host

    def symbol(self, low: int, high: int) -> tuple[str, AnyDim]:
        """A variable of the host (a step of a loop) and the size that it is; offsets may use it."""
        self.shared.symbols += 1
        name = f"t{self.shared.symbols}"
        return name, arrays.variable(name, low, high)

    @contextmanager
    def inside(self, *header: Piece, loop: bool) -> Iterator[Block]:
        """A block of the plan that opens with a line; what is lowered within goes there."""
        outer, block = self.block, Block(header, loop, loc=self.loc)
        outer.items.append(block)
        self.block = block
        yield block
        self.block = outer

    def say(self, *pieces: Piece) -> None:
        """A line of the host's own."""
        self.block.items.append(Statement(pieces, loc=self.loc))
