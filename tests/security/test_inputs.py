"""Files and rules that a person is given by somebody: one message, no crash, no flood of memory."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import netwright as nw
from netwright.backends.api import Runtime
from netwright.backends.executable import InputError, _check_inputs
from netwright.backends.signature import EntrySignature, Field
from netwright.compiler.ir import DType, TensorType
from netwright.driver.inputs import read_input, read_picture
from netwright.driver.samples import random_inputs
from netwright.spec.weights import open_tensors
from netwright.spec.weights.errors import WeightsError

PICTURE = TensorType(DType.FLOAT32, (1, 3, 4, 4))
NPY = {
    "huge": ("'descr':'<f4','fortran_order':False,'shape':(1099511627776,)", b""),
    "negative": ("'descr':'<f4','fortran_order':False,'shape':(-5,)", bytes(20)),
    "pickled": ("'descr':'|O','fortran_order':False,'shape':(1,)", pickle.dumps([1])),
    "code": ("'descr':__import__('os'),'fortran_order':False,'shape':(1,)", b""),
    "bool size": ("'descr':'<f4','fortran_order':False,'shape':(True,)", bytes(4)),
    "nested": ("(" * 9000, b""),
    "structured": ("'descr':[('a','<f4')],'fortran_order':False,'shape':(2,)", bytes(8)),
    "text": ("'descr':'<U4','fortran_order':False,'shape':(2,)", bytes(32)),
    "date": ("'descr':'<M8[s]','fortran_order':False,'shape':(2,)", bytes(16)),
    "raw": ("'descr':'|V2','fortran_order':False,'shape':(2,)", bytes(4)),
    "complex": ("'descr':'<c8','fortran_order':False,'shape':(2,)", bytes(16)),
}


STATES = """
netwright: 1
name: kept
inputs: {x: 'float[N, 2]', y: 'float[M, 2]'}
state:
  b: {type: 'float[M, 2]', initial: 0}
  a: {type: 'float[N, 2]', initial: 0}
graph:
  - {name: t, value: b + y}
  - {name: u, value: a + x}
outputs: {b: t, a: u}
entries:
  one:
    inputs: {x: 'float[N, 2]'}
    graph:
      - {name: u, value: a + x}
    outputs: {a: u}
"""


class Arrays(Runtime):
    """One that takes nothing but arrays."""

    def call(self, entry: str, inputs: Any, states: Any, sizes: Any) -> Any:
        raise AssertionError("what is refused was passed on")


def of(field: Field) -> EntrySignature:
    return EntrySignature("main", (field,), (), (), (), (), ())


def npy(header: str, data: bytes) -> bytes:
    text = ("{" + header + "}\n").encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


@pytest.mark.parametrize("kind", NPY)
def test_array_files(kind: str, tmp_path: Path) -> None:
    field = Field("x", TensorType(DType.FLOAT32, (2,)))
    data = npy(*NPY[kind])
    (tmp_path / "x.npy").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", data)
    for name in ("x.npy", "x.npz"):
        with pytest.raises(InputError):
            _check_inputs(of(field), {"x": read_input(field, str(tmp_path / name))}, Arrays())
    with pytest.raises(WeightsError):
        open_tensors(tmp_path / "x.npz").read("x")


@pytest.mark.parametrize(
    "value", [[object()], "x", [[1], [2, 3]], None, 10**400, {"a": 1}, b"x", [1 + 2j], np.datetime64("now")]
)
def test_what_is_no_array_of_numbers(value: Any) -> None:
    with pytest.raises(InputError):
        _check_inputs(of(Field("x", TensorType(DType.FLOAT32, (1,)))), {"x": value}, Arrays())


def test_whole_numbers_do_not_wrap() -> None:
    entry = of(Field("x", TensorType(DType.INT32, (2,))))
    for wrong in (2**31, -(2**31) - 1):
        with pytest.raises(InputError, match=f"cannot hold {wrong}"):
            _check_inputs(entry, {"x": np.array([0, wrong])}, Arrays())
    assert _check_inputs(entry, {"x": np.array([2**31 - 1, -(2**31)])}, Arrays())["x"].dtype == np.int32
    with pytest.raises(InputError, match="cannot hold"):
        _check_inputs(of(Field("x", TensorType(DType.INT64, (1,)))), {"x": np.array([2**63], np.uint64)}, Arrays())


@pytest.mark.parametrize(
    "rules",
    [
        {"resize": 10**9}, {"resize": -1}, {"resize": 0}, {"resize": "a"}, {"resize": [1, 2, 3]}, {"resize": {"a": 1}},
        {"resize": float("inf")}, {"resize": float("nan")}, {"crop": 10**6}, {"crop": -4}, {"crop": None},
        {"scale": "a"}, {"mean": [1, 2]}, {"mean": {}},
    ],
)  # fmt: skip
def test_rules_for_pictures_that_make_no_sense(rules: dict[str, Any], tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(InputError):
        read_picture(tmp_path / "a.png", Field("image", PICTURE, None, {"image": rules}))


def test_a_thin_picture_does_not_grow_without_bound(tmp_path: Path) -> None:
    Image.new("L", (1, 60_000)).save(tmp_path / "thin.png")
    with pytest.raises(InputError, match="would be made"):
        read_picture(tmp_path / "thin.png", Field("image", PICTURE, None, {"image": {"resize": 224}}))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.png", b""),
        ("a.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 40),
        ("a.jpg", b"\xff\xd8\xff\xe1\xff\xffExif\0\0MM\0*\0\0\0\x08" + b"\xff" * 200),
        ("a.ppm", b"P6 100000 100000 255\n"),
        ("a.pgm", b"P5 7000 7000 255\n"),
        ("a.tif", b"II*\0\xff\xff\xff\xff"),
        ("a.gif", b"GIF89a\xff\xff\xff\xff\xff\xff\xff"),
        ("a.webp", b"RIFF\xff\xff\xff\xffWEBPVP8 "),
    ],
)
def test_damaged_pictures(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError):
        read_picture(tmp_path / name, Field("image", PICTURE))


def test_random_inputs_are_counted_before_they_are_drawn() -> None:
    types = TensorType(DType.FLOAT32, (2**30, 2**20))
    with pytest.raises(InputError, match="this machine has"):
        random_inputs(of(Field("x", types)), 0, {})


def test_a_refused_call_makes_no_state(tmp_path: Path) -> None:
    path = tmp_path / "kept.yaml"
    path.write_text(STATES)
    net = nw.compile(path)

    def ones(size: int) -> np.ndarray:
        return np.ones((size, 2), np.float32)

    net.run("one", x=ones(3))
    with pytest.raises(InputError, match="reset"):
        net.run("main", x=ones(4), y=ones(5))
    assert list(net.states) == ["a"]
    net.run("main", x=ones(3), y=ones(2))
    assert net.states["b"].shape == (2, 2)
