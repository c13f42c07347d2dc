"""Exports that are stopped: what was there stays, and no model stands beside the data of another one."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import netwright as nw
from netwright.backends.api import Options
from netwright.backends.onnx import OnnxBackend, backend
from netwright.driver.build import Build, Weights, compile_program

EXTERNAL = Options(settings={"external": True})


def export(path: Path, seed: int) -> None:
    made = compile_program(nw.load("zoo:lenet5"), Build("onnx", EXTERNAL), Weights(seed=seed))
    OnnxBackend().export(made.program, made.weights, "main", path, EXTERNAL)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_full_disk_leaves_the_export_before(tmp_path: Path) -> None:
    export(tmp_path / "net.onnx", seed=1)
    before = contents(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        with pytest.raises(nw.BackendError, match="cannot write"):
            export(tmp_path / "net.onnx", seed=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert contents(tmp_path) == before


def test_an_interrupt_leaves_the_export_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(tmp_path / "net.onnx", seed=1)
    before = contents(tmp_path)

    def stopped(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backend, "_write_weights", stopped)
    with pytest.raises(KeyboardInterrupt):
        export(tmp_path / "net.onnx", seed=2)
    assert contents(tmp_path) == before


def test_a_kill_between_two_renames_leaves_no_model_with_foreign_data(tmp_path: Path) -> None:
    export(tmp_path / "net.onnx", seed=1)
    script = """
import os, sys
from pathlib import Path
from tests.security.test_export import export
rename = os.replace
def once(*given):
    rename(*given)
    os.kill(os.getpid(), 9)
os.replace = once
export(Path(sys.argv[1]), seed=2)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "net.onnx")], cwd=root, env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "net.onnx").exists()
    assert (tmp_path / "net.onnx.data").exists()
