"""Trained weights that come along: a file beside a document of the zoo, with its name."""

from __future__ import annotations

from pathlib import Path

from ..spec.weights.errors import WeightsError
from ..spec.zoo_index import PREFIX, ZOO, zoo_names
from .model import Model

SHIPPED = "zoo"
"""What is said instead of a path: the weights that come along with the model. A folder of that name is ``./zoo``."""


def comes_with_weights(model: Model) -> bool:
    """Whether trained weights come along."""
    loaded = model.loaded
    return loaded.root == ZOO.resolve() and _beside(loaded.path, loaded.variant).is_file()


def shipped_path(model: Model) -> Path:
    """The file of the weights that come along with a model of the zoo. Raises `WeightsError` if there are none."""
    if comes_with_weights(model):
        return _beside(model.loaded.path, model.loaded.variant)
    raise WeightsError(f"no weights come along with {model.name}; they do with {', '.join(shipped_names())}")


def shipped_names() -> list[str]:
    """The names of the zoo whose weights come along, as ``zoo:NAME``."""
    return [PREFIX + name for name, (entry, *_) in zoo_names().items() if _beside(entry.path, entry.variant).is_file()]


def _beside(path: Path, variant: str | None) -> Path:
    return path.with_name(f"{variant or path.stem}.safetensors")
