"""What the tests of the zoo share: oracles' weights into files, models on the reference, comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from netwright.driver.build import Build, Weights, compile_model
from netwright.driver.model import load

torch.set_num_threads(1)  # tests run side by side

Net = TypeVar("Net", bound=nn.Module)

EXACT = 1e-9
"""Relative to the largest value: two right implementations in float64."""


def randomize(net: Net, seed: int = 0) -> Net:
    """Random values for every parameter and statistic, and float64: default first values hide mistaken wiring.

    The values are float32 numbers, so that a file of either width holds the same. Variances are positive.
    """
    generator = torch.Generator().manual_seed(seed)
    net = net.double().eval()
    with torch.no_grad():
        for name, tensor in [*net.named_parameters(), *net.named_buffers()]:
            if not tensor.is_floating_point():
                continue
            fan = max(1, tensor[0].numel() if tensor.ndim > 1 else 1)
            drawn = torch.randn(tensor.shape, generator=generator)
            if name.endswith("running_var"):
                drawn = drawn.abs() + 0.5
            elif tensor.ndim > 1:
                drawn = drawn / fan**0.5
            else:
                drawn = drawn * 0.2 + (1.0 if name.endswith("weight") else 0.0)
            tensor.copy_(drawn)
    return net


def save(net: nn.Module, path: Path) -> Path:
    """The weights of a module under its own names; a tensor known by two names is stored twice."""
    return save_state(net.state_dict(), path)


def save_state(state: Mapping[str, torch.Tensor], path: Path) -> Path:
    """Tensors as a safetensors file, floats in float32."""
    floats = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    save_file({key: value.contiguous().clone() for key, value in floats.items()}, path)
    return path


class Reference:
    """A model on the reference target, in float64, with the weights of a file or random ones."""

    def __init__(self, name: str | Path, weights: Path | None = None, given: tuple[str, ...] = (), **args: Any) -> None:
        model = load(name if isinstance(name, Path) else f"zoo:{name}", given=given, dtype="float64", **args)
        self.parameters = Weights(path=weights, everywhere=True).parameters(model)
        self.net = compile_model(model, Build("reference"), Weights(values=self.parameters))

    def __call__(self, entry: str = "main", /, **inputs: Any) -> dict[str, np.ndarray]:
        """The outputs of an entry; states are kept."""
        return self.net.run(entry, **inputs)


def error(got: Any, wanted: Any) -> float:
    """The largest difference, relative to the largest value that is wanted."""
    left = np.asarray(got, np.float64)
    right = np.asarray(wanted.detach() if isinstance(wanted, torch.Tensor) else wanted, np.float64)
    assert left.shape == right.shape, f"{left.shape} instead of {right.shape}"
    return float(np.abs(left - right).max(initial=0.0) / (np.abs(right).max(initial=0.0) or 1.0))


def random_ids(*shape: int, below: int, seed: int = 0) -> np.ndarray:
    """Whole numbers from 0 to below."""
    return np.random.default_rng(seed).integers(0, below, shape)


def random_floats(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal numbers in float32."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
