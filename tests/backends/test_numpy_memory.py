"""The numpy target's memory: random graphs, where views, in-place work, loops and states meet, against the meanings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.backends.numpy.emit import emit
from netwright.backends.numpy.runtime import import_checked
from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import Builder, DType, Program, TensorType, symbol
from netwright.compiler.ops.attention import Attention
from netwright.compiler.ops.contract import Dot
from netwright.compiler.ops.control import Scan
from netwright.compiler.ops.elementwise import Sigmoid, Tanh
from netwright.compiler.ops.reduce import ReduceMax
from netwright.compiler.ops.shape import Reverse
from netwright.compiler.ops.tensor import Tensor, apply
from netwright.compiler.packing import pack

from .programs import entry_of, graph_of, program_of
from .random_graphs import COLUMNS, TYPE, stateful


def module(program: Program, folder: Path) -> Any:
    """The emitted module of a program."""
    path = folder / "model.py"
    path.write_text(emit(program))
    return import_checked(path)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_random_graphs_equal_their_meaning(tmp_path_factory: Any, data: Any) -> None:
    graph, program = stateful(data.draw)
    made = module(program, tmp_path_factory.mktemp("model"))
    generator = np.random.default_rng(0)
    for rows in (3, 1, 3):
        arrays = [generator.uniform(-1, 1, (n, COLUMNS)).astype(np.float32) for n in (rows, rows, 1, rows, rows)]
        net = made.connect((arrays[2].copy(),))
        net.state = {"s": arrays[3].copy(), "t": arrays[4].copy()}
        net.state_sizes = {"R": rows}
        before = [array.copy() for array in arrays]
        for _ in range(2):
            outputs = list(net(a=arrays[0], b=arrays[1]).values()) + [net.state["s"], net.state["t"]]
            wanted = evaluate(graph, before, {"R": rows})
            for found, right in zip(outputs, wanted, strict=True):
                np.testing.assert_allclose(found, right, 1e-4, 1e-5)
            before[3:] = [array.copy() for array in wanted[-2:]]
            np.testing.assert_array_equal(arrays[0], before[0])
            np.testing.assert_array_equal(arrays[1], before[1])
            memory = [*arrays[:3], *net.weights, *outputs]
            for k, one in enumerate(memory):
                assert not any(np.shares_memory(one, other) for other in memory[k + 1 :])


# ---- directed


def test_what_a_loop_reads_survives_it(tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, steps: Tensor) -> Tensor:
        def body(inner: Builder, kept: Tensor, total: Tensor, row: Tensor) -> list[Tensor]:
            mixed = apply(inner, Dot(lhs_contract=(1,), rhs_contract=(0,)), total, kept)
            # Made after the last use of `kept`: its memory must not be taken.
            again = apply(inner, Dot(lhs_contract=(1,), rhs_contract=(0,)), mixed, row)
            return [apply(inner, Dot(lhs_contract=(1,), rhs_contract=(0,)), again, row)]

        kept = apply(build, Tanh(), x)
        region = graph_of([x.type] * 3, body)
        return apply(build, Scan(constants=1, carries=1, length=5), [kept, x, steps], regions=(region,))[0]

    types = [TensorType(DType.FLOAT32, (4, 4)), TensorType(DType.FLOAT32, (5, 4, 4))]
    graph = graph_of(types, make)
    net = module(program_of(entry_of(graph, ["x", "steps"])), tmp_path).connect(())
    generator = np.random.default_rng(1)
    x, steps = (generator.standard_normal(type.shape).astype(np.float32) for type in types)
    (wanted,) = evaluate(graph, [x, steps])
    np.testing.assert_allclose(net(x=x, steps=steps)["y0"], wanted, 1e-4, 1e-4)


def test_a_step_of_an_lstm_allocates_and_copies_next_to_nothing(tmp_path: Path) -> None:
    import torch

    hidden, features, steps = 8, 5, 7
    module_torch = torch.nn.LSTM(features, hidden)

    def make(build: Builder, xs: Tensor, h: Tensor, c: Tensor, w: Tensor, u: Tensor, bias: Tensor) -> list[Tensor]:
        def body(b: Builder, w: Tensor, u: Tensor, bias: Tensor, h: Tensor, c: Tensor, x: Tensor) -> list[Tensor]:
            by = Dot(lhs_contract=(1,), rhs_contract=(1,))
            gates = apply(b, by, x, w) + apply(b, by, h, u) + bias
            i, f, g, o = (gates[:, k * hidden : (k + 1) * hidden] for k in range(4))
            c = apply(b, Sigmoid(), f) * c + apply(b, Sigmoid(), i) * apply(b, Tanh(), g)
            h = apply(b, Sigmoid(), o) * apply(b, Tanh(), c)
            return [h, c, h]

        region = graph_of([t.type for t in (w, u, bias, h, c)] + [xs.type.with_shape(xs.shape[1:])], body)
        op = Scan(constants=3, carries=2, length=xs.shape[0])
        return apply(build, op, [w, u, bias, h, c, xs], regions=(region,))

    names = ("T N F", "N H", "N H", "G F", "G H", "G")
    sizes = {"T": symbol("T"), "N": symbol("N"), "F": features, "H": hidden, "G": 4 * hidden}
    types = [TensorType(DType.FLOAT32, tuple(sizes[key] for key in name.split())) for name in names]
    program = program_of(entry_of(graph_of(types, make), ["xs", "h", "c"], ["w", "u", "b"]))
    text = emit(program)
    loop = text[text.index("    for t") :]
    loop = loop[: loop.index("\n    return")]
    assert "np.empty" not in loop
    assert loop.count("np.copyto") == 1
    # The gates are neighbours, so that one call computes all of one kind.
    assert loop.count("sigmoid(") == 1

    generator = np.random.default_rng(2)
    xs = generator.standard_normal((steps, 3, features)).astype(np.float32)
    zero = np.zeros((3, hidden), np.float32)
    weights = [p.detach().numpy() for p in module_torch.parameters()]
    net = module(program, tmp_path).connect((weights[0], weights[1], weights[2] + weights[3]))
    found = net(xs=xs, h=zero, c=zero)
    with torch.no_grad():
        wanted, (last, cell) = module_torch(torch.tensor(xs))
    for got, right in zip(found.values(), (last[0], cell[0], wanted), strict=True):
        np.testing.assert_allclose(got, right.numpy(), 1e-4, 1e-5)


def test_carries_may_change_places(tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
        region = graph_of([x.type] * 3, lambda inner, a, b, c: [b, apply(inner, Reverse(axes=(0,)), a), c])
        return apply(build, Scan(carries=3, length=3), [x, y, z], regions=(region,))

    type = TensorType(DType.FLOAT32, (3,))
    graph = graph_of([type] * 3, make)
    net = module(program_of(entry_of(graph, ["x", "y", "z"])), tmp_path).connect(())
    arrays = [np.arange(3, dtype=np.float32) + 10 * k for k in range(3)]
    for found, right in zip(net(x=arrays[0], y=arrays[1], z=arrays[2]).values(), evaluate(graph, arrays), strict=True):
        np.testing.assert_array_equal(found, right)


def test_no_steps_give_the_first_carries(tmp_path: Path) -> None:
    def make(build: Builder, xs: Tensor, start: Tensor) -> list[Tensor]:
        # The second carry becomes what does not depend on the loop, and is computed before it.
        region = graph_of([TYPE] * 4, lambda inner, k, a, b, x: [a + x, apply(inner, Tanh(), k), a])
        op = Scan(constants=1, carries=2, length=xs.shape[0])
        return apply(build, op, [start, start, start, xs], regions=(region,))

    types = [TensorType(DType.FLOAT32, (symbol("T", 0), *TYPE.shape)), TYPE]
    net = module(program_of(entry_of(graph_of(types, make), ["xs", "start"])), tmp_path).connect(())
    start = np.ones((2, COLUMNS), np.float32)
    found = net(xs=np.zeros((0, 2, COLUMNS)), start=start)
    np.testing.assert_array_equal(found["y0"], start)
    np.testing.assert_array_equal(found["y1"], start)
    assert found["y2"].shape == (0, 2, COLUMNS)
    np.testing.assert_array_equal(net(xs=np.zeros((1, 2, COLUMNS)), start=start)["y1"], np.tanh(start))


def test_a_loop_may_end_early(tmp_path: Path) -> None:
    def make(build: Builder, xs: Tensor, start: Tensor) -> list[Tensor]:
        def body(inner: Builder, total: Tensor, x: Tensor) -> list[Tensor]:
            total = total + x
            return [total, total * 2, x, apply(inner, ReduceMax(), total) > 3.0]

        found: list[Tensor] = []
        for reverse in (False, True):
            op = Scan(carries=1, length=xs.shape[0], reverse=reverse, until=True)
            found += apply(build, op, [start, xs], regions=(graph_of([start.type, start.type], body),))
        return found

    types = [TensorType(DType.FLOAT32, (symbol("T"), 3)), TensorType(DType.FLOAT32, (3,))]
    graph = graph_of(types, make)
    net = module(program_of(entry_of(graph, ["xs", "start"])), tmp_path).connect(())
    start = np.zeros(3, np.float32)
    for xs in (np.ones((6, 3)), np.full((2, 3), 0.5), np.full((1, 3), 9.0), np.arange(15).reshape(5, 3) * 0.5):
        xs = xs.astype(np.float32)
        wanted = evaluate(graph, [xs, start], {"T": len(xs)})
        for found, right in zip(net(xs=xs, start=start).values(), wanted, strict=True):
            np.testing.assert_array_equal(found, right)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6), st.integers(0, 300)), max_size=30))
def test_buffers_in_use_together_do_not_overlap(rows: list[tuple[int, int, int]]) -> None:
    table = tuple((first, first + length, size) for first, length, size in rows)
    offsets, total = pack(table)
    for k, (first, last, size) in enumerate(table):
        assert offsets[k] % 64 == 0 and offsets[k] + size <= total
        for other in range(k):
            begin, end, extent = table[other]
            if begin <= last and first <= end and size and extent:
                assert offsets[k] + size <= offsets[other] or offsets[other] + extent <= offsets[k]
    most = max((sum(-(-s // 64) * 64 for a, b, s in table if a <= t <= b) for t in range(27)), default=0)
    assert total >= most


@pytest.mark.parametrize("shared", ["qk", "qv", "kv", "qkv", "qb", ""])
def test_attention_writes_over_its_queries_alone(tmp_path: Path, shared: str) -> None:
    """Where keys, values or the bias are the same array, later tiles would read what earlier ones wrote."""
    length = 6

    def make(build: Builder, x: Tensor) -> Tensor:
        made = {}
        for factor, letter in enumerate("qkvb"):
            first = shared[0] if letter in shared else letter
            made[letter] = made[first] if first in made else x * (factor + 1.0)
        op = Attention(heads=2, present=("bias",))
        return apply(build, op, made["q"], made["k"], made["v"], None, None, made["b"]) * 2.0

    graph = graph_of([TensorType(DType.FLOAT32, (1, length, length))], make)
    emitted = module(program_of(entry_of(graph, ["x"])), tmp_path)
    emitted.attention_tile = lambda *facts: (1, 2)
    net = emitted.connect(())
    x = np.random.default_rng(3).standard_normal((1, length, length)).astype(np.float32)
    (found,) = net(x=x).values()
    (wanted,) = evaluate(graph, [x])
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_chain_needs_two_buffers() -> None:
    offsets, total = pack(tuple((k, k + 1, 640) for k in range(100)))
    assert total == 1280 and set(offsets) == {0, 640}
