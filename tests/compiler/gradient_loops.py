"""Loops and branches of all shapes, and their gradients.

Each case is written once, in words that both our tensors and jax's arrays have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from netwright.compiler.differentiate import differentiable, pullback
from netwright.compiler.ir import Builder, Entry, Graph, Port, Program, Value
from netwright.compiler.ir.dims import substitute
from netwright.compiler.ops import functional as fn
from netwright.compiler.ops.control import Cond
from netwright.compiler.ops.samples import tensor_type
from netwright.compiler.ops.tensor import Tensor, apply

Body = Callable[..., tuple[list[Any], list[Any]]]


class Ours:
    """Words of cases, for tensors under construction."""

    tanh, sin = staticmethod(fn.tanh), staticmethod(fn.sin)

    @staticmethod
    def dot(x: Tensor, w: Tensor) -> Tensor:
        return fn.dot(x, w, ((x.rank - 1,), (0,)))

    @staticmethod
    def turned(w: Tensor) -> Tensor:
        return fn.transpose(w, (1, 0))

    @staticmethod
    def take(table: Tensor, index: Tensor) -> Tensor:
        return fn.gather(table, index)

    @staticmethod
    def total(x: Tensor) -> Tensor:
        return fn.reduce_sum(x)

    @staticmethod
    def scan(
        body: Body, constants: Sequence[Any], carries: Sequence[Any], rows: Sequence[Any], reverse: bool = False
    ) -> tuple[Any, Any]:
        length = rows[0].shape[0]
        return fn.scan(rows[0].build, body, constants, carries, rows, length, reverse=reverse)

    @staticmethod
    def cond(condition: Tensor, then: Any, otherwise: Any, operands: Sequence[Tensor]) -> list[Tensor]:
        regions = []
        for branch in (then, otherwise):
            inner = Builder()
            given = [Tensor(inner, Value(each.type)) for each in operands]
            regions.append(inner.graph([each.value for each in given], [each.value for each in branch(*given)]))
        return apply(condition.build, Cond(), condition, list(operands), regions=tuple(regions))


class Jax:
    """The same words for jax."""

    tanh, sin, dot, total, turned = staticmethod(jnp.tanh), staticmethod(jnp.sin), jnp.dot, jnp.sum, jnp.transpose

    @staticmethod
    def take(table: Any, index: Any) -> Any:
        return jnp.take(table, index, 0)

    @staticmethod
    def scan(
        body: Body, constants: Sequence[Any], carries: Sequence[Any], rows: Sequence[Any], reverse: bool = False
    ) -> tuple[Any, Any]:
        def step(carried: Any, row: Any) -> Any:
            new, outputs = body(constants, list(carried), list(row))
            return tuple(new), tuple(outputs)

        return lax.scan(step, tuple(carries), tuple(rows), reverse=reverse)

    @staticmethod
    def cond(condition: Any, then: Any, otherwise: Any, operands: Sequence[Any]) -> list[Any]:
        return lax.cond(condition, lambda *given: list(then(*given)), lambda *given: list(otherwise(*given)), *operands)


@dataclass(frozen=True)
class Case:
    """Inputs by their types (with the symbols N and T), and what is made of them."""

    make: Callable[..., list[Any]]
    types: tuple[str, ...]


CASES: dict[str, Case] = {}
SIZES = ({"N": 2, "T": 5}, {"N": 1, "T": 1}, {"N": 3, "T": 2})


def case(*types: str) -> Callable[[Any], Any]:
    def keep(make: Any) -> Any:
        CASES[make.__name__] = Case(make, types)
        return make

    return keep


@case("float32[T, N, 3]", "float32[N, 4]", "float32[3, 4]", "float32[4, 4]", "float32[4]")
def plain(m: Any, xs: Any, h: Any, w: Any, u: Any, b: Any) -> list[Any]:
    def body(fixed: Any, carried: Any, row: Any) -> Any:
        new = m.tanh(m.dot(row[0], fixed[0]) + m.dot(carried[0], fixed[1]) + fixed[2])
        return [new], [new]

    last, stacks = m.scan(body, [w, u, b], [h], [xs])
    return [last[0], stacks[0]]


@case("float32[T, N, 3]", "float32[N, 3]", "float32[3, 3]")
def from_the_end(m: Any, xs: Any, h: Any, w: Any) -> list[Any]:
    def body(fixed: Any, carried: Any, row: Any) -> Any:
        new = m.tanh(m.dot(carried[0], fixed[0]) + row[0])
        return [new], [new * row[0]]

    last, stacks = m.scan(body, [w], [h], [xs], reverse=True)
    return [last[0], stacks[0]]


@case("float32[T, 3]", "float32[3]", "float32[3, 3]", "float32[3]")
def constants_several_times(m: Any, xs: Any, h: Any, w: Any, b: Any) -> list[Any]:
    def body(fixed: Any, carried: Any, row: Any) -> Any:
        w, b = fixed
        inner = m.tanh(m.dot(carried[0], w) + b)
        new = m.tanh(m.dot(inner, w) * b + m.dot(row[0], m.turned(w)) + b)
        return [new], [new * b]

    last, stacks = m.scan(body, [w, b], [h], [xs])
    return [last[0], stacks[0]]


@case("float32[T, N, 3]", "float32[N, 3]", "float32[3, 3]")
def fixed_work(m: Any, xs: Any, h: Any, w: Any) -> list[Any]:
    """What depends on constants alone stands in the loop."""

    def body(fixed: Any, carried: Any, row: Any) -> Any:
        bent = m.tanh(m.turned(fixed[0])) * 0.5
        new = m.dot(carried[0], bent) + m.dot(row[0], bent)
        return [m.sin(new)], [m.total(bent) * m.total(new)]

    last, stacks = m.scan(body, [w], [h], [xs])
    return [last[0], stacks[0]]


@case("float32[T, N, 3]", "float32[3]", "float32[3]")
def nested(m: Any, xs: Any, h: Any, w: Any) -> list[Any]:
    """A loop over rows in a loop over time; both read the constant, the inner one the outer carry."""

    def outer(fixed: Any, carried: Any, row: Any) -> Any:
        def inner(again: Any, state: Any, each: Any) -> Any:
            new = m.tanh(state[0] * again[0] + each[0] + again[1])
            return [new], [new * each[0]]

        last, stacks = m.scan(inner, [fixed[0], carried[0]], [carried[0]], [row[0]])
        return [last[0] + fixed[0]], [stacks[0]]

    last, stacks = m.scan(outer, [w], [h], [xs])
    return [last[0], stacks[0]]


@case("float32[T, N, 3]", "float32[3]", "float32[3]")
def nested_the_other_way(m: Any, xs: Any, h: Any, w: Any) -> list[Any]:
    def outer(fixed: Any, carried: Any, row: Any) -> Any:
        def inner(again: Any, state: Any, each: Any) -> Any:
            return [m.sin(state[0] * again[0] + each[0])], []

        last, _ = m.scan(inner, [fixed[0]], [carried[0]], [row[0]], reverse=True)
        return [last[0]], [last[0] * fixed[0]]

    last, stacks = m.scan(outer, [w], [h], [xs], reverse=True)
    return [last[0], stacks[0]]


@case("float32[T, 3]", "float32[3]", "int64[]", "float32[9, 3]")
def counted(m: Any, xs: Any, h: Any, start: Any, table: Any) -> list[Any]:
    """A whole number is carried, and reads a table."""

    def body(fixed: Any, carried: Any, row: Any) -> Any:
        h, place = carried
        new = m.tanh(h + row[0] * m.take(fixed[0], place))
        return [new, place + 1], [new, place]

    last, stacks = m.scan(body, [table], [h, start * 0], [xs])
    return [last[0], stacks[0]]


@case("int64[T, N]", "float32[N, 3]", "float32[9, 3]")
def embedded(m: Any, ids: Any, h: Any, table: Any) -> list[Any]:
    """Rows of a table, picked by a sequence of whole numbers."""

    def body(fixed: Any, carried: Any, row: Any) -> Any:
        new = m.tanh(carried[0] + m.take(fixed[0], row[0]))
        return [new], [new]

    last, stacks = m.scan(body, [table], [h], [ids])
    return [last[0], stacks[0]]


@case("float32[T, 3]", "float32[3]", "float32[3, 3]")
def one_after_the_other(m: Any, xs: Any, h: Any, w: Any) -> list[Any]:
    """The sequence of the second loop is an output of the first, its start the end."""

    def body(fixed: Any, carried: Any, row: Any) -> Any:
        new = m.tanh(m.dot(carried[0], fixed[0]) + row[0])
        return [new], [new]

    last, stacks = m.scan(body, [w], [h], [xs])
    end, again = m.scan(body, [w], [last[0]], [stacks[0]], reverse=True)
    return [end[0], again[0], stacks[0]]


@case("float32[T, 3]", "float32[3]")
def one_value_in_many_places(m: Any, xs: Any, w: Any) -> list[Any]:
    """The same value is two constants and the first carry, the same sequence stands twice."""

    def body(fixed: Any, carried: Any, row: Any) -> Any:
        new = m.sin(carried[0] * fixed[0] + row[0] * row[1] + fixed[1])
        return [new], [new, row[0], new]

    last, stacks = m.scan(body, [w, w], [w], [xs, xs])
    return [last[0], *stacks]


@case("float32[T, 3]", "float32[3]", "float32[3]")
def exchanged(m: Any, xs: Any, a: Any, b: Any) -> list[Any]:
    """Carries that change places; one output is a carry as it was."""

    def body(fixed: Any, carried: Any, row: Any) -> Any:
        a, b = carried
        return [b, m.sin(a * b) + row[0]], [a, b * row[0]]

    last, stacks = m.scan(body, [], [a, b], [xs])
    return [*last, *stacks]


@case("float32[T, 3]", "float32[3]", "float32[3]", "float32[3]")
def what_does_not_matter(m: Any, xs: Any, h: Any, idle: Any, unused: Any) -> list[Any]:
    """A carry that stays as it is, one that nothing reads, a constant that is not used; only the end counts."""

    def body(fixed: Any, carried: Any, row: Any) -> Any:
        h, idle, count = carried
        return [m.tanh(h * idle + row[0]), idle, count + row[0]], [m.sin(count)]

    last, _ = m.scan(body, [unused], [h, idle, h], [xs])
    return [last[0]]


@case("float32[T, 3]", "float32[3]", "float32[3, 2]")
def only_the_stack(m: Any, xs: Any, h: Any, w: Any) -> list[Any]:
    """What the loop gives row by row does not come back into it."""

    def body(fixed: Any, carried: Any, row: Any) -> Any:
        return [carried[0]], [m.dot(m.tanh(row[0]), fixed[0]), m.dot(row[0], fixed[0])]

    _, stacks = m.scan(body, [w], [h], [xs])
    return stacks


@case("float32[T, N, 3]", "float32[N, 3]", "float32[3, 3]")
def batches_of_products(m: Any, xs: Any, h: Any, w: Any) -> list[Any]:
    """A product of two rows, neither of them a constant."""

    def body(fixed: Any, carried: Any, row: Any) -> Any:
        scores = m.dot(carried[0], m.turned(row[0]))
        new = m.tanh(m.dot(scores, row[0]) + m.dot(carried[0], fixed[0]))
        return [new], [scores]

    last, stacks = m.scan(body, [w], [h], [xs])
    return [last[0], stacks[0]]


@case("float32[3]", "float32[3]", "bool[]")
def chosen(m: Any, x: Any, y: Any, which: Any) -> list[Any]:
    return m.cond(which, lambda a, b: [m.sin(a) * b, a], lambda a, b: [a + a, b * b], [x, y])


@case("float32[3]", "float32[3]", "bool[]")
def one_branch_reads_nothing(m: Any, x: Any, y: Any, which: Any) -> list[Any]:
    (result,) = m.cond(which, lambda a, b: [a * b], lambda a, b: [b], [m.tanh(x), y])
    return [result * x]


@case("float32[T, 3]", "float32[3]", "float32[3]", "bool[]")
def branches_in_a_loop(m: Any, xs: Any, h: Any, w: Any, which: Any) -> list[Any]:
    def body(fixed: Any, carried: Any, row: Any) -> Any:
        w, which = fixed
        (new,) = m.cond(which, lambda h, x, w: [m.tanh(h * w + x)], lambda h, x, w: [h + m.sin(x)], [*carried, *row, w])
        return [new], [new]

    last, stacks = m.scan(body, [w, which], [h], [xs])
    return [last[0], stacks[0]]


@case("float32[T, 3]", "float32[3]", "float32[3]", "bool[]")
def a_loop_in_a_branch(m: Any, xs: Any, h: Any, w: Any, which: Any) -> list[Any]:
    def looped(xs: Any, h: Any, w: Any) -> list[Any]:
        def body(fixed: Any, carried: Any, row: Any) -> Any:
            return [m.tanh(carried[0] * fixed[0] + row[0])], []

        return [m.scan(body, [w], [h], [xs])[0][0]]

    return m.cond(which, looped, lambda xs, h, w: [h * w], [xs, h, w])


def ours(given: Case) -> Program:
    build = Builder()
    values = [Value(tensor_type(text)) for text in given.types]
    outputs = [tensor.value for tensor in given.make(Ours, *(Tensor(build, value) for value in values))]
    graph = build.graph(values, outputs)
    ports = tuple(Port(f"x{k}", value.type) for k, value in enumerate(values))
    return Program("p", {"main": Entry("main", graph, ports, (), (), tuple(f"y{k}" for k in range(len(outputs))))})


def backward(given: Case, twice: bool = False) -> Graph:
    """From the inputs and the gradients of the outputs to those of the floats; ``twice``, those of their squares."""
    graph = differentiable(ours(given)).entries["main"].graph
    build = Builder(nodes=list(graph.nodes))
    seeds = {value: Value(value.type) for value in dict.fromkeys(graph.outputs)}
    wrt = [value for value in graph.inputs if value.type.dtype.is_float]

    def pulled(of: dict[Value, Tensor]) -> list[Tensor]:
        pairs = zip(pullback(build, of, wrt), wrt, strict=True)
        return [fn.zeros_like(Tensor(build, value)) if found is None else found for found, value in pairs]

    found = pulled({value: Tensor(build, seed) for value, seed in seeds.items()})
    if twice:
        # Of the sum of squares of the gradients: each is pulled back with twice itself.
        found = pulled({tensor.value: tensor * 2 for tensor in found})
    return build.graph((*graph.inputs, *seeds.values()), [tensor.value for tensor in found])


def arrays(types: Sequence[Any], sizes: dict[str, int], which: bool) -> list[np.ndarray]:
    draw = np.random.default_rng(len(types))
    found = []
    for type in types:
        shape = [int(substitute(size, sizes)) for size in type.shape]
        if type.dtype.is_float:
            found.append(draw.normal(size=shape) * 0.7)
        else:
            found.append(np.asarray(which) if type.dtype.kind == "bool" else np.asarray(draw.integers(0, 9, shape)))
    return found
