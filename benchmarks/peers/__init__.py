"""The models of the benchmark written for torch, as one would without us, under the key names of our zoo.

Imports torch: only processes that run or export a peer import this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from .sequences import Bert, Gpt2
from .vision import ResNet, Vgg, lenet5

PEERS: dict[str, Callable[..., nn.Module]] = {
    "bert": Bert,
    "gpt2": Gpt2,
    "lenet5": lenet5,
    "lstm": lambda **args: nn.LSTM(**args, batch_first=True),
    "resnet": ResNet,
    "vgg": Vgg,
}
"""Constructors by the name of the zoo's document."""

COUNTER = "num_batches_tracked"
"""What torch's batch norm keeps for training; other frameworks' files lack it."""


def build(name: str, args: Mapping[str, Any], weights: Path) -> nn.Module:
    """A peer for inference, with the weights of a safetensors file: every key is accounted for.

    Raises RuntimeError if keys or shapes differ.
    """
    net = PEERS[name](**args).eval()
    tensors = load_file(weights)
    counters = {key: value for key, value in net.state_dict().items() if key.endswith(COUNTER)}
    net.load_state_dict({**counters, **tensors}, strict=True)
    return net.requires_grad_(False)


def flat(result: Any) -> list[Tensor]:
    """The tensors that a module returned, in order."""
    if isinstance(result, torch.Tensor):
        return [result]
    return [tensor for part in result for tensor in flat(part)]
