"""Training with 16-bit numbers, and what of a spec has no place in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netwright.compiler.ir.types import DType
from netwright.driver.model import load
from netwright.driver.training import Settings, train
from netwright.driver.training.first import trainable
from netwright.spec.diagnostics import SpecError

from .running import begin, model_of
from .small import SPEC, examples, spec

TARGETS = ("numpy", "jax", "onnx")
ROUNDING = {"bfloat16": 2**-8, "float16": 2**-11}
"""The relative error of one number: the mean of a hundred losses is off by no more."""
PLAIN = SPEC.replace("  - {op: dropout, rate: 0.2}\n", "").replace("epochs: 6}", "epochs: 60}") + "  clip: 1.0\n"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_mixed_precision(tmp_path: Path, dtype: str, target: str) -> None:
    """Computed in 16 bits, learned in float32: near to what float32 learns, and as far as it."""
    line = f"precision: {{params: float32, compute: {dtype}}}\ngraph:\n"
    model = load(spec(tmp_path, PLAIN.replace("graph:\n", line, 1)))
    program = trainable(model.training)
    assert {
        one.type.dtype for name, one in program.state.items() if not name.startswith(("random/", "optimizer/step"))
    } == {DType.FLOAT32}
    computed = [node for node in program.entries["train_step"].graph.walk() if node.op.name == "dot"]
    assert len(computed) >= 4 and all(node.output.type.dtype.value == dtype for node in computed)
    half = train(model, examples(), Settings(target, epochs=5)).epochs
    (tmp_path / "other").mkdir()
    whole = train(load(spec(tmp_path / "other", PLAIN)), examples(), Settings(target, epochs=5)).epochs
    for one, other in zip(half, whole, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=ROUNDING[dtype])


@pytest.mark.parametrize("optimizer", ["adam", "nadam", "adagrad", "adadelta", "rmsprop", "sgd, momentum: 0.9"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_of_16_bits_have_memory_of_32(tmp_path: Path, dtype: str, optimizer: str) -> None:
    """A squared gradient of 1e-5 is 0 in float16, and Adam would divide by that."""
    text = f"""
precision: {{params: {dtype}, compute: {dtype}}}
inputs: {{x: 'float[N, 4]'}}
graph:
  - {{op: linear, name: y, features: 3}}
outputs: {{y: y}}
training:
  loss: reduce_mean(y * y) * 1.0e-4
  optimizer: {{kind: {optimizer}}}
  rate: 0.01
  clip: 10
"""
    run = begin(model_of(tmp_path, text))
    memory = {
        one.type.dtype for name, one in run.program.state.items() if name.startswith("optimizer") and one.type.rank
    }
    assert memory == {DType.FLOAT32} and run.program.state["y.weight"].type.dtype.value == dtype
    for _ in range(5):
        run.step(0.01, x=np.ones((2, 4), np.float32))
    assert all(np.isfinite(array.astype(np.float64)).all() for array in run.weights().values())
    moved = np.abs(run.weights()["y.weight"].astype(np.float64) - run.first["y.weight"].astype(np.float64)).max()
    assert moved > 0 or optimizer.startswith(("sgd", "adadelta"))


def test_a_model_that_keeps_state_does_not_learn(tmp_path: Path) -> None:
    text = """
inputs: {x: 'float[N, 4]'}
state: {h: {type: 'float[N, 4]', initial: 0}}
graph:
  - {op: linear, name: a, in: x + h, features: 4}
outputs: {y: a, h: a}
training: {loss: reduce_mean(a * a), optimizer: {kind: sgd}, rate: 0.1}
"""
    model = model_of(tmp_path, text)
    assert model.program.state, "without training it is a model as any other"
    with pytest.raises(SpecError, match="reads the state `h`, and training keeps none"):
        train(model, {"x": np.ones((4, 4), np.float32)}, Settings())


def test_first_values_are_those_of_the_spec(tmp_path: Path) -> None:
    text = SPEC.replace("graph:\n", "init: {'a.*': {constant: 0.25}, 'y.bias': ones}\ngraph:\n", 1)
    weights = train(load(spec(tmp_path, text)), examples(), Settings(epochs=0)).weights
    assert (weights["a.weight"] == 0.25).all() and (weights["a.bias"] == 0.25).all() and (weights["y.bias"] == 1).all()
    assert weights["y.weight"].std() > 0.1
