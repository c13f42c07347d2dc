"""Random graphs of [R, 4] tensors, where views, in-place work, loops, branches and states meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from netwright.compiler.ir import Builder, DType, Graph, Program, State, TensorType, symbol
from netwright.compiler.ops.contract import Dot
from netwright.compiler.ops.control import Cond, Scan, While
from netwright.compiler.ops.elementwise import Max, Sigmoid, Tanh, Where
from netwright.compiler.ops.index import DynamicSlice, DynamicUpdateSlice, Gather, Scatter
from netwright.compiler.ops.reduce import CumulativeSum, ReduceMax, ReduceSum
from netwright.compiler.ops.shape import Concat, Pad, Reverse, Slice, Transpose
from netwright.compiler.ops.tensor import Tensor, apply, constant, elementwise

from .programs import entry_of, graph_of, program_of

ROWS, COLUMNS = symbol("R"), 4
TYPE = TensorType(DType.FLOAT32, (ROWS, COLUMNS))


class Maker:
    """Grows a graph of [R, 4] tensors by random steps. Every step but the views may work in place."""

    def __init__(self, build: Builder, values: list[Tensor], draw: Any, depth: int) -> None:
        self.build, self.values, self.draw, self.depth = build, values, draw, depth

    def pick(self) -> Tensor:
        return self.values[self.draw(st.integers(0, len(self.values) - 1))]

    def grow(self, steps: int) -> list[Tensor]:
        names = ["unary", "binary", "view", "turned", "mix", "reduced", "part", "written", "loop", "branch", "shared"]
        for _ in range(steps):
            name = self.draw(st.sampled_from(names if self.depth else names[:-3]))
            self.values.append(getattr(self, name)())
        return self.values

    def unary(self) -> Tensor:
        x = self.pick()
        return apply(self.build, self.draw(st.sampled_from([Tanh(), Sigmoid()])), x)

    def binary(self) -> Tensor:
        x, y = self.pick(), self.pick()
        kind = self.draw(st.integers(0, 5))
        if kind == 0:
            return x * 0.5 + y
        if kind == 1:
            return x - y * 0.5
        if kind == 2:
            return elementwise(self.build, Max(), x, y)
        if kind == 5:
            less, small = x < y, x < 0.25
            return apply(self.build, Where(), apply(self.build, Where(), less, small, ~less), x, y)
        if kind == 3:
            return apply(self.build, Where(), x < y, x, y)
        return apply(
            self.build, Where(), x < 0.25, y, constant(self.build, 0.125, DType.FLOAT32).broadcast_to(TYPE.shape)
        )

    def view(self) -> Tensor:
        return apply(self.build, Reverse(axes=(self.draw(st.integers(0, 1)),)), self.pick())

    def turned(self) -> Tensor:
        x = apply(self.build, Transpose(axes=(1, 0)), self.pick())
        if self.draw(st.booleans()):
            x = apply(self.build, Tanh(), x)
        return x.reshape(ROWS, COLUMNS) if self.draw(st.booleans()) else apply(self.build, Transpose(axes=(1, 0)), x)

    def mix(self) -> Tensor:
        x, y = self.pick(), self.pick()
        square = apply(self.build, Dot(lhs_contract=(0,), rhs_contract=(0,)), x, y)
        return apply(self.build, Tanh(), apply(self.build, Dot(lhs_contract=(1,), rhs_contract=(0,)), x, square))

    def reduced(self) -> Tensor:
        x, axis = self.pick(), self.draw(st.integers(0, 1))
        op = self.draw(st.sampled_from([ReduceSum(axes=axis, keep=True), ReduceMax(axes=axis, keep=True)]))
        small = apply(self.build, op, x)
        if self.draw(st.booleans()):
            return apply(self.build, Tanh(), small).broadcast_to(TYPE.shape)
        return self.pick() - small * 0.125

    def part(self) -> Tensor:
        x, y = self.pick(), self.pick()
        if self.draw(st.booleans()):
            return apply(self.build, CumulativeSum(axis=1), x) * 0.25
        halves = [apply(self.build, Slice(start=(0, a), stop=(ROWS, a + 2)), z) for a, z in ((2, x), (0, y))]
        if self.draw(st.booleans()):
            return apply(self.build, Concat(axis=1), halves)
        zero = constant(self.build, 0.5, DType.FLOAT32)
        return apply(self.build, Pad(low=(0, 1), high=(0, 1)), halves[0], zero)

    def written(self) -> Tensor:
        x, y = self.pick(), self.pick()
        row = apply(self.build, Slice(start=(0, 0), stop=(1, COLUMNS)), y)
        if self.draw(st.booleans()):
            at = constant(self.build, self.draw(st.integers(-1, 3)), DType.INT64)
            zero = constant(self.build, 0, DType.INT64)
            moved = apply(self.build, DynamicSlice(sizes=(1, COLUMNS)), y, [at, zero])
            return apply(self.build, DynamicUpdateSlice(), x, moved, [at, zero])
        first = constant(self.build, [0], DType.INT64)
        taken = apply(self.build, Gather(axis=0), x, first)
        mode: Any = self.draw(st.sampled_from(["set", "add"]))
        return apply(self.build, Scatter(axis=0, mode=mode), x, first, row * 0.5 - taken * 0.5)

    def inner(self, count: int, outputs: int) -> Any:
        """A region of [R, 4] tensors."""

        def make(build: Builder, *tensors: Tensor) -> list[Tensor]:
            values = Maker(build, list(tensors), self.draw, self.depth - 1).grow(self.draw(st.integers(0, 4)))
            return [values[self.draw(st.integers(0, len(values) - 1))] for _ in range(outputs)]

        return graph_of([TYPE] * count, make)

    def loop(self) -> Tensor:
        if self.draw(st.booleans()):
            return self.counted()
        steps = 3
        rows = [self.pick() for _ in range(steps)]
        stacked = apply(self.build, Concat(axis=0), [row.reshape(1, *TYPE.shape) for row in rows])
        op = Scan(constants=1, carries=2, length=steps, reverse=self.draw(st.booleans()))
        results = apply(self.build, op, [self.pick() for _ in range(3)] + [stacked], regions=(self.inner(4, 4),))
        self.values += [results[0], results[1]]
        last = results[self.draw(st.integers(2, 3))]
        at = constant(self.build, self.draw(st.integers(0, 2)), DType.INT64)
        zero = constant(self.build, 0, DType.INT64)
        return apply(self.build, DynamicSlice(sizes=(1, *TYPE.shape)), last, [at, zero, zero]).reshape(*TYPE.shape)

    def counted(self) -> Tensor:
        body = self.inner(3, 2)
        count = TensorType(DType.INT64, ())

        def going(build: Builder, x: Tensor, n: Tensor, y: Tensor, z: Tensor) -> Tensor:
            return n < 3

        def step(build: Builder, x: Tensor, n: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
            inner = graph_of([TYPE] * 3, lambda b, *t: Maker(b, list(t), self.draw, 0).grow(2)[-2:])
            made = apply(build, Cond(), n < 1, [x, y, z], regions=(body, inner))
            return [n + 1, made[0], made[1]]

        regions = tuple(graph_of([TYPE, count, TYPE, TYPE], make) for make in (going, step))
        start = constant(self.build, 0, DType.INT64)
        operands = [self.pick(), start, self.pick(), self.pick()]
        results = apply(self.build, While(constants=1), operands, regions=regions)
        self.values.append(results[1])
        return results[2]

    def branch(self) -> Tensor:
        flag = apply(self.build, ReduceSum(), self.pick()) > 0.0
        results = apply(
            self.build, Cond(), flag, [self.pick(), self.pick()], regions=(self.inner(2, 2), self.inner(2, 2))
        )
        self.values.append(results[0])
        return results[1]

    def shared(self) -> Tensor:
        return self.pick()


def stateful(draw: Any) -> tuple[Graph, Program]:
    """A graph of a, b, one row w of weights and the states s and t; and the program that it is."""

    def make(build: Builder, a: Tensor, b: Tensor, w: Tensor, *states: Tensor) -> list[Tensor]:
        values = Maker(build, [a, b, w.broadcast_to(TYPE.shape), *states], draw, 2).grow(draw(st.integers(1, 10)))
        wanted = [values[draw(st.integers(0, len(values) - 1))] for _ in range(draw(st.integers(1, 3)))]
        # The last two outputs are the new values of the states, now and then those of the other.
        return [*wanted, *(values[draw(st.integers(0, len(values) - 1))] for _ in range(2))]

    graph = graph_of([TYPE, TYPE, TensorType(DType.FLOAT32, (1, COLUMNS)), TYPE, TYPE], make)
    entry = entry_of(graph, ["a", "b"], ["w"], ["s", "t"], ["s", "t"])
    return graph, program_of(entry, state={"s": State("s", TYPE, 0.5), "t": State("t", TYPE, -0.25)})
