"""YOLOv3 written plainly in torch, from its paper and darknet's layers; keys as in ultralytics' files of that net."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

ANCHORS = [[(10, 13), (16, 30), (33, 23)], [(30, 61), (62, 45), (59, 119)], [(116, 90), (156, 198), (373, 326)]]


class Conv(nn.Module):
    """Convolution without bias, batch norm, leaky ReLU."""

    def __init__(self, channels: int, filters: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(filters)

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(self.bn(self.conv(x)), 0.1)


class Pair(nn.Module):
    """1x1 to half the channels and 3x3, with or without a shortcut."""

    def __init__(self, channels: int, filters: int, shortcut: bool = True) -> None:
        super().__init__()
        self.cv1 = Conv(channels, filters // 2, 1)
        self.cv2 = Conv(filters // 2, filters, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class Heads(nn.Module):
    """The last convolution of each scale."""

    def __init__(self, channels: list[int], classes: int) -> None:
        super().__init__()
        self.m = nn.ModuleList(nn.Conv2d(c, 3 * (5 + classes), 1) for c in channels)


class Yolo(nn.Module):
    """Redmon, Farhadi (2018). Gives boxes (left, top, right, bottom) and a score for each class, before suppression."""

    def __init__(self, classes: int = 80, width: int = 32) -> None:
        super().__init__()
        w, self.classes = width, classes
        pairs = [
            nn.Sequential(*(Pair(c, c) for _ in range(n)))
            for n, c in ((2, 4 * w), (8, 8 * w), (8, 16 * w), (4, 32 * w))
        ]
        self.model = nn.ModuleDict(
            {
                "0": Conv(3, w, 3),
                "1": Conv(w, 2 * w, 3, 2),
                "2": Pair(2 * w, 2 * w),
                "3": Conv(2 * w, 4 * w, 3, 2),
                "4": pairs[0],
                "5": Conv(4 * w, 8 * w, 3, 2),
                "6": pairs[1],
                "7": Conv(8 * w, 16 * w, 3, 2),
                "8": pairs[2],
                "9": Conv(16 * w, 32 * w, 3, 2),
                "10": pairs[3],
                "11": Pair(32 * w, 32 * w, False),
                "12": Conv(32 * w, 16 * w, 1),
                "13": Conv(16 * w, 32 * w, 3),
                "14": Conv(32 * w, 16 * w, 1),
                "15": Conv(16 * w, 32 * w, 3),
                "16": Conv(16 * w, 8 * w, 1),
                "19": Pair(24 * w, 16 * w, False),
                "20": Pair(16 * w, 16 * w, False),
                "21": Conv(16 * w, 8 * w, 1),
                "22": Conv(8 * w, 16 * w, 3),
                "23": Conv(8 * w, 4 * w, 1),
                "26": Pair(12 * w, 8 * w, False),
                "27": nn.Sequential(Pair(8 * w, 8 * w, False), Pair(8 * w, 8 * w, False)),
                "28": Heads([8 * w, 16 * w, 32 * w], classes),
            }
        )

    def run(self, x: Tensor, *names: int) -> Tensor:
        for name in names:
            x = self.model[str(name)](x)
        return x

    def maps(self, x: Tensor) -> list[Tensor]:
        """The raw map of each scale, finest first; computed in darknet's order, coarsest first."""
        heads: Any = self.model["28"].m
        eighth = self.run(x, 0, 1, 2, 3, 4, 5, 6)
        sixteenth = self.run(eighth, 7, 8)
        turn = self.run(sixteenth, 9, 10, 11, 12, 13, 14)
        large = heads[2](self.run(turn, 15))
        turn = self.run(
            torch.cat([functional.interpolate(self.run(turn, 16), scale_factor=2), sixteenth], 1), 19, 20, 21
        )
        medium = heads[1](self.run(turn, 22))
        small = self.run(torch.cat([functional.interpolate(self.run(turn, 23), scale_factor=2), eighth], 1), 26, 27)
        return [heads[0](small), medium, large]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        boxes, scores = [], []
        for raw, anchors, stride in zip(self.maps(x), ANCHORS, (8, 16, 32), strict=True):
            height, width = raw.shape[2:]
            raw = raw.unflatten(1, (3, -1)).permute(0, 1, 3, 4, 2)
            grid = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"), -1)
            centre = (raw[..., :2].sigmoid() + grid) * stride
            half = raw[..., 2:4].exp() * torch.tensor(anchors)[:, None, None] / 2
            boxes.append(torch.cat([centre - half, centre + half], -1).flatten(1, 3))
            scores.append((raw[..., 4:5].sigmoid() * raw[..., 5:].sigmoid()).flatten(1, 3))
        return torch.cat(boxes, 1), torch.cat(scores, 1)


def suppress(
    boxes: Tensor, scores: Tensor, iou: float, least: float, limit: int
) -> list[tuple[list[float], float, int]]:
    """Greedy suppression in one picture, class by class: (box, score, class), the best first."""
    candidates = [
        (float(scores[at, kind]), at, kind)
        for at in range(len(boxes))
        for kind in range(scores.shape[1])
        if scores[at, kind] > least
    ]
    kept: list[tuple[list[float], float, int]] = []
    for score, at, kind in sorted(candidates, key=lambda candidate: (-candidate[0], *candidate[1:])):
        box = boxes[at].tolist()
        if all(other != kind or overlap(box, rival) <= iou for rival, _, other in kept):
            kept.append((box, score, kind))
    return kept[:limit]


def overlap(a: list[float], b: list[float]) -> float:
    """Intersection over union."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0.0) * max(height, 0.0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
