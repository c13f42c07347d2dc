"""The race of training steps: the peers learn the same, and a contender whose losses differ is not timed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.benchmarks import report, training
from netwright.benchmarks.race import Result


def test_race(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwright.benchmarks.race.TURN", 0.01)
    results = training.race(training.SMALL[0], tmp_path, 1, 1, 1.0, lambda message: None)
    assert [result.name for result in results] == list(training.CONTENDERS)
    for result in results:
        assert not result.problem, (result.name, result.problem)
        assert result.error is not None and result.error <= 1e-5 and min(result.times) > 0


def test_losses_that_differ_are_a_problem(tmp_path: Path) -> None:
    class Fixed:
        def __init__(self, *losses: float) -> None:
            self.losses = np.asarray(losses)

        def outputs(self, path: Path) -> dict[str, np.ndarray]:
            return {"losses": self.losses}

    running: dict[str, Any] = {
        training.EAGER: Fixed(2.0, 1.0), "our numpy": Fixed(2.0, 1.001), "our onnx": Fixed(2.001, 1.0),
        "our jax": Fixed(2.0, 1.1), training.JIT: Fixed(2.0, float("nan")),
    }  # fmt: skip
    results = [Result(name) for name in training.CONTENDERS]
    training._compare(results, running, tmp_path)
    assert [bool(result.problem) for result in results] == [False, True, True, False, True]


def test_page(tmp_path: Path) -> None:
    results = [Result(name, [0.02, 0.03], 0.0) for name in training.CONTENDERS]
    results[0].times = [0.05, 0.05]
    results[1] = Result(training.CONTENDERS[1], problem="the dog ate it")
    case = report.case_data(training.CASES[0], results, base=training.EAGER)
    data = {"date": "today", "command": "c", "threads": 2, "machine": {"processor": "p"}, "cases": [case]}
    lines = training.page(data).splitlines()
    assert "| lenet5 (batch 64, 32 x 32) | 20.0 (0.50) | - | 40.0 (1.00) | 40.0 (1.00) | 40.0 (1.00) |" in lines
    assert "- our onnx: the dog ate it" in lines
