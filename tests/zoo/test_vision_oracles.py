"""Networks for pictures against plain torch, with weights under the key names of public files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from netwright.driver.model import load

from .running import EXACT, Reference, error, random_floats, randomize, save
from .vision_oracles import Basic, Bottleneck, GoogLeNet, ResNet, UNet, Vgg, lenet5


def agree(tmp_path: Path, name: str, net: nn.Module, output: str, image: np.ndarray, **args: Any) -> None:
    """The model with the weights of the oracle gives what the oracle gives."""
    path = save(randomize(net), tmp_path / "w.safetensors")
    got = Reference(name, path, **args)(image=image)[output]
    assert error(got, net(torch.tensor(image).double())) < EXACT


@pytest.mark.parametrize(("pool", "layer"), [("max", nn.MaxPool2d), ("avg", nn.AvgPool2d)])
def test_lenet5(tmp_path: Path, pool: str, layer: Any) -> None:
    agree(tmp_path, "lenet5", lenet5(layer), "probabilities", random_floats(3, 1, 32, 32), pool=pool)


@pytest.mark.parametrize(
    ("name", "depths"),
    [("vgg11", [1, 1, 2, 2, 2]), ("vgg13", [2] * 5), ("vgg16", [2, 2, 3, 3, 3]), ("vgg19", [2, 2, 4, 4, 4])],
)
def test_vgg(tmp_path: Path, name: str, depths: list[int]) -> None:
    net = Vgg(depths, 64, 8, 32)
    agree(tmp_path, name, net, "logits", random_floats(2, 3, 64, 64), size=64, width=8, hidden=32)


def test_vgg16_widths(tmp_path: Path) -> None:
    """All convolutions of full width; a picture so small that the first linear layer is, too."""
    agree(
        tmp_path, "vgg16", Vgg([2, 2, 3, 3, 3], 32, 64, 64), "logits", random_floats(1, 3, 32, 32), size=32, hidden=64
    )


@pytest.mark.parametrize(
    ("name", "unit", "depths"), [("resnet18", Basic, [2, 2, 2, 2]), ("resnet50", Bottleneck, [3, 4, 6, 3])]
)
def test_resnet(tmp_path: Path, name: str, unit: Any, depths: list[int]) -> None:
    agree(tmp_path, name, ResNet(unit, depths), "logits", random_floats(2, 3, 64, 48))


@pytest.mark.parametrize(
    ("name", "unit", "depths"),
    [
        ("resnet34", Basic, [3, 4, 6, 3]),
        ("resnet101", Bottleneck, [3, 4, 23, 3]),
        ("resnet152", Bottleneck, [3, 8, 36, 3]),
    ],
)
def test_resnet_keys(name: str, unit: Any, depths: list[int]) -> None:
    """The deeper ones differ in their number of blocks: key by key the same shapes."""
    with torch.device("meta"):
        net = ResNet(unit, depths)
    wanted = {key: tuple(value.shape) for key, value in net.state_dict().items() if "num_batches" not in key}
    got = {path: parameter.type.shape for path, parameter in load(f"zoo:{name}").program.parameters.items()}
    assert got == wanted


def test_resnet_of_the_paper(tmp_path: Path) -> None:
    """Strides in the first 1x1 convolutions: the same parameters, another function."""
    net = ResNet(Bottleneck, [1, 2, 1, 1], early=True)
    args = {"depths": [1, 2, 1, 1], "stride_in_1x1": True}
    agree(tmp_path, "resnet50", net, "logits", random_floats(2, 3, 64, 48), **args)


@pytest.mark.parametrize(("name", "padding", "sides"), [("unet", 0, (60, 68)), ("unet_same", 1, (16, 24))])
def test_unet(tmp_path: Path, name: str, padding: int, sides: tuple[int, int]) -> None:
    net = UNet(2, 8, padding)
    agree(tmp_path, name, net, "logits", random_floats(2, 1, *sides), depth=2, width=8)


def test_unet_depth(tmp_path: Path) -> None:
    """The four levels of the paper."""
    agree(tmp_path, "unet", UNet(4, 4), "logits", random_floats(1, 1, 188, 204), width=4)


def test_googlenet(tmp_path: Path) -> None:
    """A size whose pools have to round up."""
    agree(tmp_path, "googlenet", GoogLeNet(), "logits", random_floats(1, 3, 88, 88), size=88)
