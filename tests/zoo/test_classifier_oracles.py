"""Classifiers of pictures beside plain torch, written from their papers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from .running import random_floats
from .test_vision_oracles import agree


def tiny_vgg() -> nn.Sequential:
    """Wang et al. (2020)."""

    def conv(channels: int) -> list[nn.Module]:
        return [nn.Conv2d(channels, 10, 3), nn.ReLU()]

    first = [*conv(3), *conv(10), nn.MaxPool2d(2)]
    second = [*conv(10), *conv(10), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(1690, 10), nn.Softmax(-1))


def test_cnn(tmp_path: Path) -> None:
    agree(tmp_path, "cnn", tiny_vgg(), "probabilities", random_floats(2, 3, 64, 64))


class Neighbours(nn.Module):
    """Krizhevsky et al. (2012), 3.3, as it stands there: the sum is not divided by the number of neighbours."""

    def forward(self, x: Tensor) -> Tensor:
        squares = functional.pad(x * x, (0, 0, 0, 0, 2, 2))
        total = sum(squares[:, at : at + x.shape[1]] for at in range(5))
        return x / (2 + 1e-4 * total) ** 0.75


def alexnet(width: int, hidden: int, side: int, groups: int) -> nn.Sequential:
    """One tower, or two that meet in the third convolution."""
    wide, flat = 8 * width // 3, 8 * width // 3 * side * side
    return nn.Sequential(
        nn.Conv2d(3, width, 11, 4),
        nn.ReLU(),
        Neighbours(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(width, wide, 5, padding=2, groups=groups),
        nn.ReLU(),
        Neighbours(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(wide, 4 * width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4 * width, 4 * width, 3, padding=1, groups=groups),
        nn.ReLU(),
        nn.Conv2d(4 * width, wide, 3, padding=1, groups=groups),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(flat, hidden),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, 1000),
    )


@pytest.mark.parametrize(("groups", "size", "side"), [(1, 67, 1), (2, 99, 2)])
def test_alexnet(tmp_path: Path, groups: int, size: int, side: int) -> None:
    net = alexnet(width=12, hidden=20, side=side, groups=groups)
    args: dict[str, Any] = {"width": 12, "hidden": 20, "size": size, "groups": groups}
    agree(tmp_path, "alexnet", net, "logits", random_floats(2, 3, size, size), **args)


class Squeeze(nn.Module):
    """Hu, Shen, Sun (2018), 3.1 and 3.2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 16, 1)
        self.fc2 = nn.Conv2d(channels // 16, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(functional.relu(self.fc1(means))))


class Unit(nn.Module):
    """A bottleneck whose channels are weighed before the sum."""

    def __init__(self, channels: int, width: int, stride: int, wide: bool, kernel: int, early: bool = True) -> None:
        super().__init__()
        a, b, groups = (2 * width, 4 * width, 64) if wide else (width, width, 1)
        first, second = (stride, 1) if early and not wide else (1, stride)
        self.conv1, self.bn1 = nn.Conv2d(channels, a, 1, first, bias=False), nn.BatchNorm2d(a)
        self.conv2 = nn.Conv2d(a, b, 3, second, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(b)
        self.conv3, self.bn3 = nn.Conv2d(b, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.se_module = Squeeze(4 * width)
        self.downsample: nn.Module | None = None
        if stride > 1 or channels != 4 * width:
            conv = nn.Conv2d(channels, 4 * width, kernel, stride, kernel // 2, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.se_module(self.bn3(self.conv3(y)))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class SENet(nn.Module):
    """Keys as in timm's files of the authors' weights."""

    def __init__(self, depths: list[int], wide: bool = False, early: bool = True) -> None:
        super().__init__()
        self.layer0 = nn.Sequential()
        plan = [(3, 64, 3, 2), (64, 64, 3, 1), (64, 128, 3, 1)] if wide else [(3, 64, 7, 2)]
        for at, (channels, filters, kernel, stride) in enumerate(plan, 1):
            conv = nn.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=False)
            self.layer0.add_module(f"conv{at}", conv)
            self.layer0.add_module(f"bn{at}", nn.BatchNorm2d(filters))
            self.layer0.add_module(f"relu{at}", nn.ReLU())
        self.layer0.add_module("pool", nn.MaxPool2d(3, 2, ceil_mode=True))
        channels = plan[-1][1]
        for stage, depth in enumerate(depths):
            units = []
            for at in range(depth):
                stride = 2 if stage and not at else 1
                units.append(Unit(channels, 64 * 2**stage, stride, wide, 3 if wide and stage else 1, early))
                channels = 256 * 2**stage
            self.add_module(f"layer{stage + 1}", nn.Sequential(*units))
        self.last_linear = nn.Linear(channels, 1000)

    def forward(self, x: Tensor) -> Tensor:
        for name, layer in self.named_children():
            x = layer(x) if name != "last_linear" else layer(x.mean((2, 3)))
        return x


@pytest.mark.parametrize("early", [True, False], ids=["paper", "v1.5"])
def test_seresnet(tmp_path: Path, early: bool) -> None:
    net = SENet([1, 2, 1, 1], early=early)
    args: dict[str, Any] = {"depths": [1, 2, 1, 1], "stride_in_1x1": early}
    agree(tmp_path, "seresnet50", net, "logits", random_floats(2, 3, 65, 50), **args)


def test_senet154(tmp_path: Path) -> None:
    net = SENet([1, 2, 1, 1], wide=True)
    agree(tmp_path, "senet154", net, "logits", random_floats(1, 3, 64, 48), depths=[1, 2, 1, 1])
