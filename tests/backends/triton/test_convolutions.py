"""Convolutions of the Triton target against torch: every field at random, both layouts, epilogues."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netwright.compiler.ir import DType, TensorType
from netwright.compiler.ops import functional as fn
from netwright.compiler.ops.channels_last import ConvChannelsLast, kernel_to_last, to_first, to_last
from netwright.compiler.ops.contract import Conv
from netwright.compiler.ops.samples import types
from netwright.compiler.ops.tensor import apply

from ..comparing import close
from .interpreting import agrees, interpreted, kernels

pytestmark = pytest.mark.usefixtures("interpreter")
CONVOLVE = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d, 3: torch.nn.functional.conv3d}


@st.composite
def convolutions(draw):
    """Shapes and fields of a convolution of at most a few thousand elements."""
    rank = draw(st.integers(1, 3))
    few = st.sampled_from([1, 1, 2, 3])
    groups = draw(few)
    channels, filters = draw(st.sampled_from([1, 2, 16, 20])), draw(st.sampled_from([1, 2, 17]))
    fields = {"groups": groups}
    fields["stride"], fields["window_dilation"], fields["input_dilation"] = (
        tuple(draw(few) for _ in range(rank)) for _ in range(3)
    )
    fields["padding"] = tuple((draw(st.integers(-1, 3)), draw(st.integers(-1, 3))) for _ in range(rank))
    size, kernel = (tuple(draw(st.integers(1, most)) for _ in range(rank)) for most in (6, 3))
    for k in range(rank):
        low, high = fields["padding"][k]
        spread = (size[k] - 1) * fields["input_dilation"][k] + 1
        assume(spread + low + high >= (kernel[k] - 1) * fields["window_dilation"][k] + 1)
        assume(spread + min(low, 0) + min(high, 0) >= 1)
    return (draw(st.integers(1, 2)), groups * channels, *size), (groups * filters, channels, *kernel), fields


def convolved(x, w, fields):
    """What torch says, which knows no input dilation and no uneven padding: those are done by hand."""
    steps = fields["input_dilation"]
    spread = np.zeros([*x.shape[:2], *((n - 1) * s + 1 for n, s in zip(x.shape[2:], steps, strict=True))])
    spread[(slice(None), slice(None), *(slice(None, None, s) for s in steps))] = x
    pads = [side for pair in reversed(fields["padding"]) for side in pair]
    padded = torch.nn.functional.pad(torch.tensor(spread), pads)
    convolve = CONVOLVE[len(steps)]
    return convolve(
        padded,
        torch.tensor(w.astype(np.float64)),
        stride=fields["stride"],
        dilation=fields["window_dilation"],
        groups=fields["groups"],
    ).numpy()


@settings(max_examples=30, deadline=None)
@given(convolutions(), st.booleans())
def test_any_convolution(tmp_path_factory, case, last):
    x_shape, w_shape, fields = case
    draw = np.random.default_rng(0)
    x, w = (draw.standard_normal(shape).astype(np.float32) for shape in (x_shape, w_shape))
    wanted = convolved(x, w, fields)
    op = ConvChannelsLast(**fields) if last else Conv(**fields)
    if last:
        x, w = x.transpose(to_last(x.ndim)).copy(), w.transpose(kernel_to_last(w.ndim)).copy()
    given = [TensorType(DType.FLOAT32, array.shape) for array in (x, w)]
    folder = tmp_path_factory.mktemp("bundle")
    (found,) = interpreted(lambda build, a, b: apply(build, op, a, b), given, [x, w], folder)
    close(found.transpose(to_first(found.ndim)) if last else found, wanted)


@pytest.mark.parametrize(("channels", "filters"), [(16, 16), (24, 5), (3, 40), (70, 3)])
def test_sizes_of_the_run(tmp_path, channels, filters):
    def make(build, x, w):
        return fn.conv(x, w, padding=((1, 1), (1, 1)), stride=(2, 1))

    agrees(
        make, types(f"float32[N, {channels}, H, W]", f"float32[{filters}, {channels}, 3, 3]"), tmp_path, N=2, H=7, W=5
    )


def test_a_transposed_convolution_of_the_runs_sizes(tmp_path):
    def make(build, x, w):
        return fn.conv(x, w, padding=((2, 1), (2, 1)), input_dilation=(2, 3))

    agrees(make, types("float32[N, 20, H, W]", "float32[6, 20, 4, 3]"), tmp_path, N=2, H=4, W=5)


def block(build, x, w, scale, shift, rest):
    """Convolution, batch normalisation, residual and activation."""
    y = fn.conv(x, w, padding=((1, 1), (1, 1)), groups=x.shape[1] // w.shape[1])
    y = y * fn.along(scale, 4, 1) + fn.along(shift, 4, 1) + rest
    return fn.maximum(y, 0.0)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("channels", [20, 1], ids=["dense", "depthwise"])
def test_a_block_is_one_kernel(tmp_path, dtype, channels):
    given = types(
        f"{dtype}[2, 20, 7, 6]",
        f"{dtype}[20, {channels}, 3, 3]",
        f"{dtype}[20]",
        f"{dtype}[20]",
        f"{dtype}[2, 20, 7, 6]",
    )
    assert len(kernels(block, given)) == 1
    agrees(block, given, tmp_path, slack=2)


def test_pointwise_and_transposed_convolutions_take_an_epilogue(tmp_path):
    def make(build, x, w, v, bias):
        y = fn.maximum(fn.conv(x, w, stride=(2, 1)) + fn.along(bias, 4, 1), 0.0)
        return fn.maximum(fn.conv(y, v, padding=((1, 1), (1, 1)), input_dilation=(2, 2)) + 1.0, 0.0)

    given = types("float32[2, 20, 8, 5]", "float32[9, 20, 1, 1]", "float32[7, 9, 3, 3]", "float32[9]")
    assert len(kernels(make, given)) == 2
    agrees(make, given, tmp_path)


def test_channels_shuffled_behind_a_convolution(tmp_path):
    def make(build, x, w, bias):
        y = fn.conv(x, w).reshape(2, 3, 2, 2, 5, 4) + fn.broadcast(bias, (2, 3, 2, 2, 5, 4), (1, 3))
        return fn.maximum(fn.transpose(y, (0, 1, 4, 2, 5, 3)), 0.0)

    agrees(make, types("float32[2, 20, 7, 6]", "float32[12, 20, 3, 3]", "float32[3, 2]"), tmp_path)


def test_windows_that_see_padding_only(tmp_path):
    def make(build, x, w):
        return fn.conv(x, w, padding=((5, 5),))

    agrees(make, types("float32[1, 3, 2]", "float32[4, 3, 2]"), tmp_path)


@pytest.mark.parametrize("groups", [1, 2])
def test_few_points_with_many_channels_are_split(tmp_path, groups):
    def make(build, x, w, bias):
        y = fn.conv(x, w, padding=((1, 1), (1, 1)), groups=groups)
        return fn.maximum(y + fn.along(bias, 4, 1), 0.0)

    given = types(f"float32[1, {192 * groups}, 4, 3]", f"float32[{10 * groups}, 192, 3, 3]", f"float32[{10 * groups}]")
    assert [kernel.name for kernel in kernels(make, given)] == ["k0_conv", "k1_sum"]
    agrees(make, given, tmp_path)
