"""What stands between a gradient and the weights: clipping, penalties, norms, frozen and chosen parameters, rates."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from netwright.compiler.training.plan import Schedule
from netwright.compiler.training.program import TrainingError, training_program
from netwright.driver.training.rates import rate_at
from netwright.spec.diagnostics import SpecError

from .running import Run, assert_near, begin, model_of

TARGETS = ("numpy", "jax", "onnx")
MLP = """
inputs: {x: 'float[N, 5]'}
graph:
  - {op: linear, name: a, features: 7}
  - tanh
  - {op: linear, name: b, features: 3}
outputs: {y: b}
training:
  inputs: {t: 'float[N, 3]'}
  loss: reduce_mean((b - t) * (b - t))
  optimizer: {kind: sgd, momentum: 0.5}
  rate: 0.1
"""


def torch_mlp(run: Run) -> torch.nn.Sequential:
    net = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3))
    keys = {"0.weight": "a.weight", "0.bias": "a.bias", "2.weight": "b.weight", "2.bias": "b.bias"}
    net.load_state_dict({key: torch.tensor(run.first[path]) for key, path in keys.items()})
    return net


def weights_of(net: torch.nn.Sequential) -> dict[str, np.ndarray]:
    found = {key: tensor.detach().numpy() for key, tensor in net.state_dict().items()}
    return {
        "a.weight": found["0.weight"],
        "a.bias": found["0.bias"],
        "b.weight": found["2.weight"],
        "b.bias": found["2.bias"],
    }


def batch(rng: np.random.Generator, count: int = 6) -> dict[str, np.ndarray]:
    return {
        "x": rng.normal(size=(count, 5)).astype(np.float32),
        "t": 3 * rng.normal(size=(count, 3)).astype(np.float32),
    }


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("most", [0.05, 100.0])
def test_clipping_is_torchs(tmp_path: Path, target: str, most: float) -> None:
    run = begin(model_of(tmp_path, MLP + f"  clip: {most}\n"), target)
    net = torch_mlp(run)
    learner = torch.optim.SGD(net.parameters(), 0.1, momentum=0.5)
    rng = np.random.default_rng(0)
    for _ in range(5):
        given = batch(rng)
        learner.zero_grad()
        loss = torch.nn.functional.mse_loss(net(torch.tensor(given["x"])), torch.tensor(given["t"]))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), most)
        assert (norm > most) == (most < 1)
        learner.step()
        assert run.step(0.1, **given)["loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
    assert_near(run.weights(), weights_of(net))


def test_penalties_and_norms_beside_torch(tmp_path: Path) -> None:
    lines = (
        "  regularize:\n    - {l1: 0.02, params: 'a.*'}\n    - {l2: 0.03}\n    - {max_norm: 0.5, params: '*.weight'}\n"
    )
    run = begin(model_of(tmp_path, MLP + lines))
    net = torch_mlp(run)
    learner = torch.optim.SGD(net.parameters(), 0.1, momentum=0.5)
    rng = np.random.default_rng(1)
    bounded = 0
    for _ in range(10):
        given = batch(rng)
        learner.zero_grad()
        loss = torch.nn.functional.mse_loss(net(torch.tensor(given["x"])), torch.tensor(given["t"]))
        loss = loss + 0.02 * sum(w.abs().sum() for w in net[0].parameters())
        loss = loss + 0.03 * sum((w * w).sum() for w in net.parameters())
        loss.backward()
        learner.step()
        with torch.no_grad():
            for layer in (net[0], net[2]):
                bounded += int((layer.weight.norm(dim=1) > 0.5).sum())
                layer.weight.copy_(torch.renorm(layer.weight, 2, 0, 0.5))
        assert run.step(0.1, **given)["loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
    assert bounded > 5
    assert_near(run.weights(), weights_of(net))


def test_what_is_frozen_stays_bit_for_bit(tmp_path: Path) -> None:
    model = model_of(tmp_path, MLP + "  freeze: ['a.**']\n")
    run = begin(model)
    rng = np.random.default_rng(2)
    for _ in range(3):
        run.step(0.1, **batch(rng))
    assert set(run.program.state) & set(model.program.parameters) == {"b.weight", "b.bias"}
    assert set(run.program.parameters) == {"a.weight", "a.bias"}
    assert not np.array_equal(run.weights()["b.weight"], run.first["b.weight"])


def test_only_what_updates_names_moves(tmp_path: Path) -> None:
    run = begin(model_of(tmp_path, MLP + "  updates: ['*.weight']\n  freeze: [b.weight]\n"))
    rng = np.random.default_rng(3)
    run.step(0.1, **batch(rng))
    assert set(run.program.parameters) == {"a.bias", "b.weight", "b.bias"}


def test_nothing_to_learn_is_an_error(tmp_path: Path) -> None:
    model = model_of(tmp_path, MLP + "  freeze: ['**']\n")
    with pytest.raises(TrainingError, match="no parameters to learn"):
        training_program(model.training)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("  freeze: ['c.**']\n", "no parameter matches `c.\\*\\*`"),
        ("  clip: -1\n", "`clip` is a number of 0 or more"),
        ("  batch: 0\n", "`batch` is a whole number of 1 or more"),
        ("  stop: {monitor: accuracy}\n", "nothing measures `accuracy`"),
        ("  regularize: [{l1: 1, l2: 1}]\n", "exactly one of"),
    ],
)
def test_mistakes_of_the_section(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        model_of(tmp_path, MLP + lines).program  # noqa: B018


def test_a_loss_needs_a_rate(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="a loss needs a `rate`"):
        model_of(tmp_path, MLP.replace("  rate: 0.1\n", "")).training  # noqa: B018


def test_an_input_called_as_the_rate_is_refused(tmp_path: Path) -> None:
    model = model_of(tmp_path, MLP.replace("x:", "learning_rate:"))
    with pytest.raises(TrainingError, match="rename it"):
        training_program(model.training)


TORCH_RATES = {
    "step": (
        Schedule("step", 0.5, every=3, factor=0.1),
        lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=3 * 4, gamma=0.1),
    ),
    "exponential": (
        Schedule("exponential", 0.5, factor=0.7),
        lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.7 ** (1 / 4)),
    ),
    "cosine": (
        Schedule("cosine", 0.5, end=0.1, epochs=10),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 10 * 4, eta_min=0.1),
    ),
    "linear": (
        Schedule("linear", 0.5, end=0.1, epochs=10),
        lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.2, 10 * 4),
    ),
    "inverse": (
        Schedule("inverse", 0.5, factor=0.3),
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: 1 / (1 + 0.3 * step / 4)),
    ),
    "warmup": (
        Schedule("cosine", 0.5, end=0.1, epochs=10, warmup=2),
        lambda o: torch.optim.lr_scheduler.SequentialLR(
            o,
            [
                torch.optim.lr_scheduler.LinearLR(o, 1 / 8, 1.0, 7),
                torch.optim.lr_scheduler.CosineAnnealingLR(o, 8 * 4, eta_min=0.1),
            ],
            [8],
        ),
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TORCH_RATES)
def test_rates_are_torchs(name: str) -> None:
    """Ten epochs of four steps each."""
    schedule, make = TORCH_RATES[name]
    learner = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.5)
    scheduler = make(learner)
    for step in range(40):
        assert rate_at(schedule, step, 4) == pytest.approx(learner.param_groups[0]["lr"], rel=1e-6), step
        learner.step()
        scheduler.step()


def test_rates_at_their_ends() -> None:
    cosine = Schedule("cosine", 1.0, end=0.25, epochs=4, warmup=1)
    assert rate_at(cosine, 0, 10) == pytest.approx(0.1)
    assert rate_at(cosine, 9, 10) == rate_at(cosine, 10, 10) == 1.0
    assert rate_at(cosine, 40, 10) == rate_at(cosine, 4000, 10) == 0.25
    # A warm-up shorter than a step is none.
    assert rate_at(Schedule("linear", 1.0, epochs=2, warmup=0.1), 0, 3) == 1.0
    assert rate_at(Schedule("step", 1.0, every=1, factor=0.5), 3, 1) == 0.125
    assert not math.isnan(rate_at(Schedule("cosine", 1.0, epochs=0), 0, 1))
