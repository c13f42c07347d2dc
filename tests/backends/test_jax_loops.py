"""Loops and branches of the jax target, against plain Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netwright.backends.jax import JaxBackend
from netwright.compiler.ir import Builder, DType, TensorType, symbol
from netwright.compiler.ops import OPS
from netwright.compiler.ops.control import Cond, Scan, While
from netwright.compiler.ops.elementwise import Max, Where
from netwright.compiler.ops.samples import normal, tensor_type
from netwright.compiler.ops.tensor import Tensor, apply, constant, elementwise

from .comparing import close
from .programs import build, entry_of, graph_of, program_of, run

pytest.importorskip("jax")
BACKEND = JaxBackend()


def types(*texts: str) -> list[TensorType]:
    return [tensor_type(text) for text in texts]


def test_scan_runs_both_ways(tmp_path: Path) -> None:
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
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, program))
    start, factor = normal(3, salt=1), normal(3, salt=2)
    for length in (1, 4):
        xs = normal(length, 3)
        outputs, _ = run(runtime, [xs, start, factor], ["xs", "start", "factor"])
        for (last, rows), order in ((outputs[:2], range(length)), (outputs[2:], range(length)[::-1])):
            total, wanted = start, np.zeros_like(xs)
            for step in order:
                total = total * factor + xs[step]
                wanted[step] = np.maximum(total, 0)
            close(last, total)
            close(rows, wanted)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("limit", [0.5, 2.5, 99.0])
def test_scan_until_repeats_the_last_row(tmp_path: Path, limit: float, reverse: bool) -> None:
    def make(build: Builder, xs: Tensor, limit: Tensor) -> list[Tensor]:
        def body(inner: Builder, limit: Tensor, total: Tensor, count: Tensor, x: Tensor) -> list[Tensor]:
            total = total + x
            return [total, count + 1, total * 2, total > limit]

        region = graph_of(types("float32[]", "float32[]", "int64[]", "float32[]"), body)
        start = [constant(build, 0, DType.FLOAT32), constant(build, 0, DType.INT64)]
        op = Scan(constants=1, carries=2, length=xs.shape[0], reverse=reverse, until=True)
        return apply(build, op, [limit, *start, xs], regions=(region,))

    graph = graph_of(types("float32[T]", "float32[]"), make)
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, program_of(entry_of(graph, ["xs", "limit"]))))
    xs = np.array([1, 1, 1, 1, 1], np.float32)
    (total, count, rows), _ = run(runtime, [xs, np.float32(limit)], ["xs", "limit"])
    steps = min(int(limit) + 1, len(xs))
    reached = [2.0 * min(k + 1, steps) for k in range(len(xs))]
    assert total == steps and count == steps and count.dtype == np.int64
    np.testing.assert_array_equal(rows, reached[::-1] if reverse else reached)


def test_scan_of_no_rows(tmp_path: Path) -> None:
    def make(build: Builder, xs: Tensor, start: Tensor) -> list[Tensor]:
        region = graph_of(types("float32[2]", "float32[2]"), lambda inner, total, x: [total + x, total * x])
        stopping = graph_of(
            types("float32[2]", "float32[2]"), lambda inner, total, x: [total + x, total * x, total[0] > 1.0]
        )
        op = Scan(carries=1, length=xs.shape[0])
        return [
            *apply(build, op, [start, xs], regions=(region,)),
            *apply(build, op.model_copy(update={"until": True}), [start, xs], regions=(stopping,)),
        ]

    length = symbol("T", 0, 9)
    graph = graph_of([TensorType(DType.FLOAT32, (length, 2)), *types("float32[2]")], make)
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, program_of(entry_of(graph, ["xs", "start"]))))
    start = normal(2)
    outputs, _ = run(runtime, [np.zeros((0, 2), np.float32), start], ["xs", "start"])
    for last, rows in (outputs[:2], outputs[2:]):
        np.testing.assert_array_equal(last, start)
        assert rows.shape == (0, 2)


def test_while_and_cond(tmp_path: Path) -> None:
    def make(build: Builder, n: Tensor, x: Tensor) -> list[Tensor]:
        """Collatz steps; then x doubled if they are even in number, else negated."""
        kinds = types("int64[]", "int64[]", "int64[]")

        def step(inner: Builder, one: Tensor, n: Tensor, count: Tensor) -> list[Tensor]:
            even = n.rem(2) == 0
            half = elementwise(inner, OPS["div"](), n, 2)
            return [apply(inner, Where(), even, half, n * 3 + 1), count + one]

        holds = graph_of(kinds, lambda inner, one, n, count: n != 1)
        one, zero = constant(build, 1, DType.INT64), constant(build, 0, DType.INT64)
        last, count = apply(build, While(constants=1), [one, n, zero], regions=(holds, graph_of(kinds, step)))
        branches = tuple(
            graph_of(types("float32[2]"), branch) for branch in (lambda inner, x: x * 2, lambda inner, x: -x)
        )
        (chosen,) = apply(build, Cond(), count.rem(2) == 0, [x], regions=branches)
        return [last, count, chosen]

    graph = graph_of(types("int64[]", "float32[2]"), make)
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, program_of(entry_of(graph, ["n", "x"]))))
    x = normal(2)
    for n, steps in ((6, 8), (7, 16), (27, 111), (1, 0)):
        (last, count, chosen), _ = run(runtime, [np.int64(n), x], ["n", "x"])
        assert (last, count) == (1, steps)
        np.testing.assert_array_equal(chosen, x * 2 if steps % 2 == 0 else -x)
