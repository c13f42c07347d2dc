"""What is measured: models of the zoo at the sizes that people quote, and the same ones in torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """A model of the zoo, the ``sizes`` of its inputs, and its ``peer`` in torch.

    ``args`` are those of the spec, ``peer_args`` those of the peer's constructor. ``outputs`` are compared, in this
    order, with the peer's first ones.
    """

    name: str
    what: str
    zoo: str
    peer: str
    sizes: Mapping[str, int]
    outputs: tuple[str, ...]
    args: Mapping[str, Any] = field(default_factory=dict)
    peer_args: Mapping[str, Any] = field(default_factory=dict)


_PICTURE = {"N": 1, "H": 224, "W": 224}

CASES: tuple[Case, ...] = (
    Case("lenet5", "image 32 x 32", "lenet5", "lenet5", {"N": 1}, ("probabilities",)),
    Case(
        "vgg16", "image 224 x 224", "vgg16", "vgg", {"N": 1}, ("logits",),
        peer_args={"depths": [2, 2, 3, 3, 3]},
    ),
    Case(
        "resnet50", "image 224 x 224", "resnet50", "resnet", _PICTURE, ("logits",),
        peer_args={"depths": [3, 4, 6, 3]},
    ),
    Case("bert_base", "128 tokens", "bert_base", "bert", {"N": 1, "T": 128}, ("hidden_states", "pooled")),
    Case(
        "lstm", "100 steps, 32 features, 1 layer of 64", "lstm", "lstm", {"N": 1, "T": 100}, ("y",),
        peer_args={"input_size": 32, "hidden_size": 64, "num_layers": 1},
    ),
    Case(
        "lstm_large", "100 steps, 512 features, 2 layers of 1024", "lstm", "lstm", {"N": 1, "T": 100}, ("y",),
        args={"features": 512, "hidden": 1024, "layers": 2},
        peer_args={"input_size": 512, "hidden_size": 1024, "num_layers": 2},
    ),
)  # fmt: skip

ON_GPU: tuple[Case, ...] = (
    Case("gpt2", "128 tokens", "gpt2", "gpt2", {"N": 1, "T": 128}, ("logits",)),
)  # fmt: skip
"""Cases that are worth their minutes on a GPU only."""

_TINY_BERT = {"depth": 2, "width": 64, "heads": 4, "hidden": 128, "vocabulary": 500}

SMALL: tuple[Case, ...] = (
    CASES[0],
    Case(
        "vgg16", "image 32 x 32, 8 channels", "vgg16", "vgg", {"N": 1}, ("logits",),
        args={"size": 32, "width": 8, "hidden": 64},
        peer_args={"depths": [2, 2, 3, 3, 3], "size": 32, "width": 8, "hidden": 64},
    ),
    Case(
        "resnet50", "image 64 x 64, 1 unit per stage", "resnet50", "resnet", {"N": 1, "H": 64, "W": 64}, ("logits",),
        args={"depths": [1, 1, 1, 1]}, peer_args={"depths": [1, 1, 1, 1]},
    ),
    Case(
        "bert_base", "16 tokens, 2 layers of 64", "bert_base", "bert", {"N": 1, "T": 16}, ("hidden_states", "pooled"),
        args=_TINY_BERT, peer_args=_TINY_BERT,
    ),
    Case(
        "lstm", "10 steps, 32 features, 1 layer of 64", "lstm", "lstm", {"N": 1, "T": 10}, ("y",),
        peer_args={"input_size": 32, "hidden_size": 64, "num_layers": 1},
    ),
)  # fmt: skip
"""The same in small, to try the benchmark itself."""
