"""Manifests from anyone: refused with one message, or harmless."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netwright as nw
from netwright.backends import bundle
from netwright.backends.api import Emission
from netwright.backends.executable import InputError
from netwright.backends.signature import SignatureError, from_json
from netwright.driver.build import Build, Weights, write_bundle

SPEC = """
netwright: 1
name: small
inputs:
  x: float[N, 4]
  k: {type: 'int64[M]', from: {default: [1]}}
graph:
  - {op: linear, name: a, in: x, features: 3}
outputs: {y: a, k: k}
"""
WILD: tuple[Any, ...] = (
    None, True, -1, 2**63, 10**400, 1.5, float("nan"), "", "x", "\0", "../x", "a" * 5000, "(" * 5000, "9" * 5000,
    "*".join(["(N + M + 1)"] * 60), "1 // 0", [], [[]], [1, 2, 3], {}, {"": {}}, {"a": {"b": []}},
)  # fmt: skip


def places(data: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything in a manifest."""
    keys = data.keys() if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for key in keys:
        yield (*at, key)
        yield from places(data[key], (*at, key))


def changed(data: Any, at: tuple[Any, ...], value: Any) -> Any:
    made = copy.deepcopy(data)
    inner = made
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("manifest")
    (root / "small.yaml").write_text(SPEC)
    write_bundle(nw.load(root / "small.yaml"), root / "bundle", Build("numpy"), Weights())
    return root / "bundle"


def test_every_place_with_every_wild_value(folder: Path, tmp_path: Path) -> None:
    manifest = json.loads((folder / bundle.MANIFEST).read_text())
    copied = tmp_path / "bundle"
    shutil.copytree(folder, copied)
    x = np.ones((1, 4), np.float32)
    refused = 0
    for at in places(manifest):
        for value in WILD:
            (copied / bundle.MANIFEST).write_text(json.dumps(changed(manifest, at, value)))
            try:
                nw.open(copied)(x=x, k=[1])
            except (nw.BackendError, InputError) as error:
                refused += 1
                assert len(str(error)) < 20_000
    assert refused > 500


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ("*".join(["(N + M + 1)"] * 60), "too many terms"),
        ("1 // 0", "divided by zero"),
        ("9" * 30, "not a dimension"),
        ("(" * 3000, "too deep"),
        (2**31, "2\\^31 or more"),
        (-1, "negative"),
        (True, "no whole number"),
        (1.0, "no whole number"),
    ],
)
def test_sizes_are_bounded(folder: Path, size: Any, words: str) -> None:
    data = json.loads((folder / bundle.MANIFEST).read_text())["signature"]
    data["entries"]["main"]["inputs"][0]["shape"][1] = size
    with pytest.raises(SignatureError, match=words):
        from_json(data)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"format": 1, "format": 1, "target": "numpy", "files": {}}', "a key stands twice"),
        ("[" * 100_000, "cannot be read"),
        ('{"format": ' + "9" * 5000 + "}", "cannot be read"),
        ("\udcff", "cannot be read"),
        ("[]", "format 1 is wanted"),
    ],
)
def test_texts_that_are_no_manifest(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / bundle.MANIFEST).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(nw.BackendError, match=words):
        nw.open(tmp_path)


def test_a_manifest_that_never_ends_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / bundle.MANIFEST)
    with pytest.raises(nw.BackendError, match="is no bundle"):
        nw.open(tmp_path)


def test_only_bundles_of_ours_are_replaced(tmp_path: Path, folder: Path) -> None:
    # A web extension has a manifest.json too.
    other = tmp_path / "extension"
    other.mkdir()
    (other / "manifest.json").write_text('{"manifest_version": 3}')
    copied = tmp_path / "bundle"
    shutil.copytree(folder, copied)
    (copied / "notes.txt").write_text("mine")
    for precious in (other, copied):
        before = sorted(precious.iterdir())
        with pytest.raises(nw.BackendError, match="is no bundle"):
            nw.open(folder).save(precious)
        assert sorted(precious.iterdir()) == before


def test_a_bundle_that_was_imported_is_replaced(tmp_path: Path, folder: Path) -> None:
    copied = tmp_path / "bundle"
    shutil.copytree(folder, copied)
    (copied / "__pycache__").mkdir()
    (copied / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"")
    nw.open(folder).save(copied)
    assert not (copied / "__pycache__").exists()


def test_without_a_home_bundles_open(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(bundle, "cache_folder", homeless)
    monkeypatch.setattr(bundle, "_LARGE", 0)
    assert nw.open(folder)(x=np.ones((1, 4), np.float32), k=[1])["y"].shape == (1, 3)


def test_weights_of_another_shape_are_refused(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "bundle"
    shutil.copytree(folder, copied)
    manifest = json.loads((copied / bundle.MANIFEST).read_text())
    loaded = bundle.read(folder).weights
    weights = {name: np.zeros((7, 7), np.float32) for name in loaded}
    files = {name: (copied / name).read_bytes() for name in manifest["files"] if name != bundle.WEIGHTS}
    shutil.rmtree(copied)
    facts = {key: manifest[key] for key in manifest if key not in ("files", "format")}
    bundle.write(copied, Emission(files), weights, facts)
    with pytest.raises(nw.BackendError, match="the weight .* is float32"):
        nw.open(copied)
