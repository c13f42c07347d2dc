"""Meshes and TPU topologies as they are typed: `--mesh`, `--shard`, `--device tpu:...`, `--no-weights`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .conftest import Cli


def test_compile_over_a_mesh(cli: Cli, spec: Path, tmp_path: Path) -> None:
    folder = str(tmp_path / "b")
    options = ("--target", "jax", "--mesh", "data=2, model=2", "--shard", "x=data,-", "--shard", "a.weight=model,-")
    data = cli("compile", spec, *options, "-o", folder, "--json").fine()
    assert '"mesh": [' in data
    text = (tmp_path / "b" / "model.py").read_text()
    assert "MESH = {'data': 2, 'model': 2}" in text and "'a.weight': ('model', None)," in text
    cli("compile", spec, "--target", "jax", "--mesh", "none", "-o", folder).fine()
    assert "MESH" not in (tmp_path / "b" / "model.py").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mesh", "data"], "write --mesh data=2,model=4, or --mesh none"),
        (["--mesh", "data=x"], "write --mesh data=2,model=4"),
        (["--mesh", "data=2,data=2"], "--mesh names the axis data twice"),
        (["--mesh", "data=0"], "the mesh axis `data` has 0 chips"),
        (["--shard", "x=data"], "there is no mesh"),
        (["--mesh", "data=2", "--shard", "x=d;a,-"], "--shard x=d;a,-: write mesh axes with commas between"),
        (["--mesh", "data=2", "--shard", "x=dat,-"], "--shard x=dat,-:1:3: error: the mesh has no axis `dat`"),
        (["--mesh", "data=3", "--shard", "a.weight=data,-"], "`a.weight`: 4 is not divisible by the 3 chips of `data`"),
        (["--mesh", "data=2", "--target", "numpy"], "target numpy runs on one device"),
        (["--weights", ".", "--no-weights"], "say one of them"),
        (["--device", "tpu:v5e"], "is no TPU topology; write tpu:v5e:SHAPE"),
    ],
)
def test_mistakes(cli: Cli, spec: Path, tmp_path: Path, options: list[str], message: str) -> None:
    target = [] if "--target" in options else ["--target", "jax"]
    said = cli("compile", spec, *target, *options, "-o", str(tmp_path / "b")).refused()
    assert message in said
    assert not (tmp_path / "b").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="libtpu is for Linux")
def test_compile_for_a_tpu(cli: Cli, spec: Path, tmp_path: Path) -> None:
    folder = str(tmp_path / "b")
    options = ("--target", "jax", "--device", "tpu:v5e:1x1", "--dim", "N=8", "--no-weights", "-o", folder)
    said = cli("compile", spec, *options).fine()
    assert "main.tpu" in said and "weights.safetensors" not in said
    for words in ("arguments in HBM", "temporaries in HBM", "FLOPs", "bytes accessed", "roofline time", "per chip of"):
        assert words in said
    assert said.rstrip().endswith("small for jax; without weights")
