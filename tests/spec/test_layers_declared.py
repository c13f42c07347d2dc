"""What every layer declares: fields, parameters, sources, and first values within the bounds of torch."""

from __future__ import annotations

import pytest
import torch

from netwright.compiler.ir.init import Initializer
from netwright.compiler.ops import OPS
from netwright.spec.layers import FAMILIES, LAYERS, Layer
from netwright.spec.model.nodes import RESERVED_KEYS
from netwright.tests.spec.layers_built import Built, example


def test_every_layer_is_listed_once() -> None:
    assert len(LAYERS) == sum(len(family) for family in FAMILIES)
    assert all(name == layer.name for name, layer in LAYERS.items())
    assert not set(LAYERS) & set(OPS), "an op and a layer share a name"


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_declaration(layer: type[Layer]) -> None:
    assert not RESERVED_KEYS & set(layer.model_fields), "a field bears the name of a key of the language"
    assert layer.__doc__ and layer.__doc__ is not Layer.__doc__
    assert layer.source
    assert layer.owned
    undocumented = [key for key, field in layer.model_fields.items() if not field.description]
    assert not undocumented
    schema = layer.model_json_schema()
    assert all("description" in schema["properties"][key] for key in layer.model_fields)


@pytest.mark.parametrize("name", LAYERS)
def test_parameters_are_declared(name: str) -> None:
    built = example(name)
    assert set(built.specs) <= set(LAYERS[name].owned)
    for spec in built.specs.values():
        assert isinstance(spec.init, Initializer)
        assert spec.trainable == (not spec.name.startswith("running_"))


@pytest.mark.parametrize(
    ("name", "torch_layer"),
    [
        ("linear", torch.nn.Linear(4, 3)),
        ("conv2d", torch.nn.Conv2d(4, 4, 1)),
        ("conv_transpose2d", torch.nn.ConvTranspose2d(4, 4, 1)),
    ],
)
def test_first_values_stay_within_the_bound_of_torch(name: str, torch_layer: torch.nn.Module) -> None:
    """torch draws weight and bias from one bound, 1 / sqrt(fan in), which its own values approach."""
    built = example(name) if name != "linear" else Built(name, (2, 4), features=3)
    for spec in built.specs.values():
        bound = spec.init.fan_in**-0.5
        drawn = max(getattr(type(torch_layer)(*_sizes(torch_layer)), spec.name).abs().max().item() for _ in range(200))
        assert 0.9 * bound < drawn <= bound


def _sizes(layer: torch.nn.Module) -> tuple[int, ...]:
    return (4, 3) if isinstance(layer, torch.nn.Linear) else (4, 4, 1)
