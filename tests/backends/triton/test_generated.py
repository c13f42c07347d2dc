"""Generated kernels: elementwise work over any strides, rows in one tile and in pieces, sizes found at run time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from netwright.compiler.ir import Builder, DType
from netwright.compiler.ops.elementwise import Exp, Max, Pow, Sqrt, Tanh
from netwright.compiler.ops.reduce import ReduceMax, ReduceMin, ReduceProd, ReduceSum
from netwright.compiler.ops.samples import tensor_type
from netwright.compiler.ops.shape import Transpose
from netwright.compiler.ops.source import Cast, Iota
from netwright.compiler.ops.tensor import Tensor, apply, elementwise

from .interpreting import agrees, arrays, interpreted, kernels

pytestmark = pytest.mark.usefixtures("interpreter")


def softmax(build: Builder, x: Tensor) -> Tensor:
    raised = apply(build, Exp(), x - apply(build, ReduceMax(axes=-1, keep=True), x))
    return raised / apply(build, ReduceSum(axes=-1, keep=True), raised)


def layer_norm(build: Builder, x: Tensor, weight: Tensor) -> Tensor:
    count = float(x.shape[-1])
    rest = x - apply(build, ReduceSum(axes=-1, keep=True), x) * (1 / count)
    spread = apply(build, ReduceSum(axes=-1, keep=True), rest * rest) * (1 / count)
    return rest / apply(build, Sqrt(), spread + 1e-5) * weight


@pytest.mark.parametrize("columns", [1, 7, 64, 1000, 9000])
def test_softmax_of_short_and_long_rows(columns: int, tmp_path: Path) -> None:
    types = [tensor_type(f"float32[3, {columns}]")]
    assert len(kernels(softmax, types)) == 1
    (x,) = arrays(types, {})
    (found,) = interpreted(softmax, types, [x], tmp_path)
    np.testing.assert_allclose(found, torch.softmax(torch.tensor(x), -1).numpy(), 1e-5, 1e-7)


@pytest.mark.parametrize("columns", [12, 9001])
def test_layer_norm_of_short_and_long_rows(columns: int, tmp_path: Path) -> None:
    types = [tensor_type(f"float32[N, 2, {columns}]"), tensor_type(f"float32[{columns}]")]
    assert len(kernels(layer_norm, types)) == 1
    x, w = arrays(types, {"N": 3})
    (found,) = interpreted(layer_norm, types, [x, w], tmp_path, N=3)
    wanted = torch.nn.functional.layer_norm(torch.tensor(x), (columns,), torch.tensor(w))
    np.testing.assert_allclose(found, wanted.numpy(), 1e-4, 1e-5)


@pytest.mark.parametrize("size", [1, 5, 64, 65, 200])
def test_rows_of_any_length_are_one_kernel(size: int, tmp_path: Path) -> None:
    agrees(softmax, [tensor_type("float32[3, T]")], tmp_path, T=size)


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2), (0, 1), (0, 1, 2), ()])
@pytest.mark.parametrize("op", [ReduceSum, ReduceMax])
def test_reductions_along_any_axes_of_a_view(op: Any, axes: tuple[int, ...], tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor) -> Tensor:
        return apply(build, op(axes=axes), apply(build, Transpose(axes=(2, 0, 1)), x)[1:])

    agrees(make, [tensor_type("float32[3, 4, 5]")], tmp_path)


@pytest.mark.parametrize("op", [ReduceMax, ReduceMin])
@pytest.mark.parametrize("columns", ["5", "9000", "T"])
def test_a_nan_in_a_row_stays(op: Any, columns: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((4, 9000 if columns == "9000" else 5)).astype(np.float32)
    x[1, 3], x[2] = np.nan, np.nan
    sizes = {"T": 5} if columns == "T" else {}
    make = lambda build, value: apply(build, op(axes=1), value)  # noqa: E731
    (found,) = interpreted(make, [tensor_type(f"float32[4, {columns}]")], [x], tmp_path, **sizes)
    np.testing.assert_array_equal(found, (np.max if op is ReduceMax else np.min)(x, axis=1))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64"])
@pytest.mark.parametrize("op", [ReduceSum, ReduceProd, ReduceMax, ReduceMin])
def test_whole_numbers_wrap_as_numpy_wraps(op: Any, dtype: str, tmp_path: Path) -> None:
    x = np.random.default_rng(1).integers(0, 100, (3, 7)).astype(dtype)
    make = lambda build, value: apply(build, op(axes=1), value)  # noqa: E731
    (found,) = interpreted(make, [tensor_type(f"{dtype}[3, 7]")], [x], tmp_path)
    np.testing.assert_array_equal(found, op.compute(x, axis=1, keepdims=False).astype(dtype))


def test_two_results_of_one_kernel(tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, bias: Tensor) -> list[Tensor]:
        total = x + bias
        return [apply(build, Tanh(), total), elementwise(build, Max(), total, 0.0)]

    types = [tensor_type("float32[N, 4]"), tensor_type("float32[4]")]
    assert len(kernels(make, types)) == 1
    agrees(make, types, tmp_path, N=3)


def test_equal_work_is_one_kernel() -> None:
    def make(build: Builder, x: Tensor, w: Tensor) -> Tensor:
        return softmax(build, apply(build, Transpose(axes=(1, 0)), softmax(build, x) * w)) * w

    types = [tensor_type("float32[6, 6]")] * 2
    names = [kernel.name for kernel in kernels(make, types)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bits_are_rounded_once_to_the_nearest(dtype: str, tmp_path: Path) -> None:
    x = np.random.default_rng(2).standard_normal(4096).astype(np.float32)
    make = lambda build, value: apply(build, Cast(dtype=DType(dtype)), value)  # noqa: E731
    (found,) = interpreted(make, [tensor_type("float32[4096]")], [x], tmp_path)
    wanted = torch.tensor(x).to(getattr(torch, dtype)).float().numpy()
    np.testing.assert_array_equal(found.astype(np.float32), wanted)


def test_counts_and_sizes_are_no_memory(tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor) -> Tensor:
        count = apply(build, Iota(length=x.shape[0], dtype=DType.FLOAT32))
        return x * count.reshape(x.shape[0], 1)

    types = [tensor_type("float32[N, 3]")]
    assert len(kernels(make, types)) == 1
    agrees(make, types, tmp_path, N=5)


def test_a_power_of_a_number(tmp_path: Path) -> None:
    agrees(lambda build, x: elementwise(build, Pow(), x * x, 0.75), [tensor_type("float32[9]")], tmp_path)


def test_nothing_is_launched_for_nothing(tmp_path: Path) -> None:
    (found,) = interpreted(
        lambda build, x: apply(build, Tanh(), x), [tensor_type("float32[N, 3]")], [np.zeros((0, 3), np.float32)],
        tmp_path, N=0,
    )  # fmt: skip
    assert found.shape == (0, 3)
