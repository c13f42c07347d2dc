"""Dropout as a model learns: whose masks, how many, and when there are none; Monte Carlo dropout by the spec."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netwright.compiler.training.step import DRAWS, SEED
from netwright.driver.build import Build, Weights, compile_model
from netwright.driver.model import Model

from .running import begin, model_of

TARGETS = ("numpy", "jax", "onnx")
RATE = 0.3
# The loss is the sum of three masked inputs weighed by powers: it, and the gradients of the gains, show the masks.
MASKS = f"""
inputs: {{x: 'float[N, 100]'}}
blocks:
  masked:
    inputs: {{x: any}}
    params: {{gain: 'float[100]'}}
    graph:
      - {{op: dropout, name: d, rate: {RATE}}}
      - {{name: y, value: d * gain}}
graph:
  - {{block: masked, name: p, in: x}}
  - {{block: masked, name: q, in: x}}
outputs: {{p: p, q: q}}
training:
  loss: reduce_mean(p) + reduce_mean(q)
  optimizer: {{kind: sgd}}
  rate: 1
"""


def masks(model: Model, target: str, seed: int, steps: int) -> np.ndarray:
    """Which elements are kept: (step, place, element). x is one row of ones."""
    run = begin(model, target)
    run.net.set_states({SEED: np.int64(seed), **{f"{place}.gain": np.ones(100, np.float32) for place in "pq"}})
    found = []
    for step in range(steps):
        assert int(run.net.states.get(DRAWS, 0)) == step
        before = run.weights()
        run.step(1.0, x=np.ones((1, 100), np.float32))
        after = run.weights()
        slopes = np.array([100 * (before[f"{place}.gain"] - after[f"{place}.gain"]) for place in "pq"])
        np.testing.assert_allclose(slopes[slopes > 1e-3], 1 / (1 - RATE), rtol=1e-3)
        found.append(slopes > 1e-3)
    return np.array(found)


def test_masks_differ_by_step_and_place_and_seed_and_by_no_target(tmp_path: Path) -> None:
    model = model_of(tmp_path, MASKS)
    drawn = {target: masks(model, target, 5, 3) for target in TARGETS}
    np.testing.assert_array_equal(drawn["jax"], drawn["numpy"])
    np.testing.assert_array_equal(drawn["onnx"], drawn["numpy"])
    other = masks(model, "numpy", 6, 30)
    rows = [*drawn["numpy"].reshape(6, 100), *other.reshape(60, 100)]
    assert len({row.tobytes() for row in rows}) == len(rows)
    # 6600 draws: four standard deviations.
    assert np.mean(rows) == pytest.approx(1 - RATE, abs=4 * (RATE * (1 - RATE) / 6600) ** 0.5)
    assert (other.mean((0, 1)) < 1).all(), "every element is dropped at times"


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_dropped_when_nothing_is_learned(tmp_path: Path, target: str) -> None:
    run = begin(model_of(tmp_path, MASKS), target)
    gains = {path: run.first[path] for path in ("p.gain", "q.gain")}
    x = np.random.default_rng(0).normal(size=(4, 100)).astype(np.float32)
    for _ in range(2):
        loss = float(run.net.run("evaluate", x=x)["loss"])
        assert loss == pytest.approx(float(sum((x * gain).mean() for gain in gains.values())), rel=1e-4, abs=1e-5)


def test_examples_of_a_batch_have_masks_of_their_own(tmp_path: Path) -> None:
    text = MASKS.replace("reduce_mean(p) + reduce_mean(q)", "reduce_mean(abs(p[0] - p[1]))")
    run = begin(model_of(tmp_path, text), "numpy")
    run.net.set_states({"p.gain": np.ones(100, np.float32)})
    wanted, steps = 2 * RATE * (1 - RATE), 100
    shares = [run.step(0.0, x=np.ones((2, 100), np.float32))["loss"] * (1 - RATE) for _ in range(steps)]
    # Four standard deviations of the share of 100 places in 100 steps.
    assert np.mean(shares) == pytest.approx(wanted, abs=4 * (wanted * (1 - wanted) / (100 * steps)) ** 0.5)


MONTE_CARLO = """
args: {passes: 4000}
inputs: {x: 'float[N, 8]', seed: 'int64[]'}
blocks:
  sample:
    inputs: {x: any, seed: any, k: any}
    graph:
      - {op: dropout, name: d, in: {x: x, seed: seed, step: k}, rate: 0.4}
      - {op: reduce_sum, name: y, in: d, axes: -1}
    outputs: {y: y}
graph:
  - {op: iota, name: counts, length: passes}
  - {block: sample, name: run, scan: {over: {k: counts}}, in: {x: x, seed: seed}}
  - {op: reduce_mean, name: mean, in: run.y, axes: 0}
  - {op: reduce_mean, name: square, in: run.y * run.y, axes: 0}
outputs: {mean: mean, spread: square - mean * mean}
"""


@pytest.mark.parametrize("target", TARGETS)
def test_monte_carlo_dropout_by_seed_and_step(tmp_path: Path, target: str) -> None:
    """Mean and spread over passes: of sum d_i x_i they are sum x_i and rate / (1 - rate) sum x_i^2."""
    net = compile_model(model_of(tmp_path, MONTE_CARLO), Build(target), Weights())
    x = np.random.default_rng(3).normal(size=(2, 8)).astype(np.float32)
    found = net(x=x, seed=np.int64(1))
    variance = 0.4 / 0.6 * (x * x).sum(1)
    assert np.all(np.abs(found["mean"] - x.sum(1)) < 4 * np.sqrt(variance / 4000))
    # The variance of a variance of k draws is (m4 - v^2) / k; m4 is that of the sum of eight independent terms.
    fourth = 3 * variance**2 + ((0.4**3 + 0.6**3) / 0.6**3 * 0.4 - 3 * (0.4 / 0.6) ** 2) * (x**4).sum(1)
    assert np.all(np.abs(found["spread"] - variance) < 4 * np.sqrt((fourth - variance**2) / 4000))
    again, other = net(x=x, seed=np.int64(1)), net(x=x, seed=np.int64(2))
    np.testing.assert_array_equal(again["mean"], found["mean"])
    assert not np.array_equal(other["mean"], found["mean"])
