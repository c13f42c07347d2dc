"""Fused regions: their index space says the same as their ops, whatever is fused; and fusing scales."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given

from netwright.compiler.evaluate import evaluate
from netwright.compiler.fusion import Fusion, SpaceError, space
from netwright.compiler.ir import (
    Builder,
    DType,
    Entry,
    Graph,
    Port,
    Program,
    Symbol,
    TensorType,
    Value,
    symbol,
)
from netwright.compiler.ir.dims import product
from netwright.compiler.ir.op import Op
from netwright.compiler.ir.text import parse_program
from netwright.compiler.ir.verify import verify
from netwright.compiler.ops.contract import Dot
from netwright.compiler.ops.control import region
from netwright.compiler.ops.elementwise import Add, Exp, Max, Mul, Neg, Sigmoid, Sub, Tanh
from netwright.compiler.ops.fused import Fused
from netwright.compiler.ops.reduce import ReduceMax, ReduceSum
from netwright.compiler.ops.shape import Broadcast, Reshape, Transpose
from netwright.compiler.passes.context import Context
from netwright.compiler.passes.fuse import fuse
from netwright.compiler.pipeline import run

from .random_programs import programs
from .running import assert_same, random_array, sizes_of
from .test_random import QUIET, primitives_only
from .walking import walk

F = DType.FLOAT64
EVERYTHING = Fusion(anchors=frozenset(["dot", "conv", "window_max", "window_sum"]), prologues=frozenset(["dot"]))


@QUIET
@given(programs(24))
def test_random_programs(text: str) -> None:
    program = parse_program(text)
    context = Context(claims=primitives_only, requires=frozenset(["fuse"]), fusion=EVERYTHING)
    fused = run(program, context)
    check_kernels(program, fused)


@pytest.mark.parametrize("sample", Fused.samples(), ids=lambda sample: sample.note)
def test_samples_walk_as_they_mean(sample: object) -> None:
    (body,) = sample.regions
    arrays = list(sample.inputs)
    for one, other in zip(walk(body, arrays, {}), evaluate(body, arrays), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def dense(seed: int) -> Program:
    """A random graph of what kernels hold: elementwise ops, moves, reductions, matrix products."""
    chance = random.Random(seed)
    n = symbol("N", 1, 9)
    build = Builder()
    inputs = [Value(TensorType(F, shape)) for shape in ((n, 4, 6), (6,), (n, 4), (6, 6))]
    pool = list(inputs)

    def emit(op: Op, *operands: Value) -> Value:
        (result,) = build.emit(op, operands)
        pool.append(result)
        return result

    def same(value: Value) -> Value:
        return chance.choice([other for other in pool if other.type == value.type])

    for _ in range(chance.randint(4, 30)):
        x = chance.choice(pool[-6:])
        shape = x.type.shape
        kind = chance.choice(["unary", "binary", "binary", "vector", "rows", "rows", "transpose", "reshape", "dot"])
        if kind == "unary":
            emit(chance.choice([Tanh(), Neg(), Sigmoid()]), x)
        elif kind == "binary":
            emit(chance.choice([Add(), Mul(), Max()]), x, same(x))
        elif kind == "vector" and len(shape) > 1 and shape[-1] == 6:
            axes = (len(shape) - 1,)
            emit(Add(), x, emit(Broadcast(shape=shape, axes=axes), same(inputs[1])))
        elif kind == "rows" and shape:
            axes = tuple(sorted(chance.sample(range(len(shape)), chance.randint(1, min(2, len(shape))))))
            total = emit(chance.choice([ReduceSum, ReduceMax])(axes=axes, keep=True), x)
            if chance.random() < 0.7:
                emit(Sub(), x, emit(Broadcast(shape=shape, axes=tuple(range(len(shape)))), total))
        elif kind == "transpose":
            axes = list(range(len(shape)))
            chance.shuffle(axes)
            emit(Transpose(axes=tuple(axes)), x)
        elif kind == "reshape":
            merged = [product(shape), (product(shape[:-1]), shape[-1])] if shape else [()]
            split = [(*shape[:-1], 2, 3)] if shape and shape[-1] == 6 else []
            wanted = chance.choice([*merged, *split])
            emit(Reshape(shape=wanted if isinstance(wanted, tuple) else (wanted,)), x)
        elif kind == "dot" and shape and shape[-1] == 6:
            emit(Dot(lhs_contract=(len(shape) - 1,), rhs_contract=(0,)), x, inputs[3])
    results = tuple(dict.fromkeys([*pool[-2:], chance.choice(pool)]))
    ports = tuple(Port(f"x{at}", value.type) for at, value in enumerate(inputs))
    graph = build.graph(inputs, results)
    names = tuple(f"y{at}" for at in range(len(results)))
    symbols = (Symbol("N", 1, 9),)
    return Program("dense", {"main": Entry("main", graph, ports, (), (), names, symbols=symbols)})


def check_kernels(program: Program, fused: Program) -> int:
    """Fusing keeps the results, and each kernel's walk gives what its ops mean. Returns the number of kernels."""
    verify(fused, "fuse")
    assert_same(program, fused, 1e-9)
    count = 0
    for entry in fused.entries.values():
        sizes = sizes_of(entry)
        for node in entry.graph.walk():
            if not isinstance(node.op, Fused):
                continue
            count += 1
            (body,) = node.regions
            arrays = [random_array(str(at), value.type, sizes, None) for at, value in enumerate(body.inputs)]
            wanted = evaluate(body, arrays, sizes)
            for one, other in zip(walk(body, arrays, sizes), wanted, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
    return count


def test_random_graphs_of_what_kernels_hold() -> None:
    count = 0
    for seed in range(150):
        program = dense(seed)
        count += check_kernels(program, fuse(program, Context(fusion=EVERYTHING)))
    assert count > 150, "the graphs hardly had anything to fuse"


def test_axes_that_lie_across_each_other_have_no_space() -> None:
    def body(emit, x: Value, y: Value) -> list[Value]:
        return [emit(Add(), emit(Reshape(shape=(4, 6)), x), y), emit(Reshape(shape=(3, 8)), emit(Exp(), y))]

    def across(emit, x: Value, y: Value) -> list[Value]:
        left = emit(Reshape(shape=(24,)), emit(Exp(), x))
        return [emit(Add(), left, emit(Reshape(shape=(24,)), y))]

    with pytest.raises(SpaceError, match="across"):
        space(region(across, "float32[4, 6]", "float32[3, 8]"))
    with pytest.raises(SpaceError, match="across"):
        space(region(body, "float32[24]", "float32[4, 6]"))


def test_a_value_beside_its_transpose_has_no_space() -> None:
    def body(emit, x: Value) -> list[Value]:
        return [emit(Add(), x, emit(Transpose(axes=(1, 0)), x))]

    with pytest.raises(SpaceError, match="meet itself"):
        space(region(body, "float32[4, 4]"))


def test_reductions_along_other_axes_have_no_space() -> None:
    def body(emit, x: Value) -> list[Value]:
        return [emit(ReduceSum(axes=(0,)), x), emit(ReduceSum(axes=(1,)), x)]

    with pytest.raises(SpaceError, match="other axes"):
        space(region(body, "float32[4, 5]"))


def test_symbolic_axes_split() -> None:
    def body(emit, x: Value, y: Value) -> list[Value]:
        n = y.type.shape[0]
        return [emit(Add(), emit(Reshape(shape=(n, 3)), x), y)]

    program = parse_program('program "p"\nentry "main" [N] {\n  input %0 "x": float32[3*N]\n  output "y" %0\n}')
    whole = program.entries["main"].graph.inputs[0].type
    inputs = [Value(whole), Value(whole.with_shape((whole.shape[0] // 3, 3)))]
    build = Builder()
    results = body(lambda op, *operands: build.emit(op, operands)[0], *inputs)
    found = space(Graph(tuple(inputs), tuple(build.nodes), tuple(results)))
    assert [str(axis.size) for axis in found.axes] == ["N", "3"]
    assert found.views[inputs[0]] == ((0, 1),)


def elementwise(nodes: int) -> str:
    """A graph of ``nodes`` ops in which each value has several readers, near and far."""
    lines = ['program "p"', 'entry "main" {', '  input %0 "x": float32[8, 16]']
    for at in range(1, nodes + 1):
        near, far = at - 1, max(0, at - 1 - at % 7)
        op = ("add", "mul", "max", "sub")[at % 4]
        lines.append(f"  %{at} = {op}(%{near}, %{far}) : float32[8, 16]")
    return "\n".join([*lines, f'  output "y" %{nodes}', "}"])


def test_a_thousand_nodes_become_a_handful_of_kernels() -> None:
    program = parse_program(elementwise(1000))
    fused = run(program, Context(requires=frozenset(["fuse"]), fusion=EVERYTHING))
    nodes = fused.entries["main"].graph.nodes
    assert len(nodes) <= 8
    assert {node.op.name for node in nodes} == {"fused"}
    kept = sum(len(node.regions[0].nodes) for node in nodes)
    assert kept <= 1000


def scalars(nodes: int) -> str:
    """A scalar of a size behind a chain of ops, and a kernel that reads it."""
    lines = [
        'program "p"',
        'entry "main" [N] {',
        '  input %0 "x": float32[N, 4]',
        "  %1 = dimension() {size: N} : int64[]",
    ]
    lines.append("  %2 = cast(%1) {dtype: float32} : float32[]")
    lines += [f"  %{at} = tanh(%{at - 1}) : float32[]" for at in range(3, nodes + 3)]
    lines.append(f"  %{nodes + 3} = broadcast(%{nodes + 2}) {{shape: [N, 4], axes: []}} : float32[N, 4]")
    lines.append(f"  %{nodes + 4} = mul(%0, %{nodes + 3}) : float32[N, 4]")
    lines.append(f"  %{nodes + 5} = exp(%{nodes + 4}) : float32[N, 4]")
    return "\n".join([*lines, f'  output "y" %{nodes + 5}', "}"])


@pytest.mark.parametrize(("chain", "inside"), [(3, 8), (3000, 3)])
def test_a_long_scalar_is_computed_once(chain: int, inside: int) -> None:
    """A short one stands in the kernel that reads it."""
    program = parse_program(scalars(chain))
    fused = fuse(program, Context(fusion=EVERYTHING))
    verify(fused, "fuse")
    assert_same(program, fused, 1e-6)
    last = fused.entries["main"].graph.nodes[-1]
    assert len(last.regions[0].nodes) == inside
