"""Bundles: equal bytes everywhere, whole or absent, refused when changed, and running again in a bare environment."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import netwright as nw
from netwright.backends import bundle
from netwright.backends.api import Emission
from netwright.driver.build import Build, Weights, write_bundle

TARGETS = ("numpy", "jax", "onnx", "triton", "reference")
SPEC = """
netwright: 1
name: small
args: {classes: 3}
inputs:
  x: {type: 'float[N, 5]', doc: "quotes ' and \\" and '''"}
graph:
  - {op: linear, name: a, features: 4}
  - tanh
  - {op: linear, name: b, features: classes}
  - {op: softmax, name: p}
outputs: {p: p}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_equal_bytes_in_any_folder_under_any_hash_seed(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        import netwright as nw
        from netwright.driver.build import Build, Weights, write_bundle
        for name in ("zoo:lenet5", "zoo:gru"):
            for target in ("numpy", "jax", "onnx", "triton", "reference"):
                write_bundle(nw.load(name), Path(sys.argv[1]) / name[4:] / target, Build(target), Weights(seed=3))
        """
    )
    found = []
    for seed, folder in (("0", "here"), ("4242", "some/where/else")):
        place = tmp_path / folder
        place.mkdir(parents=True)
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", script, str(place)], check=True, env=environment, cwd=place)
        found.append(contents(place))
    assert found[0].keys() == found[1].keys()
    assert len(found[0]) > 20
    for name, data in found[0].items():
        assert data == found[1][name], name


@pytest.mark.parametrize("target", TARGETS)
def test_a_saved_bundle_runs_again_in_a_fresh_process(target: str, spec: Path, tmp_path: Path) -> None:
    net = nw.compile(spec, target, seed=1)
    x = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    wanted = net(x=x)["p"]
    net.save(tmp_path / "saved")
    np.save(tmp_path / "x.npy", x)
    script = (
        "import sys, numpy as np, netwright as nw; "
        "net = nw.open(sys.argv[1] + '/saved'); "
        "np.save(sys.argv[1] + '/y.npy', net(x=np.load(sys.argv[1] + '/x.npy'))['p'])"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), wanted)


def test_the_numpy_bundle_of_resnet50_needs_only_numpy_and_safetensors(tmp_path: Path) -> None:
    folder = tmp_path / "resnet50"
    write_bundle(nw.load("zoo:resnet50"), folder, Build("numpy"), Weights(seed=0))
    script = textwrap.dedent(
        """
        import sys

        class Refuse:
            allowed = {"numpy", "safetensors", "ml_dtypes", "model"}
            def find_spec(self, name, path=None, target=None):
                top = name.partition(".")[0]
                if top in sys.stdlib_module_names or top in self.allowed or top.startswith("_"):
                    return None
                raise ImportError("refused " + name)

        sys.meta_path.insert(0, Refuse())
        sys.path.insert(0, sys.argv[1])
        import numpy as np
        import model
        net = model.load()
        y = net(image=np.ones((1, 3, 64, 64), np.float32))["logits"]
        assert y.shape == (1, 1000) and np.isfinite(y).all()
        assert "netwright" not in sys.modules and "onnxruntime" not in sys.modules
        """
    )
    subprocess.run([sys.executable, "-I", "-c", script, str(folder)], check=True, cwd="/")


@pytest.mark.parametrize("target", ["numpy", "onnx", "jax"])
def test_one_bundle_serves_every_batch(target: str) -> None:
    net = nw.compile("zoo:lenet5", target)
    picture = np.random.default_rng(1).standard_normal((8, 1, 32, 32)).astype(np.float32)
    whole = net(image=picture)["probabilities"]
    for batch in (1, 3, 8):
        part = net(image=picture[:batch])["probabilities"]
        np.testing.assert_allclose(part, whole[:batch], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("target", TARGETS)
def test_changed_files_are_refused(target: str, spec: Path, tmp_path: Path) -> None:
    original = tmp_path / "original"
    write_bundle(nw.load(spec), original, Build(target), Weights())
    for name in contents(original):
        if name == bundle.MANIFEST:
            continue
        folder = tmp_path / f"changed-{name.replace('/', '-')}"
        shutil.copytree(original, folder)
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(bytes(data))
        with pytest.raises(nw.BackendError, match="changed or damaged"):
            nw.open(folder)
        (folder / name).unlink()
        with pytest.raises(nw.BackendError, match="missing"):
            nw.open(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.pop("files"), "no target or no files"),
        (lambda m: m.update(format=99), "format 1 is wanted"),
        (lambda m: m.update(target="nmpy"), "did you mean numpy"),
        (lambda m: m["files"].update({"../evil.py": {"sha256": "0", "bytes": 1}}), "no file of a bundle"),
        (lambda m: m["files"].update({"/etc/passwd": {"sha256": "0", "bytes": 1}}), "no file of a bundle"),
        (lambda m: m["signature"].pop("entries"), "signature cannot be read"),
        (lambda m: m["signature"]["entries"]["main"]["inputs"][0].update(dtype="object"), "signature cannot be read"),
        (lambda m: m["signature"]["entries"]["main"]["inputs"][0].update(shape=["__import__('os')"]), "cannot be read"),
    ],
)
def test_a_changed_manifest_is_refused(change: object, words: str, spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(nw.load(spec), folder, Build("numpy"), Weights())
    manifest = json.loads((folder / bundle.MANIFEST).read_text())
    change(manifest)  # type: ignore[operator]
    (folder / bundle.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(nw.BackendError, match=words):
        nw.open(folder)


def test_files_reached_by_links_are_refused(spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(nw.load(spec), folder, Build("numpy"), Weights())
    (tmp_path / "model.py").write_bytes((folder / "model.py").read_bytes())
    (folder / "model.py").unlink()
    (folder / "model.py").symlink_to(tmp_path / "model.py")
    with pytest.raises(nw.BackendError, match="no plain file"):
        nw.open(folder)


def test_what_is_no_bundle_is_not_replaced(spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "thesis.tex").write_text("words")
    with pytest.raises(nw.BackendError, match="is no bundle"):
        write_bundle(nw.load(spec), folder, Build("numpy"), Weights())
    assert (folder / "thesis.tex").read_text() == "words"


def test_a_full_disk_leaves_what_was_there(spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(nw.load(spec), folder, Build("numpy"), Weights(seed=1))
    before = contents(folder)

    def full(file: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(nw.BackendError, match="No space left"):
        bundle.write(folder, Emission({"model.py": b"x", "weights.bin": full}), {}, {"target": "numpy"})
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_kill_in_the_middle_leaves_no_half_bundle(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from netwright.backends import bundle
        from netwright.backends.api import Emission

        def slow(file):
            file.write(b"x" * 1000)
            Path(sys.argv[1], "begun").touch()
            time.sleep(60)

        bundle.write(Path(sys.argv[1]) / "bundle", Emission({"a": b"1", "b": slow}, False), {}, {"target": "numpy"})
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / "begun").exists()
    assert not (tmp_path / "bundle").exists()


def test_large_tensors_are_used_where_they_lie(tmp_path: Path) -> None:
    """What is small is copied; tensors of odd sizes do not push the others from their places."""
    large = np.random.default_rng(0).standard_normal(600_000)
    tensors = {
        "a": large.astype(np.float32),
        "b": np.arange(3, dtype=np.int8),
        "c": large.astype(np.float32).reshape(600, 1000),
        "d": np.zeros((0, 4), np.float32),
        "e": np.asarray(2.5),
    }
    with open(tmp_path / "weights.safetensors", "wb") as file:
        bundle.write_safetensors(file, tensors)
    found = bundle.SafetensorsFile(tmp_path / "weights.safetensors")
    assert [name for name in found if not found[name].flags.writeable] == ["a", "c"]
    for name, array in tensors.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)
