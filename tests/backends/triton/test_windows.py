"""Sliding windows of the Triton target: random fields against NumPy and torch, dtypes, NaN, epilogues."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.compiler.ir import DType, TensorType
from netwright.compiler.ops import functional as fn
from netwright.compiler.ops.samples import types
from netwright.compiler.ops.tensor import apply
from netwright.compiler.ops.window import WindowMax, WindowMaxGrad, WindowSum

from ..comparing import close
from .interpreting import agrees, interpreted, kernels

pytestmark = pytest.mark.usefixtures("interpreter")


@st.composite
def windows(draw):
    """A shape and the fields of a window over all of its axes."""
    rank = draw(st.integers(1, 4))
    few = st.sampled_from([1, 1, 2, 3])
    shape = tuple(draw(st.integers(1, 6)) for _ in range(rank))
    fields = {key: tuple(draw(few) for _ in range(rank)) for key in ("kernel", "stride", "dilation")}
    fields["padding"] = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(rank))
    # Windows that would not fit become shorter.
    fields["kernel"] = tuple(
        min(kernel, (size + low + high - 1) // dilation + 1)
        for size, kernel, dilation, (low, high) in zip(
            shape, fields["kernel"], fields["dilation"], fields["padding"], strict=True
        )
    )
    return shape, fields


def windows_of(x, fields, fill):
    """The elements of each window along a last axis."""
    pads = [side for pair in reversed(fields["padding"]) for side in pair]
    x = torch.nn.functional.pad(x, pads, value=fill)
    for axis, (kernel, stride, dilation) in enumerate(
        zip(fields["kernel"], fields["stride"], fields["dilation"], strict=True)
    ):
        x = x.unfold(axis, dilation * (kernel - 1) + 1, stride)[..., ::dilation]
    return x.reshape(*x.shape[: len(fields["kernel"])], -1)


@settings(max_examples=30, deadline=None)
@given(windows(), st.booleans())
def test_any_window(tmp_path_factory, case, largest):
    shape, fields = case
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    seen = windows_of(torch.tensor(x), fields, -np.inf if largest else 0)
    wanted = seen.amax(-1) if largest else seen.sum(-1)
    op = (WindowMax if largest else WindowSum)(**fields)
    folder = tmp_path_factory.mktemp("bundle")
    (found,) = interpreted(lambda build, a: apply(build, op, a), [TensorType(DType.FLOAT32, shape)], [x], folder)
    close(found, wanted.numpy())


@settings(max_examples=20, deadline=None)
@given(windows())
def test_any_gradient(tmp_path_factory, case):
    shape, fields = case
    draw = np.random.default_rng(0)
    x = draw.standard_normal(shape).astype(np.float32)
    inputs = torch.tensor(x, requires_grad=True)
    y = windows_of(inputs, fields, -np.inf).max(-1).values
    dy = draw.standard_normal(y.shape).astype(np.float32)
    y.backward(torch.tensor(dy))
    assert inputs.grad is not None
    given = [TensorType(DType.FLOAT32, array.shape) for array in (x, dy)]
    op = WindowMaxGrad(**fields)
    (found,) = interpreted(
        lambda build, a, b: apply(build, op, a, b), given, [x, dy], tmp_path_factory.mktemp("bundle")
    )
    close(found, inputs.grad.numpy())


def test_ties_go_to_the_first_as_in_torch(tmp_path):
    x = torch.randint(0, 3, (2, 3, 9, 8), generator=torch.Generator().manual_seed(0)).float().requires_grad_()
    y = torch.nn.functional.max_pool2d(x, 3, 2, 1)
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    y.backward(dy)
    op = WindowMaxGrad(kernel=(1, 1, 3, 3), stride=(1, 1, 2, 2), padding=((0, 0), (0, 0), (1, 1), (1, 1)))
    given = [TensorType(DType.FLOAT32, tuple(tensor.shape)) for tensor in (x, dy)]
    arrays = [x.detach().numpy(), dy.numpy()]
    (found,) = interpreted(lambda build, a, b: apply(build, op, a, b), given, arrays, tmp_path)
    assert x.grad is not None
    close(found, x.grad.numpy())


def test_nan_wins(tmp_path):
    x = np.arange(6, dtype=np.float32)
    x[2] = np.nan
    op = WindowMax(kernel=(2,))
    (found,) = interpreted(lambda build, a: apply(build, op, a), types("float32[6]"), [x], tmp_path)
    np.testing.assert_array_equal(found, [1, np.nan, np.nan, 4, 5])


@pytest.mark.parametrize("size", [2, 9], ids=["unrolled", "looped"])
def test_a_pool_with_an_epilogue_is_one_kernel(tmp_path, size):
    def make(build, x, bias):
        y = fn.window_sum(x, (1, 1, size, size), (1, 1, 2, 2), ((0, 0), (0, 0), (1, 1), (1, 1)))
        return fn.maximum(y / float(size * size) + fn.along(bias, 4, 1), 0.0)

    given = types("float32[N, 5, H, 11]", "float32[5]")
    assert len(kernels(make, given)) == 1
    agrees(make, given, tmp_path, N=2, H=12)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int8", "uint8", "int64"])
def test_dtypes(tmp_path, dtype):
    def make(build, x):
        fields = {"kernel": (1, 3, 3, 1), "stride": (1, 2, 2, 1), "padding": ((0, 0), (1, 1), (1, 1), (0, 0))}
        return [apply(build, WindowMax(**fields), x), apply(build, WindowSum(**fields), x)]

    agrees(make, types(f"{dtype}[2, 7, 8, 5]"), tmp_path, slack=2)
