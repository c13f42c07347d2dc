"""Every layer by name. A family is a module with a tuple `LAYERS`; to add one, write the module and list it here."""

from __future__ import annotations

from . import activation, conv, embedding, linear, normalize, radial
from .base import Layer, ParameterSpec

FAMILIES: tuple[tuple[type[Layer], ...], ...] = (
    linear.LAYERS,
    conv.LAYERS,
    embedding.LAYERS,
    normalize.LAYERS,
    activation.LAYERS,
    radial.LAYERS,
)


def _by_name() -> dict[str, type[Layer]]:
    found: dict[str, type[Layer]] = {}
    for layer in (layer for family in FAMILIES for layer in family):
        if layer.name in found:
            raise ValueError(f"two layers are called {layer.name}")
        found[layer.name] = layer
    return found


LAYERS: dict[str, type[Layer]] = _by_name()

__all__ = ["FAMILIES", "LAYERS", "Layer", "ParameterSpec"]
