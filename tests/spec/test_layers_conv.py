"""Convolutions against torch.nn, and paddings against XLA, with random values everywhere, in float64."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from netwright.compiler.ir import symbol
from netwright.tests.spec.layers_built import Built, check, generator, randomize

N, H = symbol("N"), symbol("H")


CONVOLUTIONS: list[tuple[int, dict[str, Any]]] = [
    (1, {"kernel": 3}),
    (1, {"kernel": 4, "stride": 3, "padding": 2, "dilation": 2}),
    (1, {"kernel": 1, "bias": False}),
    (1, {"kernel": 3, "groups": 4}),
    (2, {"kernel": 3}),
    (2, {"kernel": 3, "padding": 1, "bias": False}),
    (2, {"kernel": 3, "stride": 2, "padding": 1}),
    (2, {"kernel": [3, 2], "stride": [2, 1], "padding": [1, 0], "dilation": [1, 3]}),
    (2, {"kernel": 3, "groups": 2, "filters": 6}),
    (2, {"kernel": 3, "groups": 4, "filters": 8, "padding": 1}),
    (2, {"kernel": 2, "groups": 4, "filters": 4, "stride": 2, "dilation": 2}),
    (2, {"kernel": 1, "stride": 2}),
    (2, {"kernel": 3, "padding": "valid"}),
    (2, {"kernel": 3, "padding": "same"}),
    (2, {"kernel": [2, 4], "padding": "same", "dilation": 2}),
    (3, {"kernel": 2}),
    (3, {"kernel": [1, 3, 2], "stride": [1, 2, 2], "padding": [0, 1, 1], "groups": 2, "dilation": [2, 1, 1]}),
    (3, {"kernel": 3, "padding": "same"}),
]
SIZES = {1: (17,), 2: (9, 11), 3: (5, 6, 7)}


def torch_fields(fields: dict[str, Any]) -> dict[str, Any]:
    renamed = {"kernel": "kernel_size"}
    return {renamed.get(k, k): tuple(v) if isinstance(v, list) else v for k, v in fields.items() if k != "filters"}


@pytest.mark.parametrize(("axes", "fields"), CONVOLUTIONS, ids=str)
def test_conv(axes: int, fields: dict[str, Any]) -> None:
    fields = {"filters": 4, **fields}
    module = getattr(torch.nn, f"Conv{axes}d")(4, fields["filters"], **torch_fields(fields))
    check(f"conv{axes}d", module, (2, 4, *SIZES[axes]), **fields)


TRANSPOSED: list[tuple[int, dict[str, Any]]] = [
    (1, {"kernel": 3}),
    (1, {"kernel": 4, "stride": 3, "padding": 1, "output_padding": 2, "dilation": 2}),
    (1, {"kernel": 3, "stride": 1, "dilation": 3, "output_padding": 2}),
    (2, {"kernel": 2, "stride": 2}),
    (2, {"kernel": 3, "stride": 2, "padding": 1, "output_padding": 1}),
    (2, {"kernel": 3, "padding": 2, "bias": False}),
    (2, {"kernel": [3, 4], "stride": [3, 2], "padding": [0, 2], "output_padding": [2, 0], "dilation": [1, 2]}),
    (2, {"kernel": 1, "stride": 3}),
    (2, {"kernel": 3, "stride": 2, "groups": 2, "filters": 6}),
    (2, {"kernel": 4, "stride": 2, "padding": 1, "groups": 4, "filters": 4}),
    (2, {"kernel": 3, "groups": 4, "filters": 12, "dilation": 2}),
    (3, {"kernel": 2, "stride": 2}),
    (3, {"kernel": [1, 3, 2], "stride": [1, 2, 3], "padding": [0, 1, 0], "output_padding": [0, 1, 2], "groups": 2}),
]


@pytest.mark.parametrize(("axes", "fields"), TRANSPOSED, ids=str)
def test_conv_transpose(axes: int, fields: dict[str, Any]) -> None:
    fields = {"filters": 4, **fields}
    module = getattr(torch.nn, f"ConvTranspose{axes}d")(4, fields["filters"], **torch_fields(fields))
    check(f"conv_transpose{axes}d", module, (2, 4, *SIZES[axes]), **fields)


@pytest.mark.parametrize(
    "padding, sides",
    [
        ([0, 0, 1, 1], (0, 1, 0, 1)),
        ([1, 2, 3, 0], (2, 0, 1, 3)),
        ([[1, 3], [2, 0]], (2, 0, 1, 3)),
        ([2, 0], (0, 0, 2, 2)),
    ],
)
def test_conv2d_padding_per_side(padding: list[Any], sides: tuple[int, int, int, int]) -> None:
    """``sides`` is (left, right, top, bottom), as torch's F.pad takes them."""
    module = torch.nn.Sequential(torch.nn.ZeroPad2d(sides), torch.nn.Conv2d(3, 4, 3, stride=2)).double()
    inner = randomize(module[1])
    x = generator().normal(size=(2, 3, 8, 9))
    built = Built("conv2d", x.shape, filters=4, kernel=3, stride=2, padding=padding)
    np.testing.assert_allclose(built.run(x, inner), module(torch.from_numpy(x)).detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation"), [(9, 3, 2, 1), (8, 3, 2, 1), (7, 2, 3, 1), (10, 3, 3, 2), (5, 1, 3, 1)]
)
def test_conv_padding_same_with_stride(size: int, kernel: int, stride: int, dilation: int) -> None:
    """TensorFlow's rule, which XLA has too."""
    x = generator().normal(size=(1, 2, size, size + 1)).astype(np.float32)
    weight = generator().normal(size=(3, 2, kernel, kernel)).astype(np.float32)
    wanted = np.asarray(
        jax.lax.conv_general_dilated(
            jnp.asarray(x), jnp.asarray(weight), (stride, stride), "SAME", rhs_dilation=(dilation, dilation)
        )
    )
    fields: dict[str, Any] = {
        "filters": 3,
        "kernel": kernel,
        "stride": stride,
        "padding": "same",
        "dilation": dilation,
        "bias": False,
    }
    built = Built("conv2d", x.shape, **fields)
    np.testing.assert_allclose(
        built.run(x.astype(float), {"weight": weight.astype(float)}), wanted, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(4, 2, 1), (3, 2, 1), (3, 1, 2), (1, 3, 1), (2, 3, 1)])
def test_conv_transpose_padding_same_undoes_a_convolution(kernel: int, stride: int, dilation: int) -> None:
    """A size becomes size * stride, and the layer is the gradient of the `same` convolution over the larger map."""
    size = 5
    window: dict[str, Any] = {
        "kernel": kernel,
        "stride": stride,
        "padding": "same",
        "dilation": dilation,
        "bias": False,
    }
    down = Built("conv1d", (1, 3, size * stride), filters=2, **window)
    up = Built("conv_transpose1d", (1, 2, size), filters=3, **window)
    assert up.result.shape == (1, 3, size * stride)
    weight = generator().normal(size=(2, 3, kernel))
    y, x = generator().normal(size=(1, 2, size)), generator().normal(size=(1, 3, size * stride))
    # <down(x), y> == <x, up(y)>
    left = np.sum(down.run(x, {"weight": weight}) * y)
    right = np.sum(x * up.run(y, {"weight": weight}))
    np.testing.assert_allclose(left, right, rtol=1e-10)


def test_conv_with_symbolic_sizes() -> None:
    built = Built("conv2d", (N, 3, 32 * H, 32 * H), filters=8, kernel=3, stride=2, padding="same")
    assert built.result.shape == (N, 8, 16 * H, 16 * H)
    module = torch.nn.Sequential(torch.nn.ZeroPad2d((0, 1, 0, 1)), torch.nn.Conv2d(3, 8, 3, stride=2)).double()
    parameters = randomize(module[1])
    x = generator().normal(size=(2, 3, 32, 32))
    wanted = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(built.run(x, parameters, N=2, H=1), wanted, rtol=1e-9)
    up = Built("conv_transpose2d", (N, 8, H, H), filters=3, kernel=2, stride=2)
    assert up.result.shape == (N, 3, 2 * H, 2 * H)
