"""Convolutional networks written plainly in torch, from their papers. Their key names are those of public files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def sequence(**layers: nn.Module) -> nn.Sequential:
    """Modules one after another, with names."""
    net = nn.Sequential()
    for name, layer in layers.items():
        net.add_module(name.lstrip("_"), layer)
    return net


def lenet5(pool: type[nn.MaxPool2d] | type[nn.AvgPool2d] = nn.MaxPool2d) -> nn.Sequential:
    """LeCun et al. (1998), with tanh, and pooling of either kind."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.Tanh(),
        pool(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        pool(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, 10),
        nn.Softmax(-1),
    )


class Vgg(nn.Module):
    """Simonyan, Zisserman (2015); keys as in torchvision's files."""

    def __init__(self, depths: Sequence[int], size: int = 224, width: int = 64, hidden: int = 4096) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for stage, depth in enumerate(depths):
            for _ in range(depth):
                filters = min(width * 2**stage, 8 * width)
                layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
                channels = filters
            layers.append(nn.MaxPool2d(2))
        side = size // 2 ** len(depths)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(channels * side * side, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, 1000),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))


class Basic(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    growth = 1

    def __init__(self, channels: int, width: int, stride: int, early: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = projection(channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 and a shortcut; ``early`` puts the stride into the first 1x1 convolution, as the paper does."""

    growth = 4

    def __init__(self, channels: int, width: int, stride: int, early: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, stride if early else 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1 if early else stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = projection(channels, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(functional.relu(self.bn2(self.conv2(y)))))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


def projection(channels: int, filters: int, stride: int) -> nn.Sequential | None:
    """The shortcut where shapes differ."""
    if stride == 1 and channels == filters:
        return None
    return nn.Sequential(nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))


class ResNet(nn.Module):
    """He et al. (2016); keys as in torchvision's files."""

    def __init__(self, unit: Any, depths: Sequence[int], early: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for stage, depth in enumerate(depths):
            blocks = []
            for at in range(depth):
                width = 64 * 2**stage
                blocks.append(unit(channels, width, 2 if stage > 0 and at == 0 else 1, early))
                channels = width * unit.growth
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.stages = len(depths)
        self.fc = nn.Linear(channels, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(self.stages):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        return self.fc(x.mean((2, 3)))


class UNet(nn.Module):
    """Ronneberger, Fischer, Brox (2015): valid convolutions, centre crops, the upsampled map first."""

    def __init__(self, depth: int = 4, width: int = 64, padding: int = 0) -> None:
        super().__init__()

        def double(channels: int, filters: int) -> nn.Sequential:
            first, second = (nn.Conv2d(c, filters, 3, padding=padding) for c in (channels, filters))
            return sequence(first=first, relu1=nn.ReLU(), second=second, relu2=nn.ReLU())

        widths = [width * 2**level for level in range(depth + 1)]
        self.down_conv = nn.ModuleList(map(double, [1, *widths[:-2]], widths[:-1]))
        self.middle_conv = double(widths[-2], widths[-1])
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up_sample = nn.ModuleList(sequence(up=nn.ConvTranspose2d(wide, slim, 2, 2)) for wide, slim in pairs)
        self.up_conv = nn.ModuleList(double(wide, slim) for wide, slim in pairs)
        self.final_conv = nn.Conv2d(width, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for down in self.down_conv:
            skips.append(down(x))
            x = functional.max_pool2d(skips[-1], 2)
        x = self.middle_conv(x)
        for up, conv in zip(self.up_sample, self.up_conv, strict=True):
            x, skip = up(x), skips.pop()
            top, left = ((a - b) // 2 for a, b in zip(skip.shape[2:], x.shape[2:], strict=True))
            x = conv(torch.cat([x, skip[:, :, top : top + x.shape[2], left : left + x.shape[3]]], 1))
        return self.final_conv(x)


MODULES = [
    (64, 96, 128, 16, 32, 32),
    (128, 128, 192, 32, 96, 64),
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
    (256, 160, 320, 32, 128, 128),
    (384, 192, 384, 48, 128, 128),
]
"""Szegedy et al. (2015), table 1: 1x1; before 3x3, 3x3; before 5x5, 5x5; behind the pool."""


class Inception(nn.Module):
    """Four branches side by side."""

    def __init__(self, channels: int, one: int, r3: int, three: int, r5: int, five: int, pool: int) -> None:
        super().__init__()

        def conv(channels: int, filters: int, kernel: int) -> list[nn.Module]:
            return [nn.Conv2d(channels, filters, kernel, padding=kernel // 2), nn.ReLU()]

        self.b1 = nn.Sequential(*conv(channels, one, 1))
        self.b3 = nn.Sequential(*conv(channels, r3, 1), *conv(r3, three, 3))
        self.b5 = nn.Sequential(*conv(channels, r5, 1), *conv(r5, five, 5))
        self.bp = nn.Sequential(nn.MaxPool2d(3, 1, 1), *conv(channels, pool, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.b1(x), self.b3(x), self.b5(x), self.bp(x)], 1)


class GoogLeNet(nn.Module):
    """Szegedy et al. (2015), without the classifiers that training adds."""

    def __init__(self) -> None:
        super().__init__()

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, 2, ceil_mode=True)

        def norm() -> nn.Module:
            return nn.LocalResponseNorm(5)

        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3), nn.ReLU(), pool(), norm(), nn.Conv2d(64, 64, 1), nn.ReLU(),
            nn.Conv2d(64, 192, 3, padding=1), nn.ReLU(), norm(), pool(),
        )  # fmt: skip
        layers: list[nn.Module] = []
        channels = 192
        for at, sizes in enumerate(MODULES):
            layers.append(Inception(channels, *sizes))
            channels = sizes[0] + sizes[2] + sizes[4] + sizes[5]
            if at in (1, 6):
                layers.append(pool())
        self.inc = nn.Sequential(*layers)
        self.fc = nn.Linear(channels, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.inc(self.stem(x)).mean((2, 3)))
