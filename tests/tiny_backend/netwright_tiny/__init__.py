"""A backend on plain Python lists: small, slow, and complete in one file."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from netwright.backends.api import Backend, BackendError, Emission, Loaded, Options, Runtime
from netwright.compiler.ir import Node, Program
from netwright.compiler.ir.text import parse_program, print_program

MAPS: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "max": max,
    "neg": lambda x: -x,
    "exp": math.exp,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "where": lambda c, x, y: x if c else y,
}
OTHERS = ("constant", "reshape", "transpose", "broadcast", "compare", "cast", "dot", "reduce_sum", "reduce_max")
TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: x != y,
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
}


class Array:
    """A shape and its elements in row-major order."""

    def __init__(self, shape: tuple[int, ...], items: list[Any]) -> None:
        self.shape, self.items = shape, items

    @classmethod
    def build(cls, shape: tuple[int, ...], element: Callable[[tuple[int, ...]], Any]) -> Array:
        """Element by element, from its place."""
        return cls(shape, [element(place) for place in itertools.product(*map(range, shape))])

    def __getitem__(self, place: tuple[int, ...]) -> Any:
        at = 0
        for size, index in zip(self.shape, place, strict=True):
            at = at * size + index
        return self.items[at]


class TinyBackend(Backend):
    """Runs a dozen primitives."""

    name = "tiny"
    summary = "plain Python lists"

    def claims(self, node: Node) -> str | None:
        if node.op.name not in MAPS and node.op.name not in OTHERS:
            return f"tiny has no {node.op.name}"
        return None

    def emit(self, program: Program, weights: Mapping[str, np.ndarray], options: Options) -> Emission:
        return Emission({"program.txt": print_program(program, locs=False).encode()})

    def load(self, bundle: Loaded) -> Runtime:
        return TinyRuntime(parse_program((bundle.folder / "program.txt").read_text()), bundle.weights)


class TinyRuntime(Runtime):
    """Walks the nodes of an entry."""

    def __init__(self, program: Program, weights: Mapping[str, np.ndarray]) -> None:
        self.program, self.weights = program, weights

    def call(
        self, entry: str, inputs: Mapping[str, np.ndarray], states: Mapping[str, np.ndarray], sizes: Mapping[str, int]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        known = self.program.entries[entry]
        if known.states or known.updates:
            raise BackendError("tiny keeps no state")
        given = [inputs[port.name] for port in known.inputs] + [self.weights[name] for name in known.params]
        values = {
            value: Array(array.shape, array.ravel().tolist())
            for value, array in zip(known.graph.inputs, given, strict=True)
        }
        for node in known.graph.nodes:
            shape = tuple(int(size) for size in node.op.resolve(sizes).fields().get("shape", ()))
            values[node.output] = run(node, [values[value] for value in node.inputs], shape)
        outputs = {}
        for name, value in zip(known.outputs, known.graph.outputs, strict=True):
            array = values[value]
            outputs[name] = np.array(array.items, value.type.dtype.numpy).reshape(array.shape)
        return outputs, {}


def run(node: Node, operands: list[Array], shape: tuple[int, ...]) -> Array:
    """One node. ``shape`` is that of its attribute, where it has one."""
    op: Any = node.op
    match op.name:
        case name if name in MAPS:
            return Array(
                operands[0].shape, [MAPS[name](*each) for each in zip(*(x.items for x in operands), strict=True)]
            )
        case "constant":
            array = op.value.array()
            return Array(array.shape, array.ravel().tolist())
        case "compare":
            pairs = zip(operands[0].items, operands[1].items, strict=True)
            return Array(operands[0].shape, [TESTS[op.direction](x, y) for x, y in pairs])
        case "cast":
            kind = {"bool": bool, "int": int, "float": float}[op.dtype.kind]
            return Array(operands[0].shape, [kind(item) for item in operands[0].items])
        case "reshape":
            return Array(shape, operands[0].items)
        case "transpose":
            (x,) = operands
            back = [op.axes.index(axis) for axis in range(len(op.axes))]
            return Array.build(tuple(x.shape[a] for a in op.axes), lambda place: x[tuple(place[b] for b in back)])
        case "broadcast":
            (x,) = operands

            def source(place: tuple[int, ...]) -> tuple[int, ...]:
                return tuple(0 if size == 1 else place[axis] for size, axis in zip(x.shape, op.axes, strict=True))

            return Array.build(shape, lambda place: x[source(place)])
        case "reduce_sum" | "reduce_max":
            return reduce(operands[0], op.axes, op.keep, sum if op.name == "reduce_sum" else max)
        case "dot":
            return dot(operands[0], operands[1], op)
    raise BackendError(f"tiny has no {op.name}")


def reduce(x: Array, axes: tuple[int, ...], keep: bool, fold: Callable[[list[Any]], Any]) -> Array:
    """Folds the elements along axes."""
    groups: dict[tuple[int, ...], list[Any]] = {}
    for place, item in zip(itertools.product(*map(range, x.shape)), x.items, strict=True):
        groups.setdefault(tuple(0 if axis in axes else at for axis, at in enumerate(place)), []).append(item)
    folded = Array.build(
        tuple(1 if axis in axes else size for axis, size in enumerate(x.shape)), lambda place: fold(groups[place])
    )
    kept = folded.shape if keep else tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
    return Array(kept, folded.items)


def dot(x: Array, y: Array, op: Any) -> Array:
    """The general product: batch axes, then free axes of x, then free axes of y."""
    free_x = [a for a in range(len(x.shape)) if a not in (*op.lhs_batch, *op.lhs_contract)]
    free_y = [a for a in range(len(y.shape)) if a not in (*op.rhs_batch, *op.rhs_contract)]
    batch, contract = [x.shape[a] for a in op.lhs_batch], [x.shape[a] for a in op.lhs_contract]
    shape = (*batch, *(x.shape[a] for a in free_x), *(y.shape[a] for a in free_y))

    def element(place: tuple[int, ...]) -> Any:
        head, middle, tail = (
            place[: len(batch)], place[len(batch) : len(batch) + len(free_x)], place[len(batch) + len(free_x) :]
        )  # fmt: skip
        total = 0.0
        for inner in itertools.product(*map(range, contract)):
            left = dict(zip((*op.lhs_batch, *free_x, *op.lhs_contract), (*head, *middle, *inner), strict=True))
            right = dict(zip((*op.rhs_batch, *free_y, *op.rhs_contract), (*head, *tail, *inner), strict=True))
            total += x[tuple(left[a] for a in sorted(left))] * y[tuple(right[a] for a in sorted(right))]
        return total

    return Array.build(shape, element)
