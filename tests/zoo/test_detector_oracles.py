"""YOLO's first and eighth version beside plain torch: raw maps, boxes, suppression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .detection_oracles import suppress
from .running import EXACT, Reference, error, random_floats, randomize, save


def yolov1(width: int, hidden: int, grid: int, classes: int) -> nn.Sequential:
    """Redmon et al. (2016), figure 3."""
    layers: list[nn.Module] = []
    channels = 3

    def conv(filters: int, kernel: int, stride: int = 1) -> None:
        nonlocal channels
        layers.extend([nn.Conv2d(channels, filters, kernel, stride, kernel // 2), nn.LeakyReLU(0.1)])
        channels = filters

    def pool() -> None:
        layers.append(nn.MaxPool2d(2))

    w = width
    conv(w, 7, 2)
    pool()
    conv(3 * w, 3)
    pool()
    for filters, kernel in ((2 * w, 1), (4 * w, 3), (4 * w, 1), (8 * w, 3)):
        conv(filters, kernel)
    pool()
    for _ in range(4):
        conv(4 * w, 1)
        conv(8 * w, 3)
    conv(8 * w, 1)
    conv(16 * w, 3)
    pool()
    for _ in range(2):
        conv(8 * w, 1)
        conv(16 * w, 3)
    conv(16 * w, 3)
    conv(16 * w, 3, 2)
    conv(16 * w, 3)
    conv(16 * w, 3)
    last = [nn.Linear(16 * w * grid**2, hidden), nn.LeakyReLU(0.1), nn.Dropout()]
    return nn.Sequential(*layers, nn.Flatten(), *last, nn.Linear(hidden, grid**2 * (classes + 10)))


def decoded(raw: Tensor, grid: int, classes: int) -> tuple[Tensor, Tensor]:
    """darknet's layout, cell by cell: boxes in pixels, scores."""
    cells = grid**2
    kinds, sure, place = raw.split([cells * classes, cells * 2, cells * 8])
    boxes, scores = [], []
    for cell in range(cells):
        for box in range(2):
            x, y, w, h = place[(cell * 2 + box) * 4 :][:4]
            centre = (x + cell % grid) * 64, (y + cell // grid) * 64
            half = w**2 * grid * 32, h**2 * grid * 32
            boxes.append(
                torch.stack([centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1]])
            )
            scores.append(kinds[cell * classes :][:classes] * sure[cell * 2 + box])
    return torch.stack(boxes), torch.stack(scores)


def assert_kept(got: dict[str, np.ndarray], at: int, wanted: list[tuple[list[float], float, int]]) -> None:
    count = int(got["count"][at])
    assert count == len(wanted) > 0
    assert got["classes"][at, :count].tolist() == [kind for _, _, kind in wanted]
    assert error(got["scores"][at, :count], [score for _, score, _ in wanted]) < EXACT
    assert error(got["boxes"][at, :count], [box for box, _, _ in wanted]) < EXACT


def test_yolov1(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"width": 4, "hidden": 24, "grid": 3, "classes": 5}
    net = randomize(yolov1(**sizes))
    net[-1].bias.data.fill_(0.75)  # so that some scores pass
    image = random_floats(2, 3, 192, 192)
    raw = net(torch.tensor(image).double())
    got = Reference("yolov1", save(net, tmp_path / "w.safetensors"), **sizes)(image=image)
    assert error(got["raw"], raw) < EXACT
    for at in range(2):
        boxes, scores = decoded(raw[at].detach(), 3, 5)
        assert_kept(got, at, suppress(boxes, scores, iou=0.5, least=0.2, limit=20))


class Conv(nn.Module):
    """Convolution without bias, batch norm, SiLU."""

    def __init__(self, channels: int, filters: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(filters, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(self.bn(self.conv(x)))


class Bottleneck(nn.Module):
    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.cv1, self.cv2, self.shortcut = Conv(channels, channels), Conv(channels, channels), shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class Cross(nn.Module):
    """C2f."""

    def __init__(self, channels: int, filters: int, depth: int, shortcut: bool = False) -> None:
        super().__init__()
        half = filters // 2
        self.cv1 = Conv(channels, filters, 1)
        self.cv2 = Conv((2 + depth) * half, filters, 1)
        self.m = nn.ModuleList(Bottleneck(half, shortcut) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        maps = list(self.cv1(x).chunk(2, 1))
        for module in self.m:
            maps.append(module(maps[-1]))
        return self.cv2(torch.cat(maps, 1))


class Pyramid(nn.Module):
    """SPPF."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = Conv(channels, channels // 2, 1), Conv(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.cv1(x)]
        for _ in range(3):
            maps.append(functional.max_pool2d(maps[-1], 5, 1, 2))
        return self.cv2(torch.cat(maps, 1))


class Detect(nn.Module):
    """Two branches for each scale; a side of a box is the mean of a distribution over 16 distances."""

    def __init__(self, channels: list[int], classes: int) -> None:
        super().__init__()
        sides, kinds = max(16, channels[0] // 4, 64), max(channels[0], min(classes, 100))

        def branch(c: int, inner: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(Conv(c, inner), Conv(inner, inner), nn.Conv2d(inner, outputs, 1))

        self.cv2 = nn.ModuleList(branch(c, sides, 64) for c in channels)
        self.cv3 = nn.ModuleList(branch(c, kinds, classes) for c in channels)
        self.dfl = nn.ModuleDict({"conv": nn.Conv2d(16, 1, 1, bias=False)})

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        boxes, scores = [], []
        for at, (x, stride) in enumerate(zip(maps, (8, 16, 32), strict=True)):
            height, width = x.shape[2:]
            share = self.cv2[at](x).reshape(len(x), 4, 16, -1).softmax(2)
            left, top, right, bottom = self.dfl["conv"](share.transpose(1, 2))[:, 0].unbind(1)
            column = (torch.arange(width) + 0.5).repeat(height)
            row = (torch.arange(height) + 0.5).repeat_interleave(width)
            boxes.append(torch.stack([column - left, row - top, column + right, row + bottom], -1) * stride)
            scores.append(self.cv3[at](x).sigmoid().flatten(2).transpose(1, 2))
        return torch.cat(boxes, 1), torch.cat(scores, 1)


class Yolov8(nn.Module):
    """Keys as in ultralytics' files."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        w = width
        modules: dict[str, nn.Module] = {
            "0": Conv(3, w, 3, 2),
            "1": Conv(w, 2 * w, 3, 2),
            "2": Cross(2 * w, 2 * w, 1, True),
            "3": Conv(2 * w, 4 * w, 3, 2),
            "4": Cross(4 * w, 4 * w, 2, True),
            "5": Conv(4 * w, 8 * w, 3, 2),
            "6": Cross(8 * w, 8 * w, 2, True),
            "7": Conv(8 * w, 16 * w, 3, 2),
            "8": Cross(16 * w, 16 * w, 1, True),
            "9": Pyramid(16 * w),
            "12": Cross(24 * w, 8 * w, 1),
            "15": Cross(12 * w, 4 * w, 1),
            "16": Conv(4 * w, 4 * w, 3, 2),
            "18": Cross(12 * w, 8 * w, 1),
            "19": Conv(8 * w, 8 * w, 3, 2),
            "21": Cross(24 * w, 16 * w, 1),
            "22": Detect([4 * w, 8 * w, 16 * w], classes),
        }
        self.model = nn.ModuleDict(modules)

    def run(self, x: Tensor, *names: int) -> Tensor:
        for name in names:
            x = self.model[str(name)](x)
        return x

    def forward(self, x: Tensor) -> Any:
        def twice(y: Tensor) -> Tensor:
            return functional.interpolate(y, scale_factor=2)

        eighth = self.run(x, 0, 1, 2, 3, 4)
        sixteenth = self.run(eighth, 5, 6)
        deep = self.run(sixteenth, 7, 8, 9)
        middle = self.run(torch.cat([twice(deep), sixteenth], 1), 12)
        small = self.run(torch.cat([twice(middle), eighth], 1), 15)
        medium = self.run(torch.cat([self.run(small, 16), middle], 1), 18)
        large = self.run(torch.cat([self.run(medium, 19), deep], 1), 21)
        return self.model["22"]([small, medium, large])


def test_yolov8(tmp_path: Path) -> None:
    net = randomize(Yolov8(4, 5))
    image = random_floats(2, 3, 64, 96)
    sizes: dict[str, Any] = {"width": 4, "classes": 5, "limit": 50}
    got = Reference("yolov8n", save(net, tmp_path / "w.safetensors"), **sizes)(image=image)
    for at, (boxes, scores) in enumerate(zip(*net(torch.tensor(image).double()), strict=True)):
        assert_kept(got, at, suppress(boxes.detach(), scores.detach(), iou=0.7, least=0.25, limit=50))
