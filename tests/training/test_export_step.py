"""A step as plain ONNX: stock onnxruntime trains with it, with nothing of ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from netwright.compiler.training.program import TrainingError
from netwright.driver.build import Build, Weights, compile_model
from netwright.driver.export import write_train_step
from netwright.driver.model import load
from netwright.driver.training.first import first_states, first_weights, trainable

from ..cli.conftest import Cli, cli
from .running import assert_near, model_of

__all__ = ["cli"]
STEPS = 50


class Stock:
    """A step in onnxruntime as anyone would write it."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.names = [output.name for output in self.session.get_outputs()]
        self.states: dict[str, np.ndarray] = {}

    def step(self, **inputs: object) -> dict[str, np.ndarray]:
        given = {name: np.asarray(value) for name, value in inputs.items()}
        results = dict(zip(self.names, self.session.run(None, {**given, **self.states}), strict=True))
        self.states = {name.removesuffix(".next"): results.pop(name) for name in self.names if name.endswith(".next")}
        return results


def test_lenet5_in_stock_onnxruntime_follows_the_numpy_target(tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "step.onnx"
    assert "step.onnx" in cli("export", "zoo:lenet5", "--train-step", "-o", path, "--seed", 3).fine()
    onnx.checker.check_model(str(path), full_check=True)
    stock = Stock(path)
    assert [each.name for each in stock.session.get_inputs()] == ["image", "label", "learning_rate"]
    model = load("zoo:lenet5")
    program = trainable(model.training)
    given = first_weights(model, model.training, Weights(seed=3))
    ours = compile_model(model.having(program), Build("numpy"), Weights(values=given))
    ours.set_states(first_states(program, given, 3))
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(10, 1, 32, 32))
    losses = []
    for _ in range(STEPS):
        label = rng.integers(0, 10, 16)
        image = (kinds[label] + rng.normal(size=(16, 1, 32, 32))).astype(np.float32)
        batch = {"image": image, "label": label, "learning_rate": np.float32(1e-3)}
        loss = float(stock.step(**batch)["loss"])
        assert loss == pytest.approx(float(ours.run("train_step", **batch)["loss"]), rel=1e-3)
        losses.append(loss)
    assert np.mean(losses[-5:]) < losses[0] / 3
    weights = {name.removeprefix("state."): array for name, array in stock.states.items()}
    assert_near(weights, {name: ours.states[name] for name in model.program.parameters})


GAME = """
inputs: {x: 'float[N, 3]'}
graph:
  - {op: linear, name: a, features: 3}
  - {op: dropout, name: d}
  - {op: linear, name: b, features: 1}
outputs: {b: b}
training:
  players:
    one: {loss: reduce_mean(b), optimizer: {kind: nadam}, rate: 0.1, updates: [a.**]}
    two: {loss: -reduce_mean(b), optimizer: {kind: sgd}, rate: 0.1, updates: [b.**]}
"""


def test_of_players_one_is_named(tmp_path: Path) -> None:
    model = model_of(tmp_path, GAME)
    path = tmp_path / "one.onnx"
    assert write_train_step(model, path, Weights(seed=7), None, "one") == "train_step_one"
    stock = Stock(path)
    stock.step(x=np.ones((4, 3), np.float32), learning_rate=np.float32(0.1))
    assert "state.random/seed" in {each.name for each in stock.session.get_overridable_initializers()}
    assert int(stock.states["state.random/step"]) == 1
    assert float(stock.states["state.optimizer/one/product"]) < 1
    # What the other player learns is fixed here, so it is no state.
    assert {"state.a.weight", "state.a.bias"} < set(stock.states)
    with pytest.raises(TrainingError, match="has players: one, two"):
        write_train_step(model, path, Weights(), None)
    with pytest.raises(TrainingError, match=r"no player 'tow'; did you mean 'two'\? \(its players are one, two\)"):
        write_train_step(model, path, Weights(), None, "tow")
    with pytest.raises(TrainingError, match="no player 'one'.*it has no players"):
        write_train_step(load("zoo:lenet5"), path, Weights(), None, "one")


def test_what_cannot_be_exported_is_said(tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "step.onnx"
    assert "--player needs --train-step" in cli("export", "zoo:lenet5", "--player", "x", "-o", path).refused()
    assert "--entry" in cli("export", "zoo:lenet5", "--train-step", "--entry", "other", "-o", path).refused()
    (tmp_path / "plain.yaml").write_text(
        "netwright: 1\ninputs: {x: 'float[N]'}\ngraph: [{op: tanh, name: y}]\noutputs: {y: y}\n"
    )
    assert "does not say how it learns" in cli("export", tmp_path / "plain.yaml", "--train-step", "-o", path).refused()
    assert not path.exists()
