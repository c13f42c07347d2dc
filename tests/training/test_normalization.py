"""Batch normalisation as it learns, beside torch: statistics over several steps, calls, freezing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from .running import assert_near, begin, model_of

TARGETS = ("numpy", "jax", "onnx")
CNN = """
inputs: {x: 'float[N, 2, 5, 5]'}
graph:
  - {op: conv2d, name: c, filters: 3, kernel: 3, bias: false}
  - {op: batch_norm, name: n, momentum: 0.2}
  - relu
  - flatten
  - {op: linear, name: y, features: 4}
outputs: {y: y}
training:
  inputs: {label: 'int64[N]'}
  loss: cross_entropy(y, label)
  optimizer: {kind: adam}
  rate: 0.01
  metrics: {accuracy: reduce_mean(float(arg_max(y) == label))}
"""


class Cnn(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = torch.nn.Conv2d(2, 3, 3, bias=False)
        self.n = torch.nn.BatchNorm2d(3, momentum=0.2)
        self.y = torch.nn.Linear(27, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.y(torch.relu(self.n(self.c(x))).flatten(1))


def numbers(net: torch.nn.Module) -> dict[str, np.ndarray]:
    state = net.state_dict().items()
    return {key: value.detach().numpy() for key, value in state if not key.endswith("num_batches_tracked")}


@pytest.mark.parametrize("frozen", [False, True], ids=["learns", "frozen"])
@pytest.mark.parametrize("target", TARGETS)
def test_statistics_follow_torchs(tmp_path: Path, target: str, frozen: bool) -> None:
    """Batches of several sizes, as the last one of an epoch is smaller; `evaluate` uses what was learned."""
    run = begin(model_of(tmp_path, CNN + ("  freeze: ['n.**']\n" if frozen else "")), target)
    net = Cnn()
    net.load_state_dict({path: torch.tensor(array) for path, array in run.first.items()}, strict=False)
    if frozen:
        net.n.requires_grad_(False)
    learner = torch.optim.Adam([w for w in net.parameters() if w.requires_grad], 0.01)
    rng = np.random.default_rng(0)
    for count in (6, 6, 2, 6, 1):
        x, label = rng.normal(1, 2, (count, 2, 5, 5)).astype(np.float32), rng.integers(0, 4, count)
        net.train()
        if frozen:
            net.n.eval()
        learner.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(torch.tensor(x)), torch.tensor(label))
        loss.backward()
        learner.step()
        assert run.step(0.01, x=x, label=label)["loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
    wanted = numbers(net)
    if frozen:
        wanted = {path: array for path, array in wanted.items() if not path.startswith("n.")}
        assert set(run.program.parameters) == {"n.weight", "n.bias", "n.running_mean", "n.running_var"}
    assert_near(run.weights(), wanted)
    net.eval()
    with torch.no_grad():
        scores = net(torch.tensor(x))
    measured = run.net.run("evaluate", x=x, label=label)
    assert float(measured["loss"]) == pytest.approx(
        float(torch.nn.functional.cross_entropy(scores, torch.tensor(label))), rel=1e-3
    )
    assert float(measured["accuracy"]) == float((scores.argmax(1) == torch.tensor(label)).float().mean())


SHARED = """
inputs: {x: 'float[N, 3]', z: 'float[N, 3]'}
parts:
  shared: {block: layer}
blocks:
  layer:
    inputs: {x: any}
    graph:
      - {op: linear, name: l, features: 3}
      - {op: batch_norm, name: n}
      - tanh
graph:
  - {part: shared, name: a, in: x}
  - {part: shared, name: b, in: z}
  - {name: s, value: a + b}
  - {block: layer, name: own, path: own.$i, repeat: 2}
outputs: {y: own}
training:
  inputs: {t: 'float[N, 3]'}
  loss: reduce_mean((own - t) * (own - t))
  optimizer: {kind: sgd}
  rate: 0.1
"""


class Layer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.l, self.n = torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.n(self.l(x)))


class Shared(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shared, self.own = Layer(), torch.nn.ModuleList([Layer(), Layer()])

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        y = self.shared(x) + self.shared(z)
        for layer in self.own:
            y = layer(y)
        return y


@pytest.mark.parametrize("target", TARGETS)
def test_a_shared_layer_moves_its_statistics_with_each_call(tmp_path: Path, target: str) -> None:
    run = begin(model_of(tmp_path, SHARED), target)
    net = Shared()
    net.load_state_dict({path: torch.tensor(array) for path, array in run.first.items()}, strict=False)
    learner = torch.optim.SGD(net.parameters(), 0.1)
    rng = np.random.default_rng(1)
    for _ in range(4):
        x, z, t = (rng.normal(shift, 1, (5, 3)).astype(np.float32) for shift in (3, -2, 0))
        learner.zero_grad()
        loss = torch.nn.functional.mse_loss(net(torch.tensor(x), torch.tensor(z)), torch.tensor(t))
        loss.backward()
        learner.step()
        assert run.step(0.1, x=x, z=z, t=t)["loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
    assert_near(run.weights(), numbers(net))
