"""Ten steps of every optimizer beside torch.optim, from the same start, on every target that runs in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from netwright.driver.model import load

from .running import assert_near, begin, model_of

TARGETS = ("numpy", "jax", "onnx", "triton")
STEPS = 10
Make = Callable[[Any, float], torch.optim.Optimizer]
OPTIMIZERS: dict[str, tuple[str, float, Make]] = {
    "sgd": ("{kind: sgd}", 0.1, lambda p, r: torch.optim.SGD(p, r)),
    "decay": ("{kind: sgd, weight_decay: 0.01}", 0.1, lambda p, r: torch.optim.SGD(p, r, weight_decay=0.01)),
    "momentum": ("{kind: sgd, momentum: 0.9}", 0.05, lambda p, r: torch.optim.SGD(p, r, momentum=0.9)),
    "nesterov": (
        "{kind: sgd, momentum: 0.9, nesterov: true}",
        0.05,
        lambda p, r: torch.optim.SGD(p, r, momentum=0.9, nesterov=True),
    ),
    "adagrad": ("{kind: adagrad}", 0.05, lambda p, r: torch.optim.Adagrad(p, r)),
    "adadelta": ("{kind: adadelta}", 1.0, lambda p, r: torch.optim.Adadelta(p, r)),
    "rmsprop": ("{kind: rmsprop}", 0.01, lambda p, r: torch.optim.RMSprop(p, r)),
    "rmsprop-momentum": (
        "{kind: rmsprop, decay: 0.9, momentum: 0.5}",
        0.01,
        lambda p, r: torch.optim.RMSprop(p, r, alpha=0.9, momentum=0.5),
    ),
    "adam": ("{kind: adam}", 0.01, lambda p, r: torch.optim.Adam(p, r)),
    "adam-decay": (
        "{kind: adam, beta1: 0.8, beta2: 0.99, eps: 1.0e-6, weight_decay: 0.1}",
        0.01,
        lambda p, r: torch.optim.Adam(p, r, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1),
    ),
    "adamw": ("{kind: adamw, weight_decay: 0.1}", 0.01, lambda p, r: torch.optim.AdamW(p, r, weight_decay=0.1)),
    "nadam": ("{kind: nadam}", 0.01, lambda p, r: torch.optim.NAdam(p, r)),
}
MLP = """
name: mlp
inputs: {{x: 'float[N, 5]'}}
graph:
  - {{op: linear, path: 0, features: 7}}
  - tanh
  - {{op: linear, path: 2, features: 6}}
  - gelu
  - {{op: linear, name: y, path: 4, features: 3}}
outputs: {{y: y}}
training:
  inputs: {{label: 'int64[N]'}}
  loss: cross_entropy(y, label)
  optimizer: {optimizer}
  rate: 0.1
"""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_ten_steps_of_an_mlp(tmp_path: Path, name: str, target: str) -> None:
    optimizer, rate, make = OPTIMIZERS[name]
    run = begin(model_of(tmp_path, MLP.format(optimizer=optimizer)), target)
    layers = (torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 6), torch.nn.GELU(), torch.nn.Linear(6, 3))
    net = torch.nn.Sequential(*layers)
    net.load_state_dict({path: torch.tensor(array) for path, array in run.first.items()})
    learner = make(net.parameters(), rate)
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        x, label = rng.normal(size=(8, 5)).astype(np.float32), rng.integers(0, 3, 8)
        learner.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(torch.tensor(x)), torch.tensor(label))
        loss.backward()
        learner.step()
        assert run.step(rate, x=x, label=label)["loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
    assert_near(run.weights(), {path: tensor.numpy() for path, tensor in net.state_dict().items()})


LENET = [
    *((name, target) for name in ("nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "nadam")
      for target in ("numpy", "jax", "onnx")),
    ("adam", "triton"),
]  # fmt: skip
"""In Triton's interpreter a step of LeNet-5 takes seconds, and the optimizers differ in no more than with an MLP."""


@pytest.mark.parametrize(("name", "target"), LENET)
def test_ten_steps_of_lenet(name: str, target: str, tmp_path: Path) -> None:
    optimizer, rate, make = OPTIMIZERS[name]
    # At the rates of the small network the loss of this one grows, and with it every rounding.
    rate = rate / 10
    lenet = load("zoo:lenet5").loaded.path.read_text(encoding="utf-8")
    assert "optimizer: {kind: adam}" in lenet and "{l2: 1.0e-4, params: '**.weight'}" in lenet
    path = tmp_path / "lenet5.yaml"
    path.write_text(lenet.replace("optimizer: {kind: adam}", f"optimizer: {optimizer}"), encoding="utf-8")
    run = begin(load(path), target, everywhere=False)
    nn = torch.nn
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip
    net.load_state_dict({path: torch.tensor(array) for path, array in run.first.items()})
    learner = make(net.parameters(), rate)
    rng = np.random.default_rng(1)
    batch = 1 if target == "triton" else 4
    for _ in range(STEPS):
        image, label = rng.normal(size=(batch, 1, 32, 32)).astype(np.float32), rng.integers(0, 10, batch)
        learner.zero_grad()
        loss = nn.functional.cross_entropy(net(torch.tensor(image)), torch.tensor(label))
        loss = loss + 1e-4 * sum((w * w).sum() for w in net.parameters() if w.ndim > 1)
        loss.backward()
        learner.step()
        assert run.step(rate, image=image, label=label)["loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
    assert_near(run.weights(), {path: tensor.numpy() for path, tensor in net.state_dict().items()})
