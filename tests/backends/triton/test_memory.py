"""Memory on the triton target: random graphs, where views, in-place work, loops and states meet; and what is saved."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from netwright.backends import bundle
from netwright.backends.api import Options, Runtime
from netwright.backends.signature import to_json
from netwright.backends.triton.emit import emit
from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import Builder, DType, Program, State, TensorType, symbol
from netwright.compiler.ops.contract import Dot
from netwright.compiler.ops.control import Scan
from netwright.compiler.ops.elementwise import Exp, Tanh
from netwright.compiler.ops.index import DynamicUpdateSlice
from netwright.compiler.ops.samples import tensor_type
from netwright.compiler.ops.shape import Concat, Pad, Reverse, Transpose
from netwright.compiler.ops.tensor import Tensor, apply, constant

from ..programs import entry_of, graph_of, legal, program_of
from ..random_graphs import COLUMNS, stateful
from .interpreting import BACKEND, agrees

pytestmark = pytest.mark.usefixtures("interpreter")


def loaded(program: Program, folder: Path, weights: dict[str, np.ndarray]) -> Runtime:
    """The program as it is, without any pass, as a bundle that runs."""
    emission = BACKEND.emit(program, weights, Options())
    bundle.write(folder, emission, weights, {"target": "triton", "signature": to_json(program), "backend": {}})
    return BACKEND.load(bundle.read(folder))


def plan_of(make: Any, *types: str) -> str:
    """The launch plan of a program, as text."""
    graph = graph_of([tensor_type(text) for text in types], make)
    program = program_of(entry_of(graph, [f"x{k}" for k in range(len(types))]))
    text = emit(legal(program, BACKEND)).text
    return text[text.index("def call_0") : text.index("PARAMETERS")]


@settings(max_examples=25, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
@given(st.data())
def test_random_graphs_equal_their_meaning(tmp_path_factory: Any, data: Any) -> None:
    graph, program = stateful(data.draw)
    if data.draw(st.booleans()):
        program = legal(program, BACKEND)
        assert not program.packed
    generator = np.random.default_rng(0)
    w = generator.uniform(-1, 1, (1, COLUMNS)).astype(np.float32)
    net = loaded(program, tmp_path_factory.mktemp("model") / "bundle", {"w": w})
    for rows in (3, 1):
        a, b, s, t = (generator.uniform(-1, 1, (rows, COLUMNS)).astype(np.float32) for _ in range(4))
        states: Any = {"s": s.copy(), "t": t.copy()}
        for _ in range(2):
            wanted = evaluate(graph, [a, b, w, s, t], {"R": rows})
            kept = a.copy(), b.copy()
            outputs, states = net.call("main", {"a": a, "b": b}, states, {"R": rows})
            for found, right in zip([*outputs.values(), states["s"], states["t"]], wanted, strict=True):
                np.testing.assert_allclose(found, right, 1e-4, 1e-5)
            s, t = (array.copy() for array in wanted[-2:])
            np.testing.assert_array_equal(a, kept[0])
            np.testing.assert_array_equal(b, kept[1])
            memory = [a, b, w, *outputs.values(), *states.values()]
            for k, one in enumerate(memory):
                assert not any(np.shares_memory(one, other) for other in memory[k + 1 :])


# ---- directed


def test_views_cost_nothing() -> None:
    def make(build: Builder, x: Tensor, y: Tensor) -> Tensor:
        turned = apply(build, Transpose(axes=(1, 0)), x)[1:3]
        return apply(build, Reverse(axes=(0,)), turned) + y.broadcast_to((2, 4))

    assert plan_of(make, "float32[4, 3]", "float32[1, 4]").count("run(") == 1


def test_what_is_concatenated_is_made_in_its_place(tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, y: Tensor) -> Tensor:
        joined = apply(build, Concat(axis=1), [apply(build, Tanh(), x), apply(build, Exp(), y)])
        return apply(build, Pad(low=(0, 1), high=(0, 0)), joined, constant(build, 0.5, DType.FLOAT32))

    plan = plan_of(make, "float32[4, 3]", "float32[4, 2]")
    assert plan.count("run(") == 3 and "copy" not in plan
    agrees(make, [tensor_type("float32[4, 3]"), tensor_type("float32[4, 2]")], tmp_path)


def test_a_chain_of_products_needs_two_buffers() -> None:
    def make(build: Builder, x: Tensor, w: Tensor) -> Tensor:
        for _ in range(6):
            x = apply(build, Dot(lhs_contract=(1,), rhs_contract=(0,)), x, w)
        return x

    graph = graph_of([tensor_type("float32[N, 4]"), tensor_type("float32[4, 4]")], make)
    program = program_of(entry_of(graph, ["x", "w"]))
    rows = BACKEND.buffers(legal(program, BACKEND), {"N": 3})
    assert rows is not None
    assert [size for _, _, size in rows["main"]] == [48] * 5
    assert all(last == first + 1 for first, last, _ in rows["main"])


def test_a_result_takes_the_memory_of_an_operand_that_dies() -> None:
    def make(build: Builder, x: Tensor, w: Tensor) -> list[Tensor]:
        y = apply(build, Dot(lhs_contract=(1,), rhs_contract=(0,)), x, w)
        z = apply(build, Dot(lhs_contract=(1,), rhs_contract=(0,)), y, w) + y
        return [apply(build, Dot(lhs_contract=(1,), rhs_contract=(0,)), z, w)]

    launches = re.findall(r"run\(\w+, \(([^)]*)\)", plan_of(make, "float32[N, 4]", "float32[4, 4]"))
    # The second product reads y whole, so that it cannot write there.
    assert launches[1].split(", ")[0] == "b[0]" and launches[1].split(", ")[2] == "b[1]"


def test_a_state_is_written_in_place(tmp_path: Path) -> None:
    type = TensorType(DType.FLOAT32, (symbol("C"), 4))

    def make(build: Builder, row: Tensor, at: Tensor, cache: Tensor) -> list[Tensor]:
        zero = constant(build, 0, DType.INT64)
        cache = apply(build, DynamicUpdateSlice(), cache, row, [at, zero])
        return [cache * 2.0, cache]

    graph = graph_of([tensor_type("float32[1, 4]"), tensor_type("int64[]"), type], make)
    program = program_of(entry_of(graph, ["row", "at"], states=["s"], updates=["s"]), state={"s": State("s", type, 0)})
    net = loaded(legal(program, BACKEND), tmp_path / "bundle", {})
    cache, row = np.zeros((5, 4), np.float32), np.ones((1, 4), np.float32)
    for at in (1, 3):
        outputs, states = net.call("main", {"row": row, "at": np.array(at)}, {"s": cache}, {"C": 5})
        assert np.shares_memory(states["s"], cache)
        np.testing.assert_array_equal(outputs["y0"], cache * 2)
    assert cache.sum(1).tolist() == [0, 4, 0, 4, 0]
    text = emit(legal(program, BACKEND)).text
    assert "copy" not in text[text.index("def call_0") : text.index("PARAMETERS")]


def test_carries_may_change_places(tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
        region = graph_of([x.type] * 3, lambda inner, a, b, c: [b, apply(inner, Reverse(axes=(0,)), a), c])
        return apply(build, Scan(carries=3, length=3), [x, y, z], regions=(region,))

    agrees(make, [tensor_type("float32[3]")] * 3, tmp_path)
