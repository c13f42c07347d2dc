"""Which models have an implementation in torch to measure beside, and what it must be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..backends.api import BackendError
from .model import Model

TORCH_PEERS = ("bert", "gpt2", "lenet5", "mlp", "resnet", "rnn", "vgg")
"""Documents of the zoo with a peer in `contenders.torch_peer`."""


def torch_peer_of(model: Model, entry: str) -> tuple[str, dict[str, Any]]:
    """The name of the peer and its args, from the args of the model. Raises BackendError if none is known."""
    name = str(model.loaded.document.name)
    if name not in TORCH_PEERS or model.loaded.zoo not in model.loaded.path.parents:
        raise BackendError(f"no torch implementation of {model.name} is known (there are: {', '.join(TORCH_PEERS)})")
    if entry != "main" or model.given:
        raise BackendError(f"the torch implementation of {model.name} has the entry main and no optional inputs")
    return name, _plain(model.lowered.args)


def _plain(args: Mapping[str, Any]) -> dict[str, Any]:
    """Args as JSON data; a block or an op is its name."""
    kept = (bool, int, float, str, list)
    return {key: value if isinstance(value, kept) else str(getattr(value, "name", "")) for key, value in args.items()}
