"""A backend in a package of its own is found, compiled for, verified and refused like ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

TINY = Path(__file__).parent / "tiny_backend"


def netwright(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(TINY)}
    command = [sys.executable, "-c", "from netwright.cli.main import main; main()", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_it_agrees_with_the_reference(tmp_path: Path) -> None:
    done = netwright(
        "verify",
        "zoo:mlp",
        "--targets",
        "tiny",
        "--set",
        "features=6",
        "--set",
        "hidden=[5, 4]",
        "--json",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert '"passed": true' in done.stdout


def test_its_bundle_runs(tmp_path: Path) -> None:
    done = netwright("compile", "zoo:xor_mlp", "--target", "tiny", "-o", "bundle", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "bundle" / "manifest.json").read_text())["target"] == "tiny"
    done = netwright("run", "bundle", "--input", "x=[[0, 1]]", "-o", "out.npz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.npz").exists()


def test_what_it_lacks_is_one_clear_error(tmp_path: Path) -> None:
    done = netwright("compile", "zoo:lenet5", "--target", "tiny", "-o", "bundle", cwd=tmp_path)
    assert done.returncode == 1
    assert "tiny has no conv" in done.stderr
    assert "lenet5.yaml:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "bundle").exists()
