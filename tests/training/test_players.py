"""Players that learn in turn, and rules in place of gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from netwright.driver.model import load
from netwright.driver.training import DataError, Settings, train
from netwright.spec.diagnostics import SpecError

from .running import Run, assert_near, begin, model_of

TARGETS = ("numpy", "jax", "onnx")


def moved(run: Run, before: dict[str, np.ndarray]) -> set[str]:
    """The parts whose parameters are others than before."""
    after = run.weights()
    return {
        path.partition(".")[0] for path in run.first if path in after and not np.array_equal(after[path], before[path])
    }


def torch_part(run: Run, name: str, last: torch.nn.Module) -> torch.nn.Sequential:
    nn = torch.nn
    net = nn.Sequential(
        nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2 if name == "generator" else 1), last
    )
    own = {path.removeprefix(name + "."): array for path, array in run.first.items() if path.startswith(name)}
    places = {"0": "0", "2": "2", "4": "4"}
    net.load_state_dict({key: torch.tensor(array) for key, array in own.items() if key.split(".")[0] in places})
    return net


@pytest.mark.parametrize("target", TARGETS)
def test_each_player_of_a_gan_moves_its_own_weights(target: str) -> None:
    """Beside torch: the generator's gradient goes through the discriminator, which stays."""
    run = begin(load("zoo:gan"), target)
    maker, judge = torch_part(run, "generator", torch.nn.Tanh()), torch_part(run, "discriminator", torch.nn.Sigmoid())
    of_judge, of_maker = torch.optim.SGD(judge.parameters(), 0.1), torch.optim.SGD(maker.parameters(), 0.03)
    rng = np.random.default_rng(0)
    for turn in range(6):
        z, real = (rng.normal(size=(16, 2)).astype(np.float32) for _ in range(2))
        before = run.weights()
        for learner in (of_judge, of_maker):
            learner.zero_grad()
        sample = maker(torch.tensor(z))
        if turn % 3 < 2:
            loss = -0.95 * judge(torch.tensor(real)).log().mean() - (1 - judge(sample)).log().mean()
            loss.backward()
            of_judge.step()
            got = run.step(0.1, "train_step_discriminator", z=z, real=real)
            assert moved(run, {**run.first, **before}) == {"discriminator"}
        else:
            loss = -judge(sample).log().mean()
            loss.backward()
            of_maker.step()
            got = run.step(0.03, "train_step_generator", z=z, real=real)
            assert moved(run, {**run.first, **before}) == {"generator"}
        assert got["loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
    wanted = {f"generator.{key}": w.detach().numpy() for key, w in maker.state_dict().items()}
    wanted |= {f"discriminator.{key}": w.detach().numpy() for key, w in judge.state_dict().items()}
    assert_near(run.weights(), wanted)


GAME = """
inputs: {x: 'float[N, 2]'}
graph:
  - {op: linear, name: a, features: 2}
  - {op: linear, name: b, features: 1}
outputs: {b: b}
training:
  batch: 10
  shuffle: false
  METRICS
  players:
    one: {loss: reduce_mean(b * b), optimizer: {kind: sgd}, rate: 1.0e-9, updates: [a.**], steps: 2}
    two: {loss: 3 * reduce_mean(b * b), optimizer: {kind: adam}, rate: 1.0e-9, updates: [b.**]}
"""


def game(folder: Path, extra: str = "epochs: 1") -> object:
    return model_of(folder, GAME.replace("METRICS", extra))


def test_turns_go_on_from_epoch_to_epoch_and_means_are_of_ones_own_steps(tmp_path: Path) -> None:
    model = game(tmp_path, "epochs: 3\n  metrics: {size: reduce_mean(abs(b))}")
    told: list[int] = []
    x = np.tile(np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32), (4, 1))
    trained = train(model, {"x": x}, Settings(), lambda now: told.append(now.batch))
    assert told == [1, 2, 3, 4] * 3
    for epoch in trained.epochs:
        # Every batch is the same and nothing moves, so each mean is that of one step.
        assert epoch["two_loss"] == pytest.approx(3 * epoch["one_loss"], rel=1e-4)
        assert epoch["size"] == pytest.approx(trained.epochs[0]["size"], rel=1e-4)
        assert "loss" not in epoch


def test_an_epoch_may_end_before_everyone_had_a_turn(tmp_path: Path) -> None:
    trained = train(game(tmp_path, "epochs: 3"), {"x": np.ones((10, 2), np.float32)}, Settings())
    assert ["two_loss" in epoch for epoch in trained.epochs] == [False, False, True]


def test_players_stop_by_a_metric(tmp_path: Path) -> None:
    model = game(
        tmp_path, "epochs: 9\n  metrics: {size: reduce_mean(abs(b)) * 0 + 1}\n  stop: {monitor: size, patience: 2}"
    )
    x = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    assert len(train(model, {"x": x}, Settings()).epochs) == 3
    trained = train(model, {"x": x}, Settings(validation=0.3))
    assert trained.ended == "validation_size has not become better for 2 epochs"


def test_players_have_no_common_loss_to_watch(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"nothing measures `loss`(.|\n)*give `metrics`"):
        train(game(tmp_path, "stop: {monitor: loss}"), {"x": np.ones((10, 2), np.float32)}, Settings())


def test_players_without_metrics_measure_nothing_set_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="players without `metrics`"):
        train(game(tmp_path), {"x": np.ones((20, 2), np.float32)}, Settings(validation=0.5))


CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)


@pytest.mark.parametrize("target", TARGETS)
def test_the_perceptron_learns_and_but_not_xor(target: str) -> None:
    model = load("zoo:perceptron")
    both = train(model, {"x": CORNERS, "target": CORNERS.all(1, keepdims=True)}, Settings(target, epochs=20))
    assert both.epochs[-1]["errors"] == 0
    one = train(model, {"x": CORNERS, "target": CORNERS[:, :1] != CORNERS[:, 1:]}, Settings(target, epochs=20))
    assert all(epoch["errors"] > 0 for epoch in one.epochs)


def test_the_rule_is_rosenblatts() -> None:
    """Beside the rule as a textbook writes it, one example after another."""
    run = begin(load("zoo:perceptron"))
    w, b = run.first["weight"].astype(float)[0], float(run.first["bias"][0])
    rng = np.random.default_rng(4)
    for _ in range(20):
        x, target = rng.normal(size=2).astype(np.float32), float(rng.integers(0, 2))
        error = target - (1.0 if w @ x + b >= 0 else 0.0)
        w, b = w + error * x, b + error
        run.step(0.0, x=x[None], target=np.full((1, 1), target, np.float32))
    np.testing.assert_allclose(run.weights()["weight"][0], w, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run.weights()["bias"], [b], rtol=1e-4, atol=1e-5)
