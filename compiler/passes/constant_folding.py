"""Constants of constants: computed once, by the ops' meanings, unless the result would be large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..evaluate import EvaluationError, evaluate
from ..ir.graph import Builder, Graph, Node, Value
from ..ir.program import Program
from ..ir.types import Literal
from ..ops.control import Call
from ..ops.elementwise import Elementwise, Where
from ..ops.shape import Broadcast
from ..ops.source import Constant, Iota
from .context import Context
from .frozen import has_symbols, nbytes
from .numbers import Numbers, filled, scalar
from .sweep import map_graphs, map_regions

CAP = 64 * 2**10
"""Bytes that a folded constant may have; more only if its operands have as many."""


def constant_folding(program: Program, context: Context) -> Program:
    """The program with constant expressions computed.

    A broadcast stays, since a repeated number is worth more to a target than the array; elementwise ops on tensors of
    one number each give a broadcast again, whatever their shape.
    """
    return map_graphs(program, lambda graph: _fold(graph, context))


def _fold(graph: Graph, context: Context) -> Graph:
    folder = _Folder(context)
    for node in graph.nodes:
        folder.add(map_regions(node, lambda region: _fold(region, context)))
    return Graph(graph.inputs, tuple(folder.nodes), graph.outputs)


@dataclass(slots=True)
class _Folder:
    """One graph in the making."""

    context: Context
    nodes: list[Node] = field(default_factory=list)
    producers: dict[Value, Node] = field(default_factory=dict)
    arrays: dict[Value, np.ndarray] = field(default_factory=dict)
    numbers: Numbers = field(init=False)

    def __post_init__(self) -> None:
        self.numbers = Numbers(self.producers)

    def add(self, node: Node) -> None:
        made = self.uniform(node) or self.folded(node)
        if made:
            self.context.rewritten("constant_folding", node.op.name, node.loc)
        for new in made or (node,):
            self.nodes.append(new)
            for value in new.outputs:
                self.producers[value] = new

    def uniform(self, node: Node) -> Sequence[Node] | None:
        """An elementwise op on tensors of one number each, as one number."""
        if not isinstance(node.op, (Elementwise, Where)) or not node.inputs:
            return None
        numbers = [self.numbers.of(value) for value in node.inputs]
        if any(number is None for number in numbers):
            return None
        with np.errstate(all="ignore"):
            result = node.op.meaning(*(np.asarray(number) for number in numbers))
        return _defining(node, scalar(result))

    def folded(self, node: Node) -> Sequence[Node] | None:
        if isinstance(node.op, (Constant, Broadcast, Call)) or node.regions or not node.inputs or not node.op.pure:
            return None
        arrays = [array for array in map(self.array, node.inputs) if array is not None]
        if len(arrays) != len(node.inputs) or not _static(node):
            return None
        given = sum(array.nbytes for array in arrays)
        result_bytes = sum(nbytes(value.type) for value in node.outputs)
        if result_bytes > max(CAP, given):
            self.context.refused(
                "constant_folding", node.op.name, f"{result_bytes} bytes out of {given} are too many", node.loc
            )
            return None
        try:
            results = evaluate(Graph(node.inputs, (node,), node.outputs), arrays)
        except EvaluationError as error:
            self.context.refused("constant_folding", node.op.name, str(error), node.loc)
            return None
        made: list[Node] = []
        for value, array in zip(node.outputs, results, strict=True):
            self.arrays[value] = array
            one = replace(node, outputs=(value,))
            if array.size > 1 and _is_uniform(array):
                made += _defining(one, scalar(array.reshape(-1)[0]))
            else:
                made.append(Node(Constant(value=Literal.of(array)), (), (value,), (), node.loc))
        return made

    def array(self, value: Value) -> np.ndarray | None:
        """The elements of a value, if they are known and not many more than stand in the program."""
        if value in self.arrays:
            return self.arrays[value]
        node = self.producers.get(value)
        if node is None:
            return None
        match node.op:
            case Constant(value=literal):
                self.arrays[value] = literal.array()
            case Iota() | Broadcast() if _static(node) and nbytes(value.type) <= CAP:
                inputs = [array for array in map(self.array, node.inputs) if array is not None]
                if len(inputs) != len(node.inputs):
                    return None
                self.arrays[value] = node.op.meaning(*inputs)
        return self.arrays.get(value)


def _static(node: Node) -> bool:
    attributes = node.op.fields().values()
    return all(value.type.is_static for value in node.outputs) and not any(map(has_symbols, attributes))


def _is_uniform(array: np.ndarray) -> bool:
    data = array.tobytes()
    return data == data[: array.itemsize] * array.size


def _defining(node: Node, number: np.generic) -> list[Node]:
    """Nodes that fill the result of ``node`` with a number."""
    build = Builder(loc=node.loc)
    filled(build, node.output.type, number)
    build.nodes[-1] = replace(build.nodes[-1], outputs=node.outputs)
    return build.nodes
