"""Fused regions: their index space says the same as their ops, whatever is fused; and fusing scales."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from netwright.compiler.evaluate import evaluate
from netwright.compiler.fusion import Fusion, SpaceError, space
from netwright.compiler.ir import Builder, Graph, Value
from netwright.compiler.ir.text import parse_program
from netwright.compiler.ir.verify import verify
from netwright.compiler.ops.control import region
from netwright.compiler.ops.elementwise import Add, Exp
from netwright.compiler.ops.fused import Fused
from netwright.compiler.ops.reduce import ReduceSum
from netwright.compiler.ops.shape import Reshape, Transpose
from netwright.compiler.passes.context import Context
from netwright.compiler.pipeline import run

from .random_programs import programs
from .running import assert_same, random_array, sizes_of
from .test_random import QUIET, primitives_only
from .walking import walk

EVERYTHING = Fusion(anchors=frozenset(["dot", "conv", "window_max", "window_sum"]), prologues=frozenset(["dot"]))


@QUIET
@given(programs(24))
def test_random_programs(text: str) -> None:
    program = parse_program(text)
    context = Context(claims=primitives_only, requires=frozenset(["fuse"]), fusion=EVERYTHING)
    fused = run(program, context)
    verify(fused, "fuse")
    assert_same(program, fused, 1e-9)
    for entry in fused.entries.values():
        sizes = sizes_of(entry)
        for node in entry.graph.walk():
            if not isinstance(node.op, Fused):
                continue
            (body,) = node.regions
            arrays = [random_array(str(at), value.type, sizes, None) for at, value in enumerate(body.inputs)]
            wanted = evaluate(body, arrays, sizes)
            for one, other in zip(walk(body, arrays, sizes), wanted, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sample", Fused.samples(), ids=lambda sample: sample.note)
def test_samples_walk_as_they_mean(sample: object) -> None:
    (body,) = sample.regions
    arrays = list(sample.inputs)
    for one, other in zip(walk(body, arrays, {}), evaluate(body, arrays), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


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
