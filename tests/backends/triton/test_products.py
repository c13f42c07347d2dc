"""Matrix products of the Triton target: axes in any order, long depths, dtypes, and what is fused around them."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.compiler.ir import DType, TensorType
from netwright.compiler.ops import functional as fn
from netwright.compiler.ops.activation_smooth import Gelu
from netwright.compiler.ops.contract import Dot
from netwright.compiler.ops.samples import types
from netwright.compiler.ops.tensor import apply

from ..comparing import close
from .interpreting import agrees, interpreted, kernels

pytestmark = pytest.mark.usefixtures("interpreter")


SIZES = {"a": 3, "b": 2, "m": 5, "n": 17, "k": 7, "l": 4}


@st.composite
def contractions(draw):
    """Subscripts of einsum: letters of both operands and their order."""
    batch = draw(st.sampled_from(["", "a", "ab"]))
    left, right = batch + draw(st.sampled_from(["", "m"])), batch + draw(st.sampled_from(["", "n"]))
    depth = draw(st.sampled_from(["k", "kl", ""]))
    left = "".join(draw(st.permutations(left + depth)))
    right = "".join(draw(st.permutations(right + depth)))
    return left, right, batch, depth


@settings(max_examples=25, deadline=None)
@given(contractions())
def test_axes_in_any_order(tmp_path_factory, case):
    left, right, batch, depth = case
    fields = {
        "lhs_contract": tuple(map(left.index, depth)),
        "rhs_contract": tuple(map(right.index, depth)),
        "lhs_batch": tuple(map(left.index, batch)),
        "rhs_batch": tuple(map(right.index, batch)),
    }
    draw = np.random.default_rng(0)
    x, y = (draw.standard_normal([SIZES[letter] for letter in side]).astype(np.float32) for side in (left, right))
    kept = [letter for side in (left, right) for letter in side if letter not in batch + depth]
    wanted = torch.einsum(f"{left},{right}->{batch}{''.join(kept)}", torch.tensor(x), torch.tensor(y)).numpy()
    (found,) = interpreted(
        lambda build, a, b: apply(build, Dot(**fields), a, b),
        [TensorType(DType.FLOAT32, x.shape), TensorType(DType.FLOAT32, y.shape)],
        [x, y],
        tmp_path_factory.mktemp("bundle"),
    )
    close(found, wanted)


def matmul(build, x, y):
    return fn.dot(x, y, ((x.rank - 1,), (0,)))


@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float32", "float64", "int8", "uint8", "int32", "uint32", "int64"]
)
def test_dtypes(tmp_path, dtype):
    agrees(matmul, types(f"{dtype}[33, 17]", f"{dtype}[17, 65]"), tmp_path, slack=2)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64"])
@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (1, 40, 3), (2, 2600, 5)])
def test_sizes(tmp_path, dtype, m, k, n):
    agrees(matmul, types(f"{dtype}[{m}, {k}]", f"{dtype}[{k}, {n}]"), tmp_path, slack=2)


def test_sizes_of_the_run(tmp_path):
    for n in (1, 37):
        agrees(matmul, types("float32[N, T, 24]", "float32[24, 9]"), tmp_path / str(n), N=n, T=3)


def test_whole_numbers_wrap(tmp_path):
    x = np.full((2, 40), 100, np.int8)
    (found,) = interpreted(matmul, types("int8[2, 40]", "int8[40, 2]"), [x, x.T.copy()], tmp_path)
    np.testing.assert_array_equal(found, np.full((2, 2), 400_000).astype(np.int8))


def test_nan_and_infinity_stay_in_their_row(tmp_path):
    x, y = np.ones((20, 20), np.float32), np.ones((20, 20), np.float32)
    x[3, 4], x[5, 6] = np.nan, np.inf
    (found,) = interpreted(matmul, types("float32[20, 20]", "float32[20, 20]"), [x, y], tmp_path)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(found, x @ y)


@pytest.mark.parametrize(("precision", "text"), [("highest", '"ieee"'), ("tf32", '"tf32"'), ("bf16", "to_bfloat16")])
def test_precision_is_as_asked(tmp_path, precision, text):
    op = Dot(lhs_contract=(1,), rhs_contract=(0,), precision=precision)

    def make(build, x, y):
        return apply(build, op, x, y)

    (kernel,) = kernels(make, types("float32[9, 40]", "float32[40, 5]"))
    assert text in kernel.text
    x = np.random.default_rng(0).standard_normal((9, 40)).astype(np.float32)
    y = np.random.default_rng(1).standard_normal((40, 5)).astype(np.float32)
    (found,) = interpreted(make, types("float32[9, 40]", "float32[40, 5]"), [x, y], tmp_path)
    if precision == "bf16":
        x, y = (array.astype(ml_dtypes.bfloat16).astype(np.float64) for array in (x, y))
    close(found, x @ y)


def test_a_small_result_over_a_long_depth_is_split():
    assert [kernel.name for kernel in kernels(matmul, types("float32[4, 4096]", "float32[4096, 64]"))] == [
        "k0_dot",
        "k1_sum",
    ]
    assert len(kernels(matmul, types("float32[4096, 1024]", "float32[1024, 4096]"))) == 1
    assert len(kernels(matmul, types("float32[4, 256]", "float32[256, 64]"))) == 1


def linear(build, x, w, bias, rest):
    y = apply(build, Gelu(), matmul(build, x, w) + fn.along(bias, 3, 2))
    return [y + rest, y]


@pytest.mark.parametrize(("depth", "count"), [(40, 1), (2100, 2)])
def test_bias_activation_and_residual_join(tmp_path, depth, count):
    given = types(f"float32[2, 5, {depth}]", f"float32[{depth}, 33]", "float32[33]", "float32[2, 5, 33]")
    assert len(kernels(linear, given)) == count
    agrees(linear, given, tmp_path)


def test_the_epilogue_of_16_bit_products(tmp_path):
    agrees(
        linear, types("bfloat16[2, 5, 40]", "bfloat16[40, 33]", "bfloat16[33]", "bfloat16[2, 5, 33]"), tmp_path, slack=2
    )


def test_an_epilogue_behind_a_reshape(tmp_path):
    def make(build, x, w, bias):
        heads = matmul(build, x, w).reshape(3, 5, 4, 8)
        return fn.maximum(heads + fn.broadcast(bias, (3, 5, 4, 8), (2, 3)), 0.0)

    given = types("float32[3, 5, 40]", "float32[40, 32]", "float32[4, 8]")
    assert len(kernels(make, given)) == 1
    agrees(make, given, tmp_path)


def test_operands_are_computed_on_the_way_in(tmp_path):
    def make(build, x, scale, w):
        return fn.dot(x * fn.along(scale, 2, 1) + 1.0, w.cast(DType.FLOAT32), ((1,), (1,)))

    given = types("float32[9, 45]", "float32[45]", "float16[33, 45]")
    assert len(kernels(make, given)) == 1
    agrees(make, given, tmp_path)


def test_a_number_of_two_vectors(tmp_path):
    agrees(
        lambda build, x, y, z: fn.dot(x, y, ((0,), (0,))) * z,
        types("float32[70]", "float32[70]", "float32[]"),
        tmp_path,
    )


def test_sums_of_nothing(tmp_path):
    agrees(matmul, types("float32[3, 0]", "float32[0, 2]"), tmp_path)
