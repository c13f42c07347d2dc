"""Programs by the meanings of their ops: slow, obvious NumPy. The oracle, and what computes packed weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .decompose import Decompositions
from .ir.dims import AnyDim, Shape, substitute
from .ir.graph import Graph, Node, Value
from .ir.op import Op
from .ir.program import Program
from .ir.types import DType, Literal, TensorType
from .ops.control import Call, Scan
from .ops.source import Bitcast


class EvaluationError(Exception):
    """Inputs that do not fit the graph, or a meaning that fails or breaks its own declaration; says which and where."""


def evaluate(
    graph: Graph,
    inputs: Sequence[np.ndarray],
    sizes: Mapping[str, int] | None = None,
    functions: Mapping[str, Graph] | None = None,
    wide: bool = False,
) -> tuple[np.ndarray, ...]:
    """The outputs of a graph.

    ``sizes`` gives each symbol its value, ``functions`` the callees. Composites run by their decomposition. With
    ``wide`` every float is computed in float64, whatever dtype is declared: float inputs of any width are taken, and
    float outputs come as float64. Dead values are freed at once. Raises `EvaluationError`.
    """
    evaluator = _Evaluator(sizes or {}, functions or {}, wide)
    if len(inputs) != len(graph.inputs):
        raise EvaluationError(f"the graph takes {len(graph.inputs)} inputs, {len(inputs)} are given")
    for position, (value, array) in enumerate(zip(graph.inputs, inputs, strict=True)):
        evaluator.check_input(position, value.type, np.asarray(array))
    with np.errstate(all="ignore"):
        return evaluator.run(graph, inputs)


@dataclass(frozen=True, slots=True)
class _Step:
    """A node with its sizes filled in, its regions as callables, and the values that nobody reads after it."""

    node: Node
    op: Op
    regions: tuple[Callable[..., tuple[np.ndarray, ...]], ...]
    dead: tuple[Value, ...]


@dataclass(slots=True)
class _Evaluator:
    sizes: Mapping[str, AnyDim]
    functions: Mapping[str, Graph]
    wide: bool
    plans: dict[Graph, list[_Step]] = field(default_factory=dict)
    shapes: dict[Shape, tuple[int, ...]] = field(default_factory=dict)
    decompositions: Decompositions = field(default_factory=Decompositions)

    def run(self, graph: Graph, inputs: Sequence[Any]) -> tuple[np.ndarray, ...]:
        values: dict[Value, np.ndarray] = {}
        for value, array in zip(graph.inputs, inputs, strict=True):
            values[value] = self.widen(np.asarray(array))
        for step in self.plan(graph):
            results = self.apply(step, [values[value] for value in step.node.inputs])
            values.update(zip(step.node.outputs, results, strict=True))
            for value in step.dead:
                values.pop(value, None)
        return tuple(values[value] for value in graph.outputs)

    def plan(self, graph: Graph) -> list[_Step]:
        steps = self.plans.get(graph)
        if steps is not None:
            return steps
        kept = set(graph.outputs)
        steps = []
        for node in reversed(graph.nodes):
            dead = tuple(value for value in dict.fromkeys((*node.inputs, *node.outputs)) if value not in kept)
            kept.update(dead)
            op = node.op.resolve(self.sizes) if self.sizes else node.op
            if self.wide and not isinstance(op, Bitcast):
                op = _widened(op)
            steps.append(_Step(node, op, self.callables(node), dead))
        steps.reverse()
        self.plans[graph] = steps
        return steps

    def callables(self, node: Node) -> tuple[Callable[..., tuple[np.ndarray, ...]], ...]:
        if isinstance(node.op, Call):
            if node.op.function not in self.functions:
                raise EvaluationError(f"no function is called {node.op.function!r}{_where(node)}")
            return (self.callable(self.functions[node.op.function]),)
        return tuple(self.callable(region) for region in node.regions)

    def callable(self, graph: Graph) -> Callable[..., tuple[np.ndarray, ...]]:
        return lambda *arrays: self.run(graph, arrays)

    def apply(self, step: _Step, arrays: list[np.ndarray]) -> list[np.ndarray]:
        node, op = step.node, step.op
        if isinstance(op, Scan) and op.length == 0:
            # No row was ever computed, but their shape is known.
            first, last = op.constants, op.constants + op.carries
            empty = [np.zeros(*self.expect(value.type)) for value in node.outputs[op.carries :]]
            return [*arrays[first:last], *empty]
        if op.is_composite():
            types = [
                TensorType(value.type.dtype, array.shape) for value, array in zip(node.inputs, arrays, strict=True)
            ]
            # The op as declared: the decomposition may depend on its dtypes, and is widened when it runs.
            declared = node.op.resolve(self.sizes)
            return self.checked(node, self.run(self.decompositions.of(declared, types).graph, arrays))
        if self.wide and isinstance(op, Bitcast):
            arrays = [array.astype(value.type.dtype.numpy) for value, array in zip(node.inputs, arrays, strict=True)]
        try:
            if step.regions:
                result = op.meaning(*op.arguments(arrays), regions=step.regions)
            else:
                result = op.meaning(*op.arguments(arrays))
        except EvaluationError:
            raise
        except Exception as error:
            operands = ", ".join(f"{array.dtype}{list(array.shape)}" for array in arrays)
            raise EvaluationError(f"{op.name}({operands}){_where(node)}: {error}") from error
        return self.checked(node, result if isinstance(result, (tuple, list)) else (result,))

    def checked(self, node: Node, results: Sequence[Any]) -> list[np.ndarray]:
        if len(results) != len(node.outputs):
            raise EvaluationError(
                f"{node.op.name}{_where(node)} gives {len(results)} results, {len(node.outputs)} are declared"
            )
        arrays = [self.widen(np.asarray(result)) for result in results]
        for value, array in zip(node.outputs, arrays, strict=True):
            shape, dtype = self.expect(value.type)
            if array.shape != shape or array.dtype != dtype:
                raise EvaluationError(
                    f"{node.op.name}{_where(node)} gives {array.dtype}{list(array.shape)}"
                    f" where {dtype}{list(shape)} is declared ({value.type})"
                )
        return arrays

    def expect(self, type: TensorType) -> tuple[tuple[int, ...], np.dtype]:
        shape = self.shapes.get(type.shape)
        if shape is None:
            sizes = [size for size in (substitute(s, self.sizes) for s in type.shape) if isinstance(size, int)]
            if len(sizes) != type.rank:
                raise EvaluationError(f"a size of {type} is not given")
            shape = self.shapes[type.shape] = tuple(sizes)
        return shape, (DType.FLOAT64 if self.wide and type.dtype.is_float else type.dtype).numpy

    def widen(self, array: np.ndarray) -> np.ndarray:
        if self.wide and DType.of(array).is_float and array.dtype != np.float64:
            return array.astype(np.float64)
        return array

    def check_input(self, position: int, type: TensorType, array: np.ndarray) -> None:
        shape, _ = self.expect(type)
        same = array.dtype == type.dtype.numpy or (self.wide and type.dtype.is_float and DType.of(array).is_float)
        if array.shape != shape or not same:
            raise EvaluationError(f"input {position} is {array.dtype}{list(array.shape)}, the graph takes {type}")


def _where(node: Node) -> str:
    return f" at {node.loc}" if node.loc else ""


def _widened(op: Op) -> Op:
    changed = {}
    for key, value in op.fields().items():
        new = _wide_attribute(value)
        if new is not value:
            changed[key] = new
    return op.model_copy(update=changed) if changed else op


def _wide_attribute(value: Any) -> Any:
    if isinstance(value, DType):
        return DType.FLOAT64 if value.is_float else value
    if isinstance(value, Literal):
        return Literal.of(value.array(), DType.FLOAT64) if value.type.dtype.is_float else value
    return value


class PreparedWeights(Mapping[str, np.ndarray]):
    """The tensors that a program's entries read, computed from the public parameters when asked for.

    Iterates over ``program.used_tensors()``; nothing is kept between look-ups, so at most one tensor and what it is
    made of is in memory. A look-up raises `KeyError` for an unknown name and `EvaluationError`.
    """

    def __init__(self, program: Program, parameters: Mapping[str, np.ndarray]) -> None:
        self._program = program
        self._parameters = parameters
        self._names = program.used_tensors()
        self._packed = dict(zip(program.packed, program.prepare.outputs, strict=True))
        self._sources = dict(zip(program.prepare.inputs, program.prepare_inputs, strict=True))
        self._producers = {
            value: position for position, node in enumerate(program.prepare.nodes) for value in node.outputs
        }

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._packed:
            return self._parameters[name]
        graph = self._slice(self._packed[name])
        inputs = [self._parameters[self._sources[value]] for value in graph.inputs]
        (result,) = evaluate(graph, inputs, functions=self._program.functions)
        return result

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _slice(self, wanted: Value) -> Graph:
        """The part of the prepare graph that one output needs."""
        nodes = self._program.prepare.nodes
        needed: set[int] = set()
        inputs: dict[Value, None] = {}
        todo = [wanted]
        while todo:
            value = todo.pop()
            position = self._producers.get(value)
            if position is None:
                inputs[value] = None
            elif position not in needed:
                needed.add(position)
                todo.extend(nodes[position].inputs)
        return Graph(tuple(inputs), tuple(nodes[position] for position in sorted(needed)), (wanted,))


def prepare_weights(program: Program, parameters: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """The tensors named by ``program.used_tensors()``, lazily, from the public parameters by path."""
    return PreparedWeights(program, parameters)
