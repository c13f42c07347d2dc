"""Convolutional networks in torch, under the key names of torchvision's checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


def lenet5() -> nn.Module:
    """LeNet-5 with tanh and max pooling, ``[N, 1, 32, 32]`` to probabilities ``[N, 10]``."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
        nn.Softmax(1),
    )  # fmt: skip


class Vgg(nn.Module):
    """Stages of 3x3 convolutions, each halved by pooling, then three linear layers."""

    def __init__(self, depths: Sequence[int], size: int = 224, width: int = 64, hidden: int = 4096) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for stage, depth in enumerate(depths):
            filters = width * 2 ** min(stage, 3)
            for _ in range(depth):
                layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(inplace=True)]
                channels = filters
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(channels * (size // 2 ** len(depths)) ** 2, hidden), nn.ReLU(inplace=True), nn.Dropout(),
            nn.Linear(hidden, hidden), nn.ReLU(inplace=True), nn.Dropout(),
            nn.Linear(hidden, 1000),
        )  # fmt: skip

    def forward(self, image: Tensor) -> Tensor:
        """``[N, 3, size, size]`` to logits ``[N, 1000]``."""
        logits: Tensor = self.classifier(self.features(image).flatten(1))
        return logits


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1, and a shortcut."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module | None = None
        if stride > 1 or channels != 4 * width:
            shortcut = nn.Conv2d(channels, 4 * width, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, channels, H, W]`` to ``[N, 4 * width, H / stride, W / stride]``."""
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = functional.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return functional.relu(y, inplace=True)


class ResNet(nn.Module):
    """A residual network of bottlenecks."""

    def __init__(self, depths: Sequence[int]) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        channels, stages = 64, []
        for stage, depth in enumerate(depths):
            width = 64 * 2**stage
            units = []
            for unit in range(depth):
                units.append(Bottleneck(channels, width, 2 if stage > 0 and unit == 0 else 1))
                channels = 4 * width
            stages.append(nn.Sequential(*units))
        self.stages = len(stages)
        for stage, module in enumerate(stages, 1):
            self.add_module(f"layer{stage}", module)
        self.fc = nn.Linear(channels, 1000)

    def forward(self, image: Tensor) -> Tensor:
        """``[N, 3, H, W]`` to logits ``[N, 1000]``."""
        x = functional.relu(self.bn1(self.conv1(image)), inplace=True)
        x = functional.max_pool2d(x, 3, 2, 1)
        for stage in range(1, self.stages + 1):
            x = self.get_submodule(f"layer{stage}")(x)
        logits: Tensor = self.fc(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits
