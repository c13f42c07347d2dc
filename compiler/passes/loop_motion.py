"""What each step of a loop computes again, or could have computed for all steps at once, moves before the loop.

The product of a recurrent cell's input with its weights does not wait for the step before: one product over the whole
sequence stands for as many small ones as there are steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ..ir.dims import AnyDim
from ..ir.graph import Builder, Graph, Node, Value
from ..ir.op import Op
from ..ir.program import Program
from ..ops.contract import Dot
from ..ops.control import Call, Scan
from ..ops.elementwise import Elementwise, Where
from ..ops.shape import Broadcast, Reshape, Slice, Transpose
from ..ops.source import Cast, StopGradient
from .context import Context
from .dce import live
from .sweep import map_graphs, map_regions


def loop_motion(program: Program, context: Context) -> Program:
    """The program whose scans take what does not change, and products of rows alone, from outside.

    A broadcast stays inside: it is cheaper to repeat than to read. In a loop that may end early (``until``) rows stay.
    """
    return map_graphs(program, lambda graph: _graph(graph, context))


def _graph(graph: Graph, context: Context) -> Graph:
    build = Builder()
    for original in graph.nodes:
        node = map_regions(original, lambda region: _graph(region, context))
        if isinstance(node.op, Scan):
            build.loc = node.loc
            build.append(_Mover(node, node.op, build, context).moved())
        else:
            build.append(node)
    return build.graph(graph.inputs, graph.outputs)


@dataclass(slots=True)
class _Mover:
    """One loop. ``fixed`` values are the same in each step, ``rows`` depend on the step's rows and on fixed ones."""

    node: Node
    op: Scan
    build: Builder
    context: Context
    fixed: set[Value] = field(default_factory=set)
    rows: set[Value] = field(default_factory=set)
    products: set[Value] = field(default_factory=set)
    """Rows that a product goes into: those worth moving."""
    outside: dict[Value, Value] = field(default_factory=dict)

    @property
    def region(self) -> Graph:
        return self.node.regions[0]

    def moved(self) -> Node:
        """The loop, after what goes before it was appended."""
        self.classify()
        producers = self.region.producers()
        last = [node for node in self.region.nodes if node.outputs[0] not in self.fixed | self.products]
        read = [value for node in last for value in node.inputs] + list(self.region.outputs)
        constants = self.frontier(read, producers)
        sequences = list(dict.fromkeys(value for value in read if value in self.products))
        if not constants and not sequences:
            return self.node
        kept = self.op.constants + self.op.carries
        for value, operand in zip(self.region.inputs, self.node.inputs, strict=True):
            self.outside[value] = operand
        new_constants = [self.evaluated(value, producers) for value in constants]
        new_sequences = [self.evaluated(value, producers) for value in sequences]
        inputs, operands = self.region.inputs, self.node.inputs
        first = self.op.constants
        region = Graph(
            (*inputs[:first], *constants, *inputs[first:kept], *inputs[kept:], *sequences),
            tuple(node for node in self.region.nodes if node.outputs[0] not in {*constants, *sequences}),
            self.region.outputs,
        )
        for what, found in (("values that do not change", constants), ("products of all steps at once", sequences)):
            if found:
                self.context.rewritten("loop_motion", what, self.node.loc)
        return replace(
            self.node,
            op=self.op.model_copy(update={"constants": first + len(constants)}),
            inputs=(*operands[:first], *new_constants, *operands[first:], *new_sequences),
            regions=(live(region),),
        )

    def classify(self) -> None:
        kept = self.op.constants + self.op.carries
        self.fixed.update(self.region.inputs[: self.op.constants])
        if not self.op.until:
            self.rows.update(self.region.inputs[kept:])
        for node in self.region.nodes:
            if len(node.outputs) != 1 or node.regions or isinstance(node.op, Call) or not node.op.pure:
                continue
            if all(value in self.fixed for value in node.inputs):
                self.fixed.add(node.output)
            elif all(value in self.fixed or value in self.rows for value in node.inputs) and self.batches(node):
                self.rows.add(node.output)
                if isinstance(node.op, Dot) or any(value in self.products for value in node.inputs):
                    self.products.add(node.output)

    def batches(self, node: Node) -> bool:
        """Whether a node can work on all rows at once, stacked along a new first axis."""
        match node.op:
            case Dot(lhs_batch=batch):
                return not batch and node.inputs[0] in self.rows and node.inputs[1] in self.fixed
            case Elementwise() | Where() | Cast() | StopGradient() | Broadcast() | Reshape() | Transpose() | Slice():
                return True
        return False

    def frontier(self, read: Iterable[Value], producers: dict[Value, Node]) -> list[Value]:
        """The fixed values to hand in: computed ones, from behind broadcasts, without constants."""
        found: dict[Value, None] = {}
        todo = [value for value in read if value in self.fixed and value in producers]
        seen: set[Value] = set()
        while todo:
            value = todo.pop()
            if value in seen or value not in producers:
                continue
            seen.add(value)
            node = producers[value]
            if isinstance(node.op, Broadcast):
                todo += node.inputs
            elif node.inputs:
                found[value] = None
        return [node.outputs[0] for node in self.region.nodes if node.outputs and node.outputs[0] in found]

    # ---- before the loop

    def evaluated(self, wanted: Value, producers: dict[Value, Node]) -> Value:
        """A fixed value, or a row for all steps, computed before the loop."""
        todo = [wanted]
        while todo:
            value = todo[-1]
            missing = [] if value in self.outside else [v for v in producers[value].inputs if v not in self.outside]
            if missing:
                todo += missing
                continue
            todo.pop()
            if value not in self.outside:
                self.outside[value] = self.emitted(producers[value], value in self.rows)
        return self.outside[wanted]

    def emitted(self, node: Node, rows: bool) -> Value:
        inputs = [self.outside[value] for value in node.inputs]
        if not rows:
            return self.build.emit(node.op, inputs, loc=node.loc)[0]
        if not isinstance(node.op, Dot):
            inputs = [
                value if inner in self.rows else self.repeated(value)
                for inner, value in zip(node.inputs, inputs, strict=True)
            ]
        return self.build.emit(_batched(node.op, self.op.length), inputs, loc=node.loc)[0]

    def repeated(self, value: Value) -> Value:
        """A fixed value for every step."""
        shape = (self.op.length, *value.type.shape)
        return self.build.emit(Broadcast(shape=shape, axes=_after_first(range(value.type.rank))), [value])[0]


def _batched(op: Op, length: AnyDim) -> Op:
    """The op on stacked rows."""
    match op:
        case Dot(lhs_contract=axes):
            return op.model_copy(update={"lhs_contract": _after_first(axes)})
        case Broadcast(shape=shape, axes=axes):
            return Broadcast(shape=(length, *shape), axes=(0, *_after_first(axes)))
        case Reshape(shape=shape):
            return Reshape(shape=(length, *shape))
        case Transpose(axes=axes):
            return Transpose(axes=(0, *_after_first(axes)))
        case Slice(start=start, stop=stop, stride=stride):
            return Slice(start=(0, *start), stop=(length, *stop), stride=(1, *stride))
    return op


def _after_first(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(axis + 1 for axis in axes)
