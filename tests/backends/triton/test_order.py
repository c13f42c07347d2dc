"""Order along an axis, running sums, scatter and random bits on the triton target, in the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch

from netwright.backends.triton import TritonBackend
from netwright.compiler.ir import DType, Op, TensorType, symbol
from netwright.compiler.ops.index import Scatter, ScatterElements
from netwright.compiler.ops.random import RandomBits
from netwright.compiler.ops.reduce import ArgMax, CumulativeSum, TopK
from netwright.compiler.ops.samples import ints, normal
from netwright.compiler.ops.tensor import Tensor, apply

from ..programs import build, entry_of, graph_of, program_of, run

pytestmark = pytest.mark.usefixtures("interpreter")
BACKEND = TritonBackend()
WORDS = (-7, 42, 2**40 + 3)


def result(folder: Path, op: Op, *arrays: np.ndarray, view: Callable[[Tensor], Tensor] | None = None) -> Any:
    """The results of an op, whose first operand may be a view."""
    types = [TensorType(DType.of(array), array.shape) for array in arrays]
    names = [f"x{k}" for k in range(len(arrays))]

    def make(build: Any, *tensors: Tensor) -> Any:
        first = view(tensors[0]) if view else tensors[0]
        return apply(build, op, first, *tensors[1:])

    program = program_of(entry_of(graph_of(types, make), names))
    outputs, _ = run(BACKEND.load(build(folder / "bundle", BACKEND, program)), arrays, names)
    return outputs if len(outputs) > 1 else outputs[0]


def few_values(*shape: int, dtype: str = "float32") -> np.ndarray:
    """Many equal elements; of floats also infinities, zeros of both signs, and NaN."""
    x = ints(*shape, low=-3, high=4).astype(dtype)
    if np.issubdtype(x.dtype, np.floating):
        flat = x.reshape(-1)
        flat[::7], flat[3::11], flat[5::13], flat[6::17] = -0.0, np.inf, -np.inf, np.nan
    return x


def falling(row: list[Any]) -> list[int]:
    """Where the elements of a row stand in falling order: NaN first, equals by their places."""
    return sorted(range(len(row)), key=lambda at: (row[at] == row[at], -row[at] if row[at] == row[at] else 0, at))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint32"])
@pytest.mark.parametrize("k", [1, 5, 200])
def test_top_k(tmp_path: Path, k: int, dtype: str) -> None:
    x = few_values(2, 200, dtype=dtype) if dtype != "uint32" else ints(2, 200, high=2**32, dtype=dtype)
    values, places = result(tmp_path, TopK(k=k), x)
    order = np.stack([falling(row) for row in x.tolist()])
    np.testing.assert_array_equal(places, order[:, :k])
    np.testing.assert_array_equal(values, np.take_along_axis(x, order[:, :k], 1))


@pytest.mark.parametrize("k", [3, 600])
def test_top_k_of_a_long_line_takes_passes(tmp_path: Path, k: int) -> None:
    x = np.round(normal(1, 13000) * 50).astype(np.float32)
    values, places = result(tmp_path, TopK(k=k), x)
    wanted, order = torch.sort(torch.from_numpy(x), descending=True, stable=True)
    np.testing.assert_array_equal(values, wanted[:, :k])
    np.testing.assert_array_equal(places, order[:, :k])
    assert (tmp_path / "bundle" / "model.py").read_text().count("@triton.jit") > 2


def test_top_k_of_a_free_length(tmp_path: Path) -> None:
    types = [TensorType(DType.FLOAT32, (symbol("T", 4), 3))]
    graph = graph_of(types, lambda build, x: apply(build, TopK(k=4, axis=0), x))
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, program_of(entry_of(graph, ["x"]))))
    for length in (4, 100):
        x = normal(length, 3)
        (values, places), _ = run(runtime, [x], ["x"], sizes={"T": length})
        np.testing.assert_array_equal(places, np.argsort(-x, axis=0)[:4])
        np.testing.assert_array_equal(values, np.take_along_axis(x, places, 0))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_arg_max_of_a_view(tmp_path: Path, axis: int) -> None:
    x = few_values(6, 5, 70)
    found = result(tmp_path, ArgMax(axis=axis), x, view=lambda t: t[::2, :, 1:])
    np.testing.assert_array_equal(found, np.argmax(x[::2, :, 1:], axis))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("exclusive", [False, True])
def test_running_sums_over_blocks(tmp_path: Path, exclusive: bool, reverse: bool) -> None:
    x = normal(2, 9001)
    x[0, 100 if reverse else 8000] = np.inf
    found = result(tmp_path, CumulativeSum(axis=1, exclusive=exclusive, reverse=reverse), x)
    turned = x[:, ::-1] if reverse else x
    wanted = torch.cumsum(torch.from_numpy(turned.astype(np.float64)), 1).numpy()
    if exclusive:
        wanted = np.concatenate([np.zeros((2, 1)), wanted[:, :-1]], 1)
    wanted = wanted[:, ::-1] if reverse else wanted
    np.testing.assert_allclose(found, wanted, 1e-5, 1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64", "int8", "int64", "uint32"])
def test_scatter_add_counts_each_of_many(tmp_path: Path, dtype: str) -> None:
    numpy = DType(dtype).numpy
    updates = ints(300, 3, high=3).astype(numpy)
    indices = ints(300, high=4)
    found = result(tmp_path, Scatter(mode="add"), np.zeros((4, 3), numpy), indices, updates)
    wanted = np.zeros((4, 3))
    np.add.at(wanted, indices, updates.astype(np.float64))
    np.testing.assert_array_equal(found, wanted.astype(numpy))


def test_scatter_elements_along_a_middle_axis(tmp_path: Path) -> None:
    x, indices, updates = normal(2, 5, 3), ints(2, 7, 3, high=5), normal(2, 7, 3, salt=1)
    found = result(tmp_path, ScatterElements(axis=1, mode="add"), x, indices, updates)
    wanted = torch.from_numpy(x.copy()).scatter_add_(1, torch.from_numpy(indices), torch.from_numpy(updates))
    np.testing.assert_allclose(found, wanted.numpy(), 1e-6, 1e-6)
    order = np.argsort(normal(2, 5, 3, salt=3), axis=1)
    found = result(tmp_path / "set", ScatterElements(axis=1), x, order, x * 2)
    wanted = torch.from_numpy(x.copy()).scatter_(1, torch.from_numpy(order), torch.from_numpy(x * 2))
    np.testing.assert_array_equal(found, wanted.numpy())


@pytest.mark.parametrize("shape", [(), (3, 1000)])
def test_random_bits_are_those_of_jax(tmp_path: Path, shape: tuple[int, ...]) -> None:
    types = [TensorType(DType.INT64, ())] * 2
    graph = graph_of(types, lambda build, seed, step: apply(build, RandomBits(shape=shape), seed, step))
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, program_of(entry_of(graph, ["seed", "step"]))))
    with jax.enable_x64(True):
        for step, seed in enumerate(WORDS):
            (found,), _ = run(runtime, [np.array(seed), np.array(step)], ["seed", "step"])
            key = jax.random.fold_in(jax.random.key(seed), step)
            np.testing.assert_array_equal(found, np.asarray(jax.random.bits(key, shape, "uint32")))
