"""Models of the zoo written for torch, as one would without us: eager, in inference mode, with random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from .job import Job

Args = Mapping[str, Any]


def make(job: Job) -> Callable[[], Mapping[str, np.ndarray]]:
    """Runs the peer ``job.subject`` with ``job.args`` on the first input."""
    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    net = PEERS[job.subject](job.args).eval()
    (first, *_) = job.inputs().values()
    given = torch.from_numpy(first)

    def run() -> Mapping[str, np.ndarray]:
        with torch.inference_mode():
            result = net(given)
        return {"y": result.numpy()}

    return run


def lenet5(args: Args) -> nn.Module:
    """LeNet-5 with tanh and max pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, args["classes"]),
        nn.Softmax(1),
    )  # fmt: skip


def mlp(args: Args) -> nn.Module:
    """Sigmoid layers."""
    sizes = [args["features"], *args["hidden"], args["classes"]]
    layers = [[nn.Linear(one, two), nn.Sigmoid()] for one, two in pairwise(sizes)]
    return nn.Sequential(*(module for pair in layers for module in pair))


def vgg(args: Args) -> nn.Module:
    """Stages of 3x3 convolutions, then three linear layers."""
    layers: list[nn.Module] = []
    channels = 3
    for stage, depth in enumerate(args["depths"]):
        width = args["width"] * 2 ** min(stage, 3)
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(2))
    side, hidden = args["size"] // 2 ** len(args["depths"]), args["hidden"]
    head = [
        nn.Flatten(), nn.Linear(channels * side * side, hidden), nn.ReLU(inplace=True), nn.Dropout(),
        nn.Linear(hidden, hidden), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(hidden, args["classes"]),
    ]  # fmt: skip
    return nn.Sequential(*layers, *head)


class Residual(nn.Module):
    """A branch of convolutions beside a shortcut, summed and rectified."""

    def __init__(self, branch: Sequence[nn.Module], shortcut: nn.Module) -> None:
        super().__init__()
        self.branch, self.shortcut = nn.Sequential(*branch), shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[N, C, H, W]`` to ``[N, C', H', W']``."""
        return torch.relu_(self.branch(x) + self.shortcut(x))


def resnet(args: Args) -> nn.Module:
    """Residual networks of basic or bottleneck units."""
    bottleneck, channels = args["unit"] == "bottleneck", 64
    layers = [*_conv(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    for stage, depth in enumerate(args["depths"]):
        width = 64 * 2**stage
        out = 4 * width if bottleneck else width
        for unit in range(depth):
            stride = 2 if stage > 0 and unit == 0 else 1
            if bottleneck:
                first, second = (stride, 1) if args["stride_in_1x1"] else (1, stride)
                branch = [*_conv(channels, width, 1, first), nn.ReLU(inplace=True), *_conv(width, width, 3, second)]
                branch += [nn.ReLU(inplace=True), *_conv(width, out, 1)]
            else:
                branch = [*_conv(channels, width, 3, stride), nn.ReLU(inplace=True), *_conv(width, out, 3)]
            same = stride == 1 and channels == out
            layers.append(Residual(branch, nn.Identity() if same else nn.Sequential(*_conv(channels, out, 1, stride))))
            channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, args["classes"]))


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)]


class FirstOf(nn.Module):
    """The first result of a module that gives several, or the named one."""

    def __init__(self, inner: nn.Module, name: str | None = None) -> None:
        super().__init__()
        self.inner, self.name = inner, name

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the module makes of ``x``."""
        result = self.inner(x)
        picked: torch.Tensor = getattr(result, self.name) if self.name else result[0]
        return picked


def rnn(args: Args) -> nn.Module:
    """Recurrent cells over ``[N, T, features]``."""
    kind = {"elman": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[args["cell"].rpartition(".")[2]]
    inner = kind(args["features"], args["hidden"], args["depth"], batch_first=True, bidirectional=args["bidirectional"])
    return FirstOf(inner)


def bert(args: Args) -> nn.Module:
    """The encoder of transformers, with its pooler."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=args["vocabulary"],
        hidden_size=args["width"],
        num_hidden_layers=args["depth"],
        num_attention_heads=args["heads"],
        intermediate_size=args["hidden"],
        max_position_embeddings=args["context"],
    )
    return FirstOf(BertModel(config), "last_hidden_state")


def gpt2(args: Args) -> nn.Module:
    """The decoder of transformers with its head, over a whole text, without a cache."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=args["vocabulary"],
        n_embd=args["width"],
        n_layer=args["depth"],
        n_head=args["heads"],
        n_positions=args["context"],
        use_cache=False,
    )
    return FirstOf(GPT2LMHeadModel(config), "logits")


PEERS: dict[str, Callable[[Args], nn.Module]] = {
    "bert": bert,
    "gpt2": gpt2,
    "lenet5": lenet5,
    "mlp": mlp,
    "resnet": resnet,
    "rnn": rnn,
    "vgg": vgg,
}
