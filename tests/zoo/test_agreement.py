"""Every target gives what the reference gives: same random weights, same inputs, in float32."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from netwright.backends.executable import Executable
from netwright.driver.build import Build, Weights, compile_model
from netwright.driver.model import load
from netwright.spec.zoo_index import zoo_names

from .cases import CASES
from .running import error
from .test_all import LIBRARIES

TARGETS = ("numpy", "jax", "onnx", "triton")
CLOSE = 1e-4
"""Relative to the largest value of an output."""


LARGE = {"transfer", "stable_diffusion", "gpt3"}
"""Made of full-size parts, which are here by themselves."""
PARTS = {"sd_vae_encoder", "sd_vae_decoder"}
"""Together they are sd_vae."""


def test_no_family_is_left_out() -> None:
    here = {case.model for case in CASES.values()}
    families: dict[object, set[str]] = {}
    for name, (entry, *_) in zoo_names().items():
        families.setdefault(entry.path, set()).add(name)
    missing = {min(names) for names in families.values() if not names & here}
    assert missing == LARGE | PARTS | LIBRARIES


@cache
def run(name: str, target: str) -> list[dict[str, np.ndarray]]:
    """The outputs of each call of a case, and behind them the states that are left."""
    case = CASES[name]
    model = load(f"zoo:{case.model}", given=case.given, **case.args)
    net: Executable = compile_model(model, Build(target), Weights(seed=7, everywhere=True))
    results = [net.run(entry, **inputs) for entry, inputs in case.calls]
    return [*results, {name: np.array(value) for name, value in net.states.items()}]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", CASES)
def test_agreement(name: str, target: str) -> None:
    wanted, got = run(name, "reference"), run(name, target)
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
    (outputs, _) = run(name, target)
    rows = [(bool(row >> 1), bool(row & 1)) for row in range(4)]
    assert outputs["fires"].tolist() == [float(TRUTH[name](*row)) for row in rows]


@pytest.mark.parametrize("target", ("reference", *TARGETS))
def test_not(target: str) -> None:
    (outputs, _) = run("not_gate", target)
    assert outputs["fires"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("target", ("reference", *TARGETS))
def test_cache(target: str) -> None:
    """With a cache, piece by piece, the same as the whole text at once."""
    (whole, _), steps = run("gpt2", target), run("gpt2, cache", target)
    for at, outputs in zip((5, 6, 9, 10), steps, strict=False):
        assert error(outputs["logits"], whole["logits"][:, at]) < CLOSE
    assert steps[-1]["at"] == 11
