"""Bundles for an architecture: what the manifest says of each kernel, and where they do not run."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from netwright.backends import registry
from netwright.backends.api import BackendError, Options
from netwright.driver.model import load

MAIN = "from netwright.cli.main import main; main()"


def netwright(*words: str, interpret: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    return run_python(MAIN, *words, interpret=interpret)


def run_python(script: str, *words: str, interpret: str | None = None) -> subprocess.CompletedProcess[str]:
    """A script in a process of its own (one that interprets cannot compile), which sees no GPU."""
    kept = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    path = os.pathsep.join(each for each in sys.path if each)
    environment = {**kept, "PYTHONPATH": path, "COLUMNS": "200", "CUDA_VISIBLE_DEVICES": ""}
    if interpret is not None:
        environment["TRITON_INTERPRET"] = interpret
    return subprocess.run([sys.executable, "-c", script, *words], env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A bundle for sm_90, made where kernels would be interpreted."""
    folder = tmp_path_factory.mktemp("made") / "bundle"
    done = netwright("compile", "zoo:lenet5", "-t", "triton", "--device", "sm_90", "-o", str(folder), interpret="1")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["kernel", "registers", "shared", "spills", "warps", "stages"] in rows
    assert any(row[:1] == ["main"] for row in rows), "the launches of the entry"
    assert "kernels for sm_90" in done.stdout
    return folder


def test_the_manifest_lists_each_kernel(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    facts = manifest["backend"]
    assert manifest["device"] == facts["device"] == "sm_90"
    assert facts["launches"]["main"]["kernels"] == len(facts["kernels"])
    text = (folder / "model.py").read_text()
    for name, kernel in facts["kernels"].items():
        assert f"def {name}(" in text
        assert 0 < kernel["registers"] <= 255 and kernel["shared_bytes"] <= 232448 and kernel["spill_bytes"] >= 0
        assert kernel["warps"] in (1, 2, 4, 8, 16) and kernel["stages"] >= 0 and kernel["architecture"] == "sm_90"
        data = (folder / kernel["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == kernel["sha256"] == manifest["files"][kernel["file"]]["sha256"]


def test_the_same_bytes_again(folder, tmp_path):
    done = netwright("compile", "zoo:lenet5", "-t", "triton", "--device", "sm_90", "-o", str(tmp_path / "b"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["backend"]["kernels"]
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert names == sorted(
        str(path.relative_to(tmp_path / "b")) for path in (tmp_path / "b").rglob("*") if path.is_file()
    )
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def refused(*words: str) -> str:
    """The one message of a command that fails."""
    done = netwright(*words)
    assert done.returncode == 1
    assert done.stdout == "" and len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr.strip()


def test_a_bundle_for_a_gpu_that_is_not_here(folder):
    said = refused("run", str(folder), "-i", "image=random")
    assert said.startswith("error: this bundle is for sm_90 (H100, H200): ") and "interpreter" in said


PYTHON = """
import sys
import numpy as np
import netwright as nw

net = nw.compile("zoo:xor_mlp", "triton", device="sm_90")
net.save(sys.argv[1])
assert net.manifest["backend"]["kernels"]
for attempt in (lambda: net(x=np.zeros((1, 2), np.float32)), lambda: nw.open(sys.argv[1])):
    try:
        attempt()
    except nw.BackendError as error:
        print(error)
"""


def test_in_python_the_gpu_is_looked_for_at_the_first_call(tmp_path):
    """Compiled and saved where there is none; the call, and to open it, are refused in one line."""
    done = run_python(PYTHON, str(tmp_path / "bundle"))
    assert done.returncode == 0, done.stderr
    called, opened = done.stdout.splitlines()
    assert called == opened and called.startswith("this bundle is for sm_90 (H100, H200): ")
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert "not read" in manifest["backend"]["run"]


def test_no_gpu_is_never_another_device():
    said = refused("run", "zoo:xor_mlp", "-t", "triton", "-i", "x=random")
    assert said.startswith("error: device cuda: ")


def test_the_interpreter_by_name():
    done = netwright("run", "zoo:xor_mlp", "-t", "triton", "--device", "interpreter", "-i", "x=[[0, 1]]", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["target"] == "triton"


def test_devices_and_settings_that_are_unknown():
    for options, words in ((Options("sm_91"), "nearest is sm_90"), (Options(settings={"fast": 1}), "no settings")):
        with pytest.raises(BackendError, match=words):
            registry.get("triton").emit(load("zoo:xor_mlp").program, {}, options)
