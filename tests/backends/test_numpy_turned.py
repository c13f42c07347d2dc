"""Features first: regions that turn them last are done first, and what reads the view is told how it lies in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.backends import registry
from netwright.backends.numpy.costs import layout
from netwright.backends.numpy.emit import emit
from netwright.backends.numpy.lower.turned import without_turns
from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import Builder, DType, TensorType, Value, symbol
from netwright.compiler.ops import functional as fn
from netwright.compiler.ops.attention import Attention
from netwright.compiler.ops.elementwise import Tanh
from netwright.compiler.ops.tensor import Tensor, apply

from .programs import entry_of, graph_of, legal, program_of
from .test_numpy_tiles import every_region_is_tiled, module, normal

__all__ = ["every_region_is_tiled"]

BACKEND = registry.get("numpy")
N, T = symbol("N"), symbol("T")
LAST, FIRST = (1, 2, 0), (2, 0, 1)


@pytest.mark.parametrize("sizes", [(1, 1), (2, 7), (5, 3)])
@pytest.mark.parametrize("before", [True, False])
def test_regions_that_turn(before: bool, sizes: tuple[int, int], tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, bias: Tensor) -> Tensor:
        first = apply(build, Tanh(), x + bias[:, None, None]) if before else x
        return apply(build, Tanh(), fn.transpose(first, LAST) * 0.5 + bias[None, None])

    graph = graph_of([TensorType(DType.FLOAT32, (8, N, T)), TensorType(DType.FLOAT32, (8,))], make)
    program = legal(program_of(entry_of(graph, ["x"], ["bias"])), BACKEND)
    (region,) = (node.regions[0] for node in program.entries["main"].graph.nodes if node.regions)
    shorter = without_turns(region)
    assert shorter is not None and shorter.outputs[0].type.shape == (8, N, T)
    arrays = [normal(8, *sizes), normal(8)]
    (wanted,) = evaluate(graph, arrays, dict(zip("NT", sizes, strict=True)))
    np.testing.assert_allclose(module(program, tmp_path).connect((arrays[1],))(x=arrays[0])["y0"], wanted, 1e-6, 1e-6)


def test_what_also_reads_other_axes_is_no_such_region() -> None:
    def make(build: Builder, x: Tensor, other: Tensor) -> Tensor:
        return apply(build, Tanh(), fn.transpose(x, LAST) + other)

    types = [TensorType(DType.FLOAT32, shape) for shape in ((8, N, T), (N, T, 8))]
    program = legal(program_of(entry_of(graph_of(types, make), ["x", "other"])), BACKEND)
    (region,) = (node.regions[0] for node in program.entries["main"].graph.nodes if node.regions)
    assert without_turns(region) is None


@pytest.mark.parametrize("sizes", [(1, 1), (2, 7), (5, 3), (2, 70)])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("apart", [True, False])
def test_attention_of_features_first(apart: bool, causal: bool, sizes: tuple[int, int], tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, w: Tensor, u: Tensor, bias: Tensor) -> Tensor:
        q = fn.transpose(fn.dot(w, x, ((1,), (0,))) + bias[:, None, None], LAST)
        k = fn.transpose(fn.dot(u, x, ((1,), (0,))) + bias[:, None, None], LAST) if apart else q
        mixed = apply(build, Attention(heads=2, causal=causal), q, k, fn.transpose(x, LAST))
        return fn.dot(w, fn.transpose(mixed, FIRST), ((1,), (0,))) + x

    types = [TensorType(DType.FLOAT32, shape) for shape in ((8, N, T), (8, 8), (8, 8), (8,))]
    graph = graph_of(types, make)
    program = legal(program_of(entry_of(graph, ["x"], ["w", "u", "bias"])), BACKEND)
    assert ", out=v" in emit(program) and ".transpose((1, 2, 0))).transpose((2, 0, 1))" in emit(program)
    arrays: list[Any] = [normal(8, *sizes), normal(8, 8), normal(8, 8), normal(8)]
    (wanted,) = evaluate(graph, arrays, dict(zip("NT", sizes, strict=True)))
    made = module(program, tmp_path).connect(tuple(arrays[1:] if apart else arrays[1::2]))
    np.testing.assert_allclose(made(x=arrays[0])["y0"], wanted, 1e-5, 1e-5)
    np.testing.assert_array_equal(made(x=arrays[0])["y0"], made(x=arrays[0])["y0"])


@pytest.mark.parametrize(
    ("tokens", "features", "turned"),
    [(128, 768, True), (4096, 64, False), (1, 768, None), (256, 50257, None)],
)
def test_which_products_are_faster_with_features_first(tokens: int, features: int, turned: bool | None) -> None:
    build = Builder()
    x, w = (Tensor(build, Value(TensorType(DType.FLOAT32, shape))) for shape in ((1, tokens, 768), (768, features)))
    fn.dot(x, w, ((2,), (0,)))
    costs = layout(build.nodes[-1])
    assert (costs and costs[1] < costs[0]) is turned
