"""Weight files that are refused: damaged and hostile ones, and paths that leave the root."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from safetensors.numpy import save_file

from netwright.compiler.ir import DType, Parameter, TensorType
from netwright.spec.weights import WeightsError, load_weights, open_tensors
from netwright.spec.weights import safetensors_file as format_module
from netwright.spec.weights.foreign import RECIPE

from .weight_files import (
    SMALL,
    Model,
    arrays,
    message_of,
    model,
    parameters,
    same,
    write_file,
    write_raw,
    write_shards,
)

# ---- damaged and hostile files

GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def header(**tensors: Any) -> bytes:
    return json.dumps(tensors).encode()


DAMAGED: list[tuple[str, bytes, str]] = [
    ("empty", b"", "it has 0 bytes"),
    ("seven bytes", b"1234567", "it has 7 bytes"),
    ("huge header", (2**63).to_bytes(8, "little") + b"{}", "its header would have 9223372036854775808 bytes"),
    ("long header", (10**6).to_bytes(8, "little") + b"{}", "cut off: a header of 1000000 bytes in a file of 10"),
    ("no json", b"\x05" + bytes(7) + b"{abc}", "the header is damaged: it is no JSON"),
    ("no utf-8", b"\x04" + bytes(7) + b"{\xff\xfe}", "the header is damaged: it is no JSON"),
    ("a list", b"\x02" + bytes(7) + b"[]", "the header is damaged: it is no mapping"),
]
HEADERS: list[tuple[str, bytes, int, str]] = [
    ("deep", b"[" * 200_000, 0, "the header is damaged: it is nested too deep|it is no JSON"),
    (
        "repeated key",
        b'{"a":' + json.dumps(GOOD).encode() + b',"a":' + json.dumps(GOOD).encode() + b"}",
        8,
        "`a` stands twice",
    ),
    (
        "repeated field",
        b'{"a":{"dtype":"F32","dtype":"F64","shape":[2],"data_offsets":[0,8]}}',
        8,
        "`dtype` stands twice",
    ),
    ("overlap", header(a=GOOD, b=GOOD), 8, "`a` and `b` overlap"),
    ("partial overlap", header(a=GOOD, b=GOOD | {"data_offsets": [4, 12]}), 12, "`a` and `b` overlap"),
    ("hole", header(a=GOOD, b=GOOD | {"data_offsets": [12, 20]}), 20, "4 bytes before `b` belong to no tensor"),
    ("hole in front", header(a=GOOD | {"data_offsets": [4, 12]}), 12, "4 bytes before `a`"),
    ("cut off", header(a=GOOD), 7, "the file is cut off"),
    ("trailing bytes", header(a=GOOD), 9, "has bytes behind its tensors"),
    ("wrong size", header(a=GOOD | {"shape": [3]}), 8, r"is F32\[3\], which does not take 8 bytes"),
    ("unknown dtype", header(a=GOOD | {"dtype": "F31"}), 8, "has no known dtype: `F31`"),
    ("dtype is no text", header(a=GOOD | {"dtype": ["F32"]}), 8, "has no known dtype"),
    ("negative size", header(a=GOOD | {"shape": [-2]}), 8, "has no list of sizes"),
    ("negative sizes", header(a=GOOD | {"shape": [-1, -2]}), 8, "has no list of sizes"),
    ("fraction", header(a=GOOD | {"shape": [2.0]}), 8, "has no list of sizes"),
    ("bool", header(a=GOOD | {"shape": [True, 2]}), 8, "has no list of sizes"),
    ("huge shape", header(a=GOOD | {"shape": [2**62, 2**62, 2**62]}), 8, "does not take 8 bytes"),
    ("many axes", header(a=GOOD | {"shape": [2, *[1] * 100]}), 8, "has no list of sizes"),
    ("backward offsets", header(a=GOOD | {"data_offsets": [8, 0]}), 8, "has no data_offsets"),
    ("not a number", b'{"a": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, 8]}}', 8, "has no list of sizes"),
    ("infinite", b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 1e999]}}', 8, "has no data_offsets"),
    ("more digits than any disk", header(a=GOOD | {"shape": [10**4000]}), 8, "has no list of sizes"),
    ("100 GB", header(a=GOOD | {"shape": [25 * 10**9], "data_offsets": [0, 10**11]}), 8, "the file is cut off"),
    ("three offsets", header(a=GOOD | {"data_offsets": [0, 4, 8]}), 8, "has no data_offsets"),
    ("huge offsets", header(a=GOOD | {"shape": [2**60], "data_offsets": [0, 2**62]}), 8, "the file is cut off"),
    ("no shape", header(a={"dtype": "F32", "data_offsets": [0, 8]}), 8, "must have dtype, shape and data_offsets"),
    ("more fields", header(a=GOOD | {"code": "x"}), 8, "must have dtype, shape and data_offsets"),
    ("a tensor that is a number", header(a=3), 0, "must have dtype, shape and data_offsets"),
    ("metadata", header(a=GOOD, __metadata__={"a": 1}), 8, "`__metadata__` in the header is no mapping of texts"),
]


@pytest.mark.parametrize(("data", "message"), [case[1:] for case in DAMAGED], ids=[case[0] for case in DAMAGED])
def test_damaged_files(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=f"w.safetensors: .*({message})"):
        load_weights(path, parameters(a=(2,)))


@pytest.mark.parametrize(("text", "size", "message"), [case[1:] for case in HEADERS], ids=[case[0] for case in HEADERS])
def test_damaged_headers(tmp_path: Path, text: bytes, size: int, message: str) -> None:
    path = tmp_path / "w.safetensors"
    write_file(path, text, bytes(size))
    with pytest.raises(WeightsError, match=f"w.safetensors: .*({message})"):
        load_weights(path, parameters(a=(2,)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04" + bytes(range(60)), "no safetensors file but an archive, as torch.save writes them; pickles"),
        (b"\x80\x02}q\x00(X\x06\x00" + bytes(60), "no safetensors file but a pickle; pickles are not read"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS, not the file itself"),
        (b"\x89HDF\r\n\x1a\n" + bytes(60), "an HDF5 file, which is not read"),
        (b"GGUF\x03\x00\x00\x00" + b"\xff" * 60, "a GGUF file"),
        (b"\x93NUMPY\x01\x00v\x00{", "a single array"),
        (b"<!DOCTYPE html><html>404</html>", "a web page, not the file"),
    ],
    ids=["torch", "pickle", "lfs", "hdf5", "gguf", "npy", "web page"],
)
def test_what_is_taken_for_safetensors(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "w.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match=rf"w.safetensors: {message}"):
        open_tensors(tmp_path / "w.safetensors")


def test_a_folder_of_pickles(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"holds no .safetensors file but `pytorch_model.bin`; pickles are not read"):
        open_tensors(tmp_path)


def test_the_recipe_for_pickles(tmp_path: Path) -> None:
    """As it is printed, with tensors that share memory or are views."""
    assert RECIPE in (Path(__file__).parents[2] / "docs" / "weights.md").read_text()
    whole = torch.arange(6.0).reshape(2, 3)
    names = {"WEIGHTS.pt": tmp_path / "it's.pt", "WEIGHTS.safetensors": tmp_path / "w.safetensors"}
    torch.save({"state_dict": {"a": whole, "b": whole, "c": whole.T}}, names["WEIGHTS.pt"])
    line = RECIPE.replace("python", shlex.quote(sys.executable), 1)
    for name, path in names.items():
        line = line.replace(name, shlex.quote(str(path)))
    subprocess.run(line, shell=True, check=True)
    values = {"a": whole.numpy(), "b": whole.numpy(), "c": whole.T.numpy().copy()}
    same(load_weights(names["WEIGHTS.safetensors"], parameters(a=(2, 3), b=(2, 3), c=(3, 2))), values)


def test_what_the_library_refuses_is_refused(tmp_path: Path) -> None:
    """Every truncation and many flipped bytes: we never take what the library does not."""
    path = tmp_path / "w.safetensors"
    save_file({"fc.weight": np.ones((2, 3), np.float32), "fc.bias": np.ones(2, np.float32)}, path)
    whole = path.read_bytes()
    changed = [whole[:cut] for cut in range(0, len(whole), 3)]
    random = np.random.default_rng(0)
    for _ in range(300):
        flipped = bytearray(whole)
        flipped[random.integers(0, len(whole) - 32)] ^= 1 << int(random.integers(0, 8))
        changed.append(bytes(flipped))
    taken = 0
    for data in changed:
        path.write_bytes(data)
        try:
            ours = {key: entry.shape for key, entry in open_tensors(path).entries.items()}
        except WeightsError:
            continue
        taken += 1
        with safetensors.safe_open(path, "np") as file:
            assert ours == {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    assert 0 < taken < len(changed) / 2


def test_a_header_above_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(format_module, "LARGEST_HEADER", 100)
    write_file(tmp_path / "w.safetensors", header(a=GOOD).ljust(101), bytes(8))
    with pytest.raises(WeightsError, match=r"its header would have 101 bytes \(100 at most\)"):
        open_tensors(tmp_path / "w.safetensors")


def test_unsupported_dtypes_matter_only_where_they_are_wanted(tmp_path: Path) -> None:
    write_raw(tmp_path / "w.safetensors", [("a", "F8_E4M3", [4], bytes(4)), ("b", "F32", [1], bytes(4))])
    with pytest.raises(WeightsError, match="`a` holds F8_E4M3, the parameter `a` is float32"):
        load_weights(tmp_path / "w.safetensors", parameters(a=(4,), b=(1,)))
    rules = model("plain:\n  - {from: a, ignore: true}")
    same(load_weights(tmp_path / "w.safetensors", parameters(b=(1,)), rules), {"b": np.zeros(1, np.float32)})


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    values = arrays(SMALL)
    save_file(values, tmp_path / "w.safetensors")
    loaded = load_weights(tmp_path / "w.safetensors", SMALL)
    os.truncate(tmp_path / "w.safetensors", 100)
    with pytest.raises(WeightsError, match="the file has changed since it was opened"):
        loaded["fc.weight"]


def test_hostile_npz(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    wanted = parameters(w=(2,))

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    np.savez(path, w=np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(WeightsError, match="`w` holds pickled objects, which are never loaded"):
        load_weights(path, wanted)
    assert not (tmp_path / "exploded").exists()

    np.savez(path, w=np.zeros(2, np.float32))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="the archive is damaged"):
        load_weights(path, wanted)

    at = whole.index(b"descr") + 80
    path.write_bytes(whole[:at] + b"9" + whole[at + 1 :])
    with pytest.raises(WeightsError, match="damaged"):
        load_weights(path, wanted)["w"]

    np.savez(path, w=np.zeros(2, np.float32))
    with zipfile.ZipFile(path, "a") as archive:
        data = archive.read("w.npy")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("w.npy", data)
    with pytest.raises(WeightsError, match="`w` stands twice in the archive"):
        load_weights(path, wanted)

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w.npy", data + bytes(4))
    with pytest.raises(WeightsError, match="`w` has 140 bytes where its header says 136"):
        load_weights(path, wanted)

    # a header that unpacks to 4 GB is not read
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(10**6))
    with pytest.raises(WeightsError, match="an array's header of 4294967295 bytes"):
        load_weights(path, wanted)

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w.py", "print()")
    with pytest.raises(WeightsError, match=r"`w.py` in the archive is no array"):
        load_weights(path, wanted)


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt"])
def test_pickles_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    torch.save({"w": torch.zeros(2)}, path)
    for wanted in ({}, {"sources": model("flat: {header: 20, sequence: [w], each: [weight]}")}):
        with pytest.raises(WeightsError, match=r"pickles are not read(.|\n)*\n  python -c .*weights_only=True"):
            load_weights(path, parameters(w=(2,)), **wanted)


# ---- shards that are refused, and paths that leave the root


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index["weight_map"].pop("scale"), "does not fit(.|\n)*missing: 1 parameter\n +`scale`"),
        (
            lambda index: index["weight_map"].update(more="model-0.safetensors"),
            "has 1 key in model-0.safetensors .*: `more`$",
        ),
        (
            lambda index: index["weight_map"].update(scale="model-0.safetensors"),
            "has 1 key in model-0.safetensors .*: `scale`$",
        ),
        (
            lambda index: index["weight_map"].update(scale="gone.safetensors"),
            "1 of 3 shards is not there: `gone.safetensors`; with it 1 key: `scale`$",
        ),
        (
            lambda index: index["weight_map"].update(scale="../x.safetensors"),
            "is no .safetensors file beside the index",
        ),
        (lambda index: index["weight_map"].update(scale="/etc/passwd"), "is no .safetensors file beside the index"),
        (lambda index: index["weight_map"].update(scale="model.bin"), "names `model.bin`; pickles are not read"),
        (lambda index: index["weight_map"].update(scale=3), "it has no `weight_map`"),
        (lambda index: index.pop("weight_map"), "it has no `weight_map`"),
    ],
)
def test_indices_that_are_refused(tmp_path: Path, change: Callable[[Any], Any], message: str) -> None:
    where = write_shards(tmp_path, arrays(SMALL))
    index = {"weight_map": where}
    change(index)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match=message):
        load_weights(tmp_path, SMALL)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "it is no JSON"),
        ("[]", "it has no `weight_map`"),
        ("[" * 100_000, "nested too deep"),
        ('{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}', "`a` stands twice"),
    ],
)
def test_index_files_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(WeightsError, match=message):
        load_weights(tmp_path, SMALL)


def test_all_that_is_missing_of_shards_is_named(tmp_path: Path) -> None:
    values = {f"layer.{at}.weight": np.zeros(2, np.float32) for at in range(30)}
    wanted = {key: Parameter(key, TensorType(DType.FLOAT32, (2,))) for key in values}
    names = [f"model-{at}.safetensors" for at in range(3)]
    where = {key: names[at // 10] for at, key in enumerate(values)}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    save_file({key: value for key, value in values.items() if where[key] == names[0]}, tmp_path / names[0])
    save_file({key: values[key] for key in list(values)[10:17]}, tmp_path / names[1])
    message = message_of(lambda: load_weights(tmp_path, wanted))
    assert "1 of 3 shards is not there: `model-2.safetensors`; with it 10 keys: `layer.20.weight`, " in message
    assert message.endswith("`layer.29.weight`")
    save_file({key: values[key] for key in list(values)[15:30]}, tmp_path / names[2])
    message = message_of(lambda: load_weights(tmp_path, wanted))
    assert "3 keys in model-1.safetensors that the file does not hold" in message
    assert message.endswith(": `layer.17.weight`, `layer.18.weight`, `layer.19.weight`")
    save_file({key: values[key] for key in list(values)[10:20]}, tmp_path / names[1])
    message = message_of(lambda: load_weights(tmp_path, wanted))
    assert "model-2.safetensors holds 5 keys that the index does not have there: `layer.15.weight`" in message
    save_file({key: values[key] for key in list(values)[20:30]}, tmp_path / names[2])
    same(load_weights(tmp_path, wanted), values)


def test_a_key_in_two_shards_is_refused(tmp_path: Path) -> None:
    values = arrays(SMALL)
    where = write_shards(tmp_path, values)
    twice = {"fc.weight": values["fc.weight"], "scale": values["scale"]}
    save_file(twice, tmp_path / where["fc.weight"])
    with pytest.raises(
        WeightsError, match=f"{where['fc.weight']} holds 1 key that the index does not have there: `scale`$"
    ):
        load_weights(tmp_path, SMALL)
    os.remove(tmp_path / "model.safetensors.index.json")
    with pytest.raises(WeightsError, match=f"`scale` stands in {where['fc.weight']} and in {where['scale']}"):
        load_weights(tmp_path, SMALL)


def test_links_do_not_lead_out_of_the_root(tmp_path: Path) -> None:
    values = arrays(SMALL)
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    where = write_shards(inside, values)
    outside.mkdir()
    shard = inside / where["scale"]
    shard.rename(outside / "secret.safetensors")
    shard.symlink_to(outside / "secret.safetensors")
    for path in (inside, inside / "model.safetensors.index.json"):
        with pytest.raises(WeightsError, match=f"{where['scale']}: outside of .*; a link leads there"):
            load_weights(path, SMALL)
    # a wider root allows it
    same(load_weights(inside, SMALL, root=tmp_path), values)
    # what a person names may be a link, if no root is given
    save_file(values, outside / "all.safetensors")
    (inside / "link.safetensors").symlink_to(outside / "all.safetensors")
    same(load_weights(inside / "link.safetensors", SMALL), values)
    with pytest.raises(WeightsError, match=r"link.safetensors: outside of .*; a link leads there"):
        load_weights(inside / "link.safetensors", SMALL, root=inside)
    with pytest.raises(WeightsError, match="outside of"):
        load_weights(inside / ".." / "outside" / "all.safetensors", SMALL, root=inside)
    # links inside of the root are fine, a circle of them is not
    shard.unlink()
    (outside / "secret.safetensors").rename(inside / "real.bin")
    shard.symlink_to("real.bin")
    same(load_weights(inside, SMALL), values)
    shard.unlink()
    shard.symlink_to(shard.name)
    with pytest.raises(WeightsError, match=where["scale"]):
        load_weights(inside, SMALL)


def test_a_folder_of_a_sub_model_may_not_be_a_link_outside(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    save_file({"w": np.zeros(2, np.float32)}, tmp_path / "out" / "w.safetensors")
    (tmp_path / "in" / "text").symlink_to(tmp_path / "out")
    sources = [Model(), Model("text", {}, "text/w.safetensors")]
    with pytest.raises(WeightsError, match=r"outside of .*; a link leads there"):
        load_weights(tmp_path / "in", parameters(text__w=(2,)), sources)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere.safetensors: No such file"):
        load_weights(tmp_path / "nowhere.safetensors", SMALL)
    with pytest.raises(WeightsError, match=r"holds no .safetensors file"):
        load_weights(tmp_path, SMALL)
    os.mkfifo(tmp_path / "pipe.safetensors")
    for path in (tmp_path / "pipe.safetensors", tmp_path):
        with pytest.raises(WeightsError, match=r"pipe.safetensors: no plain file"):
            load_weights(path, SMALL)
    with pytest.raises(WeightsError, match="null"):
        load_weights("a\0b.safetensors", SMALL)


@pytest.mark.parametrize("name", ["../outside.safetensors", "/outside.safetensors", "a\\b.safetensors"])
def test_files_of_sub_models_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    save_file({"w": np.zeros(2, np.float32)}, tmp_path / "outside.safetensors")
    save_file({"w": np.zeros(2, np.float32)}, tmp_path / "in" / "a.safetensors")
    sources = [Model(), Model("a", {}, "a.safetensors"), Model("b", {}, name)]
    with pytest.raises(WeightsError, match="is no file below"):
        load_weights(tmp_path / "in", parameters(a__w=(2,), b__w=(2,)), sources)
