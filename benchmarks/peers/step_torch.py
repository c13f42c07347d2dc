"""Training steps in torch's eager mode, as one writes them without us, under the key names of our specs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from netwright.driver.contenders.job import Job


def make(job: Job) -> Callable[[], Mapping[str, np.ndarray]]:
    """Steps of the network ``job.subject`` from the weights in ``job.args``; gives the losses of the first two."""
    torch.set_num_threads(job.threads)
    net = NETWORKS[job.subject]().train()
    missing, surplus = net.load_state_dict(load_file(job.args["weights"]), strict=False)
    if surplus or any(not name.endswith("num_batches_tracked") for name in missing):
        raise RuntimeError(f"the weights do not fit: {missing} {surplus}")
    optimizer = torch.optim.Adam(net.parameters(), job.args["rate"])
    x, label = (torch.from_numpy(array) for array in job.inputs().values())
    losses: list[float] = []

    def run() -> Mapping[str, np.ndarray]:
        optimizer.zero_grad()
        loss = functional.cross_entropy(net(x), label)
        loss.backward()
        optimizer.step()
        value = loss.item()
        if len(losses) < 2:
            losses.append(value)
        return {"losses": np.asarray(losses)}

    return run


class LeNet5(nn.Module):
    """LeNet-5 with tanh and max pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 1, 32, 32]`` to logits ``[N, 10]``."""
        x = functional.max_pool2d(torch.tanh(self.conv1(x)), 2)
        x = functional.max_pool2d(torch.tanh(self.conv2(x)), 2)
        x = torch.tanh(self.fc2(torch.tanh(self.fc1(x.flatten(1)))))
        logits: Tensor = self.fc3(x)
        return logits


class Basic(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.downsample: nn.Module | None = None
        if stride > 1 or channels != width:
            shortcut = nn.Conv2d(channels, width, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, channels, H, W]`` to ``[N, width, H / stride, W / stride]``."""
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    """ResNet-18 whose first convolution is 3x3, without stride and pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
        channels = 64
        for stage in range(4):
            width, stride = 64 * 2**stage, 1 if stage == 0 else 2
            self.add_module(f"layer{stage + 1}", nn.Sequential(Basic(channels, width, stride), Basic(width, width, 1)))
            channels = width
        self.fc = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, 3, 32, 32]`` to logits ``[N, 10]``."""
        x = functional.relu(self.bn1(self.conv1(x)))
        for stage in range(4):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


class Lstm(nn.Module):
    """An LSTM of 128 units; a linear layer reads the mean of its states."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.fc = nn.LSTM(32, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, T, 32]`` to logits ``[N, 10]``."""
        logits: Tensor = self.fc(self.lstm(x)[0].mean(1))
        return logits


NETWORKS: dict[str, Callable[[], nn.Module]] = {"lenet5": LeNet5, "resnet18": ResNet18, "lstm": Lstm}
