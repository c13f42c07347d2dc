"""Neurons, gates and layers in a row against plain arithmetic and torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from .running import EXACT, Reference, error, random_floats, randomize, save


def sequential(sizes: list[int], *activations: nn.Module) -> nn.Sequential:
    """Linear layers, an activation behind each."""
    layers: list[nn.Module] = []
    for features, outputs, activation in zip(sizes, sizes[1:], activations, strict=False):
        layers += [nn.Linear(features, outputs), activation]
    return nn.Sequential(*layers)


@pytest.mark.parametrize(
    ("name", "net", "args"),
    [
        ("xor_mlp", sequential([2, 2, 1], nn.Tanh(), nn.Sigmoid()), {}),
        ("xor_mlp", sequential([2, 4, 1], nn.Tanh(), nn.Sigmoid()), {"hidden": 4}),
        ("mlp", sequential([784, 16, 16, 10], nn.Sigmoid(), nn.Sigmoid(), nn.Sigmoid()), {}),
        ("mlp", sequential([3, 10], nn.ReLU()), {"features": 3, "hidden": [], "activation": "relu"}),
        (
            "mlp",
            sequential([3, 9, 8, 7, 10], *[nn.Tanh()] * 4),
            {"features": 3, "hidden": [9, 8, 7], "activation": "tanh"},
        ),
    ],
)
def test_layers_in_a_row(tmp_path: Path, name: str, net: nn.Module, args: dict[str, Any]) -> None:
    path = save(randomize(net), tmp_path / "w.safetensors")
    x = random_floats(7, next(net.parameters()).shape[1])
    assert error(Reference(name, path, **args)(x=x)["y"], net(torch.tensor(x).double())) < EXACT


def test_ann(tmp_path: Path) -> None:
    net = randomize(nn.Linear(4, 3))
    reference = Reference("ann", save(net, tmp_path / "w.safetensors"))
    x = random_floats(5, 4)
    assert error(reference(x=x)["y"], net(torch.tensor(x).double()).softmax(-1)) < EXACT


@pytest.mark.parametrize("function", ["gaussian", "multiquadric"])
def test_rbf(tmp_path: Path, function: str) -> None:
    """Broomhead, Lowe (1988): a sum of functions of the distances from the centres."""
    x, centers, out = random_floats(5, 2), random_floats(7, 2, seed=1), random_floats(1, 7, seed=2)
    widths, bias = np.abs(random_floats(7, seed=3)) + 0.5, random_floats(1, seed=4)
    state = {"hidden.centers": centers, "hidden.widths": widths, "out.weight": out, "out.bias": bias}
    save_file({key: value.astype(np.float32) for key, value in state.items()}, tmp_path / "w.safetensors")
    distance = np.sqrt(((x[:, None] - centers) ** 2).sum(-1))
    kept = np.exp(-(distance**2) / (2 * widths**2)) if function == "gaussian" else np.sqrt(distance**2 + widths**2)
    got = Reference("rbf", tmp_path / "w.safetensors", units=7, function=function)(x=x)["y"]
    assert error(got, kept @ out.T + bias) < 1e-6  # the file holds float32


def test_ffnn(tmp_path: Path) -> None:
    """The network that is written out by hand: two hidden units, six weights, no bias."""
    np.random.seed(0)
    w1, w2, w3, w4, w5, w6 = np.random.randn(6)
    weights = {"0.weight": np.array([[w1, w2], [w3, w4]]), "0.bias": np.zeros(2)}
    weights |= {"2.weight": np.array([[w5, w6]]), "2.bias": np.zeros(1)}
    save_file(weights, tmp_path / "w.safetensors")

    def sigmoid(x: float) -> float:
        return float(1 / (1 + np.exp(-x)))

    for a, b in ((2.0, 3.0), (-1.0, 0.5)):
        h1, h2 = sigmoid(w1 * a + w2 * b), sigmoid(w3 * a + w4 * b)
        got = Reference("ffnn", tmp_path / "w.safetensors")(x=np.array([[a, b]]))
        assert error(got["y"], [[sigmoid(w5 * h1 + w6 * h2)]]) < EXACT


def test_perceptron(tmp_path: Path) -> None:
    """It fires from zero on."""
    save_file({"weight": np.array([[1.0, -2.0]]), "bias": np.array([0.5])}, tmp_path / "w.safetensors")
    x = np.array([[1.5, 1.0], [1.4, 1.0], [0.0, 0.0], [0.0, 1.0]])
    got = Reference("perceptron", tmp_path / "w.safetensors")(x=x)
    assert got["fires"].tolist() == [[1.0], [0.0], [1.0], [0.0]]


@pytest.mark.parametrize("threshold", [-1, 0, 1, 2, 3])
def test_threshold(threshold: int) -> None:
    """Three signed inputs, all combinations: it fires when the sum reaches the threshold."""
    signs = [1, -1, 1]
    rows = np.array([[float(row >> at & 1) for at in range(3)] for row in range(8)])
    got = Reference("mcculloch_pitts", signs=signs, threshold=threshold)(x=rows)
    assert got["fires"].tolist() == [float(row @ np.array(signs) >= threshold) for row in rows]
