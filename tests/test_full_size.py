"""The zoo at full size: what is too large is not tried, what takes too much is ended, what ran is on the page."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from netwright.benchmarks import full_size, full_sizes, watched

LIMITS = watched.Limits(2**31, 30)


def python(code: str, folder: Path, limits: watched.Limits = LIMITS) -> None:
    watched.run([sys.executable, "-c", code], limits, folder / "log.txt", os.environ)


def test_a_process_within_its_limits(tmp_path: Path) -> None:
    python("print('done')", tmp_path)
    assert (tmp_path / "log.txt").read_text() == "done\n"


@pytest.mark.parametrize(
    ("code", "limits", "words"),
    [
        ("import time; time.sleep(60)", watched.Limits(2**31, 0.3), "took more than 0 s"),
        ("import time; x = b'1' * 2**28; time.sleep(60)", watched.Limits(2**27, 30), "took more than 0.1 GiB"),
        ("raise SystemExit('it is broken')", LIMITS, "it is broken"),
        ("raise SystemExit(3)", LIMITS, "ended with code 3"),
    ],
)
def test_a_process_beyond_them(code: str, limits: watched.Limits, words: str, tmp_path: Path) -> None:
    with pytest.raises(watched.WatchedError, match=words):
        python(code, tmp_path, limits)


def test_what_is_too_large_is_not_tried() -> None:
    (case,) = full_sizes.cases({"gpt3"})
    options = argparse.Namespace(targets=("numpy",), memory=0.8, seconds=60, threads=1)
    (found,) = full_size.measured(case, options, {})
    assert found["does_not_fit"].startswith("325.2 GiB of weights")
    assert found["targets"] == {}


def test_a_model_and_its_page() -> None:
    (case,) = full_sizes.cases({"ffnn"})
    options = argparse.Namespace(targets=("numpy", "onnx"), memory=0.8, seconds=120, threads=1)
    *_, found = full_size.measured(case, options, {})
    assert set(found["targets"]) == {"numpy", "onnx"}
    for result in found["targets"].values():
        assert "problem" not in result and result["finite"] and result["draws"] == 1
    assert found["targets"]["onnx"]["difference"] < 1e-6
    page = full_size.page({"machine": {"processor": "one"}, "cases": {"ffnn": found}})
    assert "| ffnn | - | 9 |" in page and "What failed" not in page


def test_large_models_are_exported_too() -> None:
    small, large = full_sizes.FullSize("small", 9), full_sizes.FullSize("large", 2**30)
    assert full_size._targets(small, ("numpy", "onnx")) == ["numpy", "onnx"]
    assert full_size._targets(large, ("numpy", "onnx")) == ["numpy", "onnx", "file"]
    assert full_size._targets(large, ("numpy",)) == ["numpy"]


def test_detectors_are_compared_by_their_scores(tmp_path: Path) -> None:
    boxes = np.arange(8.0).reshape(2, 4)
    for target, given in (("numpy", boxes), ("onnx", boxes[::-1])):
        (tmp_path / target).mkdir()
        np.savez(tmp_path / target / f"{target}.npz", boxes=given, scores=np.ones(2))
    found: dict[str, full_size.Data] = {"numpy": {}, "onnx": {}}
    full_size._compare(found, tmp_path)
    assert found == {"numpy": {}, "onnx": {"difference": 0.0}}


def test_a_problem_is_on_the_page() -> None:
    found = {"what": "", "parameters": 5, "targets": {"numpy": {"problem": "run: took more than 1 s"}}}
    page = full_size.page({"machine": {}, "cases": {"one": found}})
    assert "- one on numpy: run: took more than 1 s" in page
    assert "| one | - | 5 | 0.00 us | - / - / - |" in page
