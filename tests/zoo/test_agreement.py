"""Every target gives what the reference gives: same random weights, same inputs, in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest

from netwright.backends.executable import Executable
from netwright.driver.build import Build, Weights, compile_model
from netwright.driver.model import load

from .running import error, random_floats, random_ids

TARGETS = ("numpy", "jax", "onnx")
CLOSE = 1e-4
"""Relative to the largest value of an output."""

Outputs = dict[str, np.ndarray]
Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A model, and calls of its entries one after another; state is kept between them."""

    model: str
    calls: tuple[tuple[str, Inputs], ...]
    args: Mapping[str, Any] = field(default_factory=dict)
    given: tuple[str, ...] = ()


def once(model: str, inputs: Inputs, *given: str, **args: Any) -> Case:
    """One call of the main entry."""
    return Case(model, (("main", inputs),), args, given)


def gate(name: str, width: int) -> Case:
    """All combinations of the inputs of a gate."""
    rows = [[float(row >> at & 1) for at in reversed(range(width))] for row in range(2**width)]
    return once(name, {"x": np.array(rows, np.float32)})


GPT2 = {"depth": 2, "width": 48, "heads": 4, "vocabulary": 97, "context": 32, "new_tokens": 6, "stop": 96}
BERT = {"depth": 2, "width": 48, "heads": 4, "hidden": 96, "vocabulary": 97, "context": 32}
DEEP = {"layers": 2, "bidirectional": True}
IDS = random_ids(3, 11, below=97)
MASK = np.arange(11) < np.array([[11], [4], [7]])
WORDS = random_floats(3, 9, 32)
LENGTHS = np.array([9, 2, 5])

CASES: dict[str, Case] = {
    "mcculloch_pitts": gate("mcculloch_pitts", 2),
    "and_gate": gate("and_gate", 2),
    "or_gate": gate("or_gate", 2),
    "not_gate": gate("not_gate", 1),
    "xor_gate": gate("xor_gate", 2),
    "perceptron": once("perceptron", {"x": random_floats(5, 2)}),
    "xor_mlp": once("xor_mlp", {"x": random_floats(5, 2)}),
    "ffnn": once("ffnn", {"x": random_floats(5, 2)}),
    "mlp": once("mlp", {"x": random_floats(5, 784)}),
    "mlp, deeper": once("mlp", {"x": random_floats(5, 20)}, size=20, hidden=[9, 8, 7, 6], activation="relu"),
    "lenet5": once("lenet5", {"image": random_floats(3, 1, 32, 32)}),
    "vgg16": once("vgg16", {"image": random_floats(2, 3, 64, 64)}, size=64, width=16, hidden=64),
    "resnet18": once("resnet18", {"image": random_floats(2, 3, 64, 48)}),
    "resnet50": once("resnet50", {"image": random_floats(2, 3, 64, 48)}),
    "rnn": once("rnn", {"x": WORDS}),
    "lstm": once("lstm", {"x": WORDS}),
    "lstm, deep": once("lstm", {"x": WORDS, "lengths": LENGTHS}, "lengths", **DEEP),
    "gru": once("gru", {"x": WORDS}),
    "gru, deep": once("gru", {"x": WORDS, "lengths": LENGTHS}, "lengths", **DEEP),
    "bert_base": once("bert_base", {"ids": IDS, "mask": MASK}, "mask", **BERT),
    "bert_base, one layer": once("bert_base", {"ids": random_ids(1, 24, below=500)}, depth=1, vocabulary=500),
    "gpt2": once("gpt2", {"ids": IDS}, **GPT2),
    "gpt2, cache": Case(
        "gpt2",
        (
            ("prefill", {"ids": IDS[:, :6]}),
            ("decode", {"token": IDS[:, 6]}),
            ("prefill", {"ids": IDS[:, 7:10]}),
            ("decode", {"token": IDS[:, 10]}),
        ),
        GPT2,
    ),
    "gpt2, generate": Case("gpt2", (("generate", {"ids": IDS, "temperature": 1.0, "seed": 0}),), GPT2),
    "gpt2, one layer": once("gpt2", {"ids": random_ids(1, 24, below=500)}, depth=1, vocabulary=500),
    "unet": once("unet", {"image": random_floats(1, 1, 60, 68)}, depth=2, width=16),
    "unet_same": once("unet_same", {"image": random_floats(2, 1, 32, 48)}, depth=3, width=16),
}


def run(case: Case, target: str) -> list[Outputs]:
    """The outputs of each call, and behind them the states that are left."""
    model = load(f"zoo:{case.model}", given=case.given, **case.args)
    net: Executable = compile_model(model, Build(target), Weights(seed=7, everywhere=True))
    results = [net.run(entry, **inputs) for entry, inputs in case.calls]
    return [*results, {name: np.array(value) for name, value in net.states.items()}]


@cache
def reference(name: str) -> list[Outputs]:
    return run(CASES[name], "reference")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_agreement(name: str, target: str) -> None:
    wanted = reference(name)
    got = run(CASES[name], target)
    assert [list(outputs) for outputs in got] == [list(outputs) for outputs in wanted]
    for outputs, right in zip(got, wanted, strict=True):
        for key, value in right.items():
            if value.dtype.kind == "f":
                assert error(outputs[key], value) < CLOSE, key
            else:
                assert np.array_equal(outputs[key], value), key


TRUTH: dict[str, Callable[[bool, bool], bool]] = {
    "and_gate": lambda a, b: a and b,
    "or_gate": lambda a, b: a or b,
    "xor_gate": lambda a, b: a != b,
}


@pytest.mark.parametrize("target", ("reference", *TARGETS))
@pytest.mark.parametrize("name", TRUTH)
def test_truth(name: str, target: str) -> None:
    (outputs, _) = run(CASES[name], target)
    rows = [(bool(row >> 1), bool(row & 1)) for row in range(4)]
    assert outputs["fires"].tolist() == [float(TRUTH[name](*row)) for row in rows]


@pytest.mark.parametrize("target", ("reference", *TARGETS))
def test_not(target: str) -> None:
    (outputs, _) = run(CASES["not_gate"], target)
    assert outputs["fires"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("target", ("reference", *TARGETS))
def test_cache(target: str) -> None:
    """With a cache, piece by piece, the same as the whole text at once."""
    (whole, _), steps = run(CASES["gpt2"], target), run(CASES["gpt2, cache"], target)
    for at, outputs in zip((5, 6, 9, 10), steps, strict=False):
        assert error(outputs["logits"], whole["logits"][:, at]) < CLOSE
    assert steps[-1]["at"] == 11
