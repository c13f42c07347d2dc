"""Loops and branches of every target (Triton in the interpreter), against plain Python and torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from netwright.backends.api import Backend
from netwright.backends.jax import JaxBackend
from netwright.backends.numpy import NumpyBackend
from netwright.backends.onnx import OnnxBackend
from netwright.backends.triton import TritonBackend
from netwright.compiler.ir import Builder, DType, State, TensorType, symbol
from netwright.compiler.ops import OPS
from netwright.compiler.ops.control import Cond, Scan, While
from netwright.compiler.ops.elementwise import Max, Where
from netwright.compiler.ops.samples import normal, tensor_type
from netwright.compiler.ops.tensor import Tensor, apply, constant, elementwise

from .comparing import close
from .programs import build, entry_of, graph_of, program_of, run

BACKENDS = (JaxBackend(), NumpyBackend(), OnnxBackend(), TritonBackend())


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    return request.param


def types(*texts: str) -> list[TensorType]:
    return [tensor_type(text) for text in texts]


def count(build: Builder, start: int = 0) -> Tensor:
    return constant(build, start, DType.INT64)


def test_scan_runs_both_ways(tmp_path: Path, backend: Backend) -> None:
    def make(build: Builder, xs: Tensor, start: Tensor, factor: Tensor) -> list[Tensor]:
        def body(inner: Builder, factor: Tensor, total: Tensor, x: Tensor) -> list[Tensor]:
            total = total * factor + x
            return [total, elementwise(inner, Max(), total, 0.0)]

        region = graph_of(types("float32[3]", "float32[3]", "float32[3]"), body)
        found: list[Tensor] = []
        for reverse in (False, True):
            op = Scan(constants=1, carries=1, length=xs.shape[0], reverse=reverse)
            found += apply(build, op, [factor, start, xs], regions=(region,))
        return found

    graph = graph_of(types("float32[T, 3]", "float32[3]", "float32[3]"), make)
    program = program_of(entry_of(graph, ["xs", "start", "factor"]))
    runtime = backend.load(build(tmp_path / "bundle", backend, program))
    start, factor = normal(3, salt=1), normal(3, salt=2)
    for length in (1, 4):
        xs = normal(length, 3)
        outputs, _ = run(runtime, [xs, start, factor], ["xs", "start", "factor"], sizes={"T": length})
        for (last, rows), order in ((outputs[:2], range(length)), (outputs[2:], range(length)[::-1])):
            total, wanted = start, np.zeros_like(xs)
            for step in order:
                total = total * factor + xs[step]
                wanted[step] = np.maximum(total, 0)
            close(last, total)
            close(rows, wanted)


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_until_repeats_the_last_row(tmp_path: Path, backend: Backend, reverse: bool) -> None:
    def make(build: Builder, xs: Tensor, limit: Tensor) -> list[Tensor]:
        def body(inner: Builder, limit: Tensor, total: Tensor, steps: Tensor, x: Tensor) -> list[Tensor]:
            total = total + x
            return [total, steps + 1, total * 2, total > limit]

        region = graph_of(types("float32[]", "float32[]", "int64[]", "float32[]"), body)
        start = [constant(build, 0, DType.FLOAT32), count(build)]
        op = Scan(constants=1, carries=2, length=xs.shape[0], reverse=reverse, until=True)
        return apply(build, op, [limit, *start, xs], regions=(region,))

    graph = graph_of(types("float32[T]", "float32[]"), make)
    runtime = backend.load(build(tmp_path / "bundle", backend, program_of(entry_of(graph, ["xs", "limit"]))))
    xs = np.array([1, 1, 1, 1, 1], np.float32)
    for limit in (0.5, 2.5, 99.0):
        (total, made, rows), _ = run(runtime, [xs, np.float32(limit)], ["xs", "limit"], sizes={"T": 5})
        steps = min(int(limit) + 1, len(xs))
        reached = [2.0 * min(k + 1, steps) for k in range(len(xs))]
        assert total == steps and made == steps and made.dtype == np.int64
        np.testing.assert_array_equal(rows, reached[::-1] if reverse else reached)


def test_scan_of_no_rows(tmp_path: Path, backend: Backend) -> None:
    def make(build: Builder, xs: Tensor, start: Tensor) -> list[Tensor]:
        pair = types("float32[2]", "float32[2]")
        region = graph_of(pair, lambda inner, total, x: [total + x, total * x])
        stopping = graph_of(pair, lambda inner, total, x: [total + x, total * x, total[0] > 1.0])
        op = Scan(carries=1, length=xs.shape[0])
        return [
            *apply(build, op, [start, xs], regions=(region,)),
            *apply(build, op.model_copy(update={"until": True}), [start, xs], regions=(stopping,)),
        ]

    graph = graph_of([TensorType(DType.FLOAT32, (symbol("T", 0, 9), 2)), *types("float32[2]")], make)
    runtime = backend.load(build(tmp_path / "bundle", backend, program_of(entry_of(graph, ["xs", "start"]))))
    outputs, _ = run(runtime, [np.zeros((0, 2), np.float32), normal(2)], ["xs", "start"], sizes={"T": 0})
    for last, rows in (outputs[:2], outputs[2:]):
        np.testing.assert_array_equal(last, normal(2))
        assert rows.shape == (0, 2)


def test_carried_values_change_places_at_once(tmp_path: Path, backend: Backend) -> None:
    """Fibonacci's (a, b) -> (b, a + b), with one value that stays and one that is turned around."""

    def make(build: Builder, a: Tensor, b: Tensor, turned: Tensor) -> list[Tensor]:
        def body(inner: Builder, a: Tensor, b: Tensor, same: Tensor, turned: Tensor) -> list[Tensor]:
            other = apply(inner, OPS["reverse"](axes=(0,)), turned)
            return [b, a + b, same, other, a * 1.0, turned]

        region = graph_of(types("float32[2]", "float32[2]", "float32[2]", "float32[3]"), body)
        return apply(build, Scan(carries=4, length=7), [a, b, a, turned], regions=(region,))

    graph = graph_of(types("float32[2]", "float32[2]", "float32[3]"), make)
    runtime = backend.load(build(tmp_path / "bundle", backend, program_of(entry_of(graph, ["a", "b", "c"]))))
    a, b, c = np.array([0, 1], np.float32), np.array([1, 1], np.float32), np.array([1, 2, 3], np.float32)
    outputs, _ = run(runtime, [a, b, c], ["a", "b", "c"])
    first = [0, 1, 1, 2, 3, 5, 8, 13, 21]
    np.testing.assert_array_equal(outputs[0], [first[7], first[8]])
    np.testing.assert_array_equal(outputs[1], [first[8], first[7] + first[8]])
    np.testing.assert_array_equal(outputs[2], a)
    np.testing.assert_array_equal(outputs[3], c[::-1])
    np.testing.assert_array_equal(outputs[4][:, 0], first[:7])
    np.testing.assert_array_equal(outputs[5], [c if k % 2 == 0 else c[::-1] for k in range(7)])


def test_loops_inside_loops(tmp_path: Path, backend: Backend) -> None:
    """For each row, a scan over its elements; in it, a while that halves, and a branch."""

    def make(build: Builder, xs: Tensor, limit: Tensor) -> list[Tensor]:
        pair = types("float32[]", "float32[]")
        above = graph_of(pair, lambda inner, limit, x: x > limit)
        halve = graph_of(pair, lambda inner, limit, x: x * 0.5)
        branches = (graph_of(types("float32[]"), lambda inner, x: -x), graph_of(types("float32[]"), lambda inner, x: x))

        def element(inner: Builder, limit: Tensor, total: Tensor, x: Tensor) -> list[Tensor]:
            (small,) = apply(inner, While(constants=1), [limit, x], regions=(above, halve))
            (signed,) = apply(inner, Cond(), total > 1.0, [small], regions=branches)
            return [total + signed, signed]

        over_row = graph_of(types("float32[]", "float32[]", "float32[]"), element)

        def row(inner: Builder, limit: Tensor, total: Tensor, xs: Tensor) -> list[Tensor]:
            op = Scan(constants=1, carries=1, length=4)
            total, made = apply(inner, op, [limit, total, xs], regions=(over_row,))
            return [total, made, total]

        over_rows = graph_of(types("float32[]", "float32[]", "float32[4]"), row)
        start = constant(build, 0, DType.FLOAT32)
        return apply(build, Scan(constants=1, carries=1, length=3), [limit, start, xs], regions=(over_rows,))

    graph = graph_of(types("float32[3, 4]", "float32[]"), make)
    runtime = backend.load(build(tmp_path / "bundle", backend, program_of(entry_of(graph, ["xs", "limit"]))))
    xs = np.abs(normal(3, 4)) * 4
    (last, rows, totals), _ = run(runtime, [xs, np.float32(0.7)], ["xs", "limit"])
    total, wanted, ends = np.float32(0), np.zeros_like(xs), []
    for at, each in enumerate(xs):
        for place, x in enumerate(each):
            while x > np.float32(0.7):
                x = x * np.float32(0.5)
            wanted[at, place] = -x if total > 1 else x
            total = total + wanted[at, place]
        ends.append(total)
    close(rows, wanted)
    close(totals, np.array(ends))
    close(last, np.asarray(total))


def test_while_and_cond(tmp_path: Path, backend: Backend) -> None:
    def make(build: Builder, n: Tensor, x: Tensor) -> list[Tensor]:
        """Collatz steps; then x doubled if they are even in number, else negated."""
        kinds = types("int64[]", "int64[]", "int64[]")

        def step(inner: Builder, one: Tensor, n: Tensor, steps: Tensor) -> list[Tensor]:
            half = elementwise(inner, OPS["div"](), n, 2)
            return [apply(inner, Where(), n.rem(2) == 0, half, n * 3 + 1), steps + one]

        holds = graph_of(kinds, lambda inner, one, n, steps: n != 1)
        operands = [count(build, 1), n, count(build)]
        last, steps = apply(build, While(constants=1), operands, regions=(holds, graph_of(kinds, step)))
        branches = tuple(
            graph_of(types("float32[2]"), branch) for branch in (lambda inner, x: x * 2, lambda inner, x: -x)
        )
        (chosen,) = apply(build, Cond(), steps.rem(2) == 0, [x], regions=branches)
        return [last, steps, chosen]

    graph = graph_of(types("int64[]", "float32[2]"), make)
    runtime = backend.load(build(tmp_path / "bundle", backend, program_of(entry_of(graph, ["n", "x"]))))
    x = normal(2)
    for n, steps in ((6, 8), (7, 16), (12, 9), (1, 0)):
        (last, made, chosen), _ = run(runtime, [np.int64(n), x], ["n", "x"])
        assert (last, made) == (1, steps)
        np.testing.assert_array_equal(chosen, x * 2 if steps % 2 == 0 else -x)


def test_branches_may_be_what_they_are_given(tmp_path: Path, backend: Backend) -> None:
    def make(build: Builder, flag: Tensor, x: Tensor, y: Tensor) -> list[Tensor]:
        two = types("float32[2]", "float32[2]")
        swap = graph_of(two, lambda inner, x, y: [y, x, x + y])
        keep = graph_of(two, lambda inner, x, y: [x, x, constant(inner, 3, DType.FLOAT32).broadcast_to((2,))])
        return apply(build, Cond(), flag, [x, y], regions=(swap, keep))

    graph = graph_of(types("bool[]", "float32[2]", "float32[2]"), make)
    runtime = backend.load(build(tmp_path / "bundle", backend, program_of(entry_of(graph, ["flag", "x", "y"]))))
    x, y = normal(2), normal(2, salt=1)
    for flag, wanted in ((True, (y, x, x + y)), (False, (x, x, np.full(2, 3, np.float32)))):
        outputs, _ = run(runtime, [np.bool_(flag), x, y], ["flag", "x", "y"])
        for found, right in zip(outputs, wanted, strict=True):
            np.testing.assert_array_equal(found, right)


def test_states_that_change_places(tmp_path: Path, backend: Backend) -> None:
    state = {name: State(name, TensorType(DType.FLOAT32, (3,)), 0) for name in ("a", "b")}
    graph = graph_of(types("float32[3]", "float32[3]", "float32[3]"), lambda build, x, a, b: [a + x, b, a])
    entry = entry_of(graph, ["x"], states=["a", "b"], updates=["a", "b"])
    runtime = backend.load(build(tmp_path / "bundle", backend, program_of(entry, state=state)))
    a, b, x = normal(3), normal(3, salt=1), normal(3, salt=2)
    (found,), updated = run(runtime, [x], ["x"], states={"a": a.copy(), "b": b.copy()})
    close(found, a + x)
    np.testing.assert_array_equal(updated["a"], b)
    np.testing.assert_array_equal(updated["b"], a)


def test_lstm_equals_torch(tmp_path: Path, backend: Backend) -> None:
    """A cell as a scan: the input's products are made at once, the rest step by step."""
    steps, batch, width, hidden = 5, 2, 6, 4
    peer = torch.nn.LSTM(width, hidden)
    weights = [tensor.detach().numpy() for tensor in peer.parameters()]

    def make(build: Builder, xs: Tensor, wx: Tensor, wh: Tensor, bx: Tensor, bh: Tensor) -> list[Tensor]:
        dot = OPS["dot"](lhs_contract=(2,), rhs_contract=(1,), lhs_batch=(), rhs_batch=())
        inner_dot = OPS["dot"](lhs_contract=(1,), rhs_contract=(1,), lhs_batch=(), rhs_batch=())

        def body(inner: Builder, wh: Tensor, h: Tensor, c: Tensor, x: Tensor) -> list[Tensor]:
            gates = x + apply(inner, inner_dot, h, wh)
            i, f, g, o = (gates[:, k * hidden : (k + 1) * hidden] for k in range(4))
            sigmoid, tanh = (lambda t: apply(inner, OPS["sigmoid"](), t)), (lambda t: apply(inner, OPS["tanh"](), t))
            c = sigmoid(f) * c + sigmoid(i) * tanh(g)
            h = sigmoid(o) * tanh(c)
            return [h, c, h]

        row = f"float32[{batch}, {hidden}]"
        region = graph_of(types(f"float32[{4 * hidden}, {hidden}]", row, row, f"float32[{batch}, {4 * hidden}]"), body)
        zero = constant(build, 0, DType.FLOAT32).broadcast_to((batch, hidden))
        products = apply(build, dot, xs, wx) + bx + bh
        op = Scan(constants=1, carries=2, length=xs.shape[0])
        return apply(build, op, [wh, zero, zero, products], regions=(region,))

    shapes = [f"float32[{', '.join(map(str, array.shape))}]" for array in weights]
    graph = graph_of(types(f"float32[T, {batch}, {width}]", *shapes), make)
    names = ["x", "wx", "wh", "bx", "bh"]
    runtime = backend.load(build(tmp_path / "bundle", backend, program_of(entry_of(graph, names))))
    x = normal(steps, batch, width)
    (h, c, rows), _ = run(runtime, [x, *weights], names, sizes={"T": steps})
    with torch.no_grad():
        wanted, (last, cell) = peer(torch.from_numpy(x))
    close(rows, wanted.numpy())
    close(h, last[0].numpy())
    close(c, cell[0].numpy())
