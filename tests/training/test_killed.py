"""Runs in processes of their own, killed at random moments, interrupted, and under several hash seeds."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netwright.driver.training.session import CHECKPOINT, CURVE, METRICS, WEIGHTS

from .small import data_file, spec

KILLS = 10
EPOCHS = 150
COMMAND = "from netwright.cli.main import main; main()"


def start(folder: Path, name: str, *more: str, hash_seed: str = "0") -> subprocess.Popen[str]:
    words = [
        "train",
        "small.yaml",
        "--data",
        "data.npz",
        "-o",
        name,
        "--epochs",
        str(EPOCHS),
        "--validation",
        "0.2",
        "--save-every",
        "0.01",
        *more,
    ]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words], cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )  # fmt: skip


def lines(folder: Path) -> int:
    path = folder / METRICS
    return len(path.read_text().splitlines()) if path.exists() else 0


def wait_for(process: subprocess.Popen[str], folder: Path, count: int) -> None:
    """Until the measures have so many lines, or the run is over."""
    end = time.monotonic() + 120
    while lines(folder) < count and process.poll() is None:
        assert time.monotonic() < end, "the run does not get on"
        time.sleep(0.002)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    spec(tmp_path, epochs=str(EPOCHS))
    data_file(tmp_path, 400)
    return tmp_path


def test_killed_at_random_moments_it_comes_to_the_same_weights(folder: Path) -> None:
    whole = start(folder, "whole", hash_seed="1")
    assert whole.wait() == 0, whole.communicate()
    chance = random.Random(0)
    run = folder / "run"
    killed = 0
    for turn in range(KILLS):
        resume = ["--resume"] if (run / CHECKPOINT).exists() else []
        process = start(folder, "run", *resume, hash_seed=str(turn))
        wait_for(process, run, lines(run) + chance.randrange(1, 2 * EPOCHS // KILLS))
        time.sleep(chance.random() * 0.02)
        process.kill()
        killed += process.wait() == -signal.SIGKILL
        process.communicate()
        assert (run / CHECKPOINT).exists()
    assert killed >= KILLS // 2
    last = start(folder, "run", "--resume")
    _, err = last.communicate()
    assert last.returncode == 0, err
    for name in (WEIGHTS, CURVE):
        assert (run / name).read_bytes() == (folder / "whole" / name).read_bytes(), name
    assert lines(run) == EPOCHS
    # What the killed ones were writing is gone.
    assert {path.name for path in run.iterdir()} == {WEIGHTS, CHECKPOINT, METRICS, CURVE}


def test_ctrl_c_saves_and_says_how_to_go_on(folder: Path) -> None:
    process = start(folder, "run")
    wait_for(process, folder / "run", 2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err and "interrupted" in out and "--resume -o run" in out
    assert {path.name for path in (folder / "run").iterdir()} == {WEIGHTS, CHECKPOINT, METRICS, CURVE}
    assert 2 <= lines(folder / "run") < EPOCHS
