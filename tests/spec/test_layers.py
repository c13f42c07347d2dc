"""Products, tables, activations and radial units against torch.nn, with random values everywhere, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from netwright.compiler.ir import DType, symbol
from netwright.tests.spec.layers_built import Built, check, generator, randomize

N, H = symbol("N"), symbol("H")


@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 3, 5), (2, 1, 3, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape: tuple[int, ...], bias: bool) -> None:
    check("linear", torch.nn.Linear(5, 7, bias=bias), shape, features=7, bias=bias)


def test_linear_keeps_symbolic_sizes() -> None:
    built = Built("linear", (N, H, 5), features=3)
    assert built.result.shape == (N, H, 3)
    assert not built.build.shapes.guards


@pytest.mark.parametrize("dtype", [DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32])
def test_linear_keeps_the_dtype(dtype: DType) -> None:
    assert Built("linear", (4, 5), dtype, features=3).result.dtype is dtype


@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
@pytest.mark.parametrize("dtype", [DType.INT64, DType.INT32])
def test_embedding(shape: tuple[int, ...], dtype: DType) -> None:
    module = torch.nn.Embedding(6, 5).double()
    parameters = randomize(module)
    ids = np.asarray(generator().integers(0, 6, size=shape), dtype.numpy)
    built = Built("embedding", shape, dtype, rows=6, features=5)
    wanted = module(torch.from_numpy(ids)).detach().numpy()
    np.testing.assert_array_equal(built.run(ids, parameters), wanted)


@pytest.mark.parametrize(("channels", "shape"), [(1, ()), (1, (5,)), (1, (2, 3, 4)), (3, (2, 3)), (3, (2, 3, 4, 5))])
def test_prelu(channels: int, shape: tuple[int, ...]) -> None:
    check("prelu", torch.nn.PReLU(channels), shape, channels=channels)


@pytest.mark.parametrize("function", ["gaussian", "multiquadric"])
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_rbf(function: str, shape: tuple[int, ...]) -> None:
    random = generator()
    x, centers, widths = random.normal(size=shape), random.normal(size=(6, 4)), random.uniform(0.5, 2, size=6)
    flat = torch.from_numpy(x).reshape(-1, 4)
    distance = torch.cdist(flat, torch.from_numpy(centers), compute_mode="donot_use_mm_for_euclid_dist").numpy()
    gaussian = np.exp(-(distance**2) / (2 * widths**2))
    wanted = gaussian if function == "gaussian" else np.hypot(distance, widths)
    built = Built("rbf", shape, units=6, function=function)
    assert built.result.shape == (*shape[:-1], 6)
    result = built.run(x, {"centers": centers, "widths": widths})
    np.testing.assert_allclose(result, wanted.reshape(*shape[:-1], 6), rtol=1e-10)
