"""Pictures, files and numbers become arrays of the declared type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netwright.backends.executable import InputError
from netwright.backends.signature import EntrySignature, Field
from netwright.compiler.ir import DType, TensorType, symbol
from netwright.compiler.ir.dims import symbols
from netwright.driver.files import OutputError, check_output, write_npz
from netwright.driver.inputs import read_input, read_inputs
from netwright.driver.samples import random_inputs

N, T, H, W = (symbol(name) for name in "NTHW")
FLOAT = DType.FLOAT32


def field(name: str, *shape: Any, dtype: DType = FLOAT, source: Mapping[str, Any] | None = None) -> Field:
    return Field(name, TensorType(dtype, shape), None, source)


def entry(*fields: Field) -> EntrySignature:
    found = {s.name: s for field in fields for size in field.type.shape for s in symbols(size)}
    return EntrySignature("main", fields, (), (), (), tuple(found.values()), ())


def pixels(tmp_path: Path, array: np.ndarray, name: str = "p.png") -> Path:
    path = tmp_path / name
    Image.fromarray(array).save(path)
    return path


def test_a_picture_without_rules_is_rgb_from_0_to_1(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    found = read_input(field("image", N, 3, H, W), str(pixels(tmp_path, array)))
    np.testing.assert_allclose(found, array.transpose(2, 0, 1)[None] / 255, rtol=1e-6)
    assert found.dtype == np.float32


def test_mean_std_scale_and_bgr(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    rules = {"channels": "bgr", "scale": 1, "mean": [1, 2, 3], "std": [2, 4, 8]}
    found = read_input(field("image", N, 3, H, W, source={"image": rules}), str(pixels(tmp_path, array)))
    wanted = (array[:, :, ::-1] - np.array([1, 2, 3])) / np.array([2, 4, 8])
    np.testing.assert_allclose(found[0], wanted.transpose(2, 0, 1), rtol=1e-6)


def test_resize_of_the_shorter_side_then_crop(tmp_path: Path) -> None:
    array = np.zeros((40, 80), np.uint8)
    array[:, 40:] = 255
    rules = {"resize": 20, "crop": 16, "channels": "gray"}
    found = read_input(field("image", N, 1, 16, 16, source={"image": rules}), str(pixels(tmp_path, array)))
    assert found.shape == (1, 1, 16, 16)
    assert found[0, 0, :, :7].max() == 0 and found[0, 0, :, 9:].min() == 1


def test_letterbox_keeps_the_shape_of_things(tmp_path: Path) -> None:
    rules = {"resize": 32, "fit": "letterbox"}
    path = pixels(tmp_path, np.full((10, 40, 3), 255, np.uint8))
    found = read_input(field("image", N, 3, 32, 32, source={"image": rules}), str(path))
    assert found.shape == (1, 3, 32, 32)
    np.testing.assert_allclose(found[0, :, 0], 114 / 255, rtol=1e-6)
    assert found[0, :, 16].min() == 1


def test_a_picture_as_a_row(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    rules = {"resize": 28, "fit": "stretch", "channels": "gray"}
    found = read_input(field("x", N, 784, source={"image": rules}), str(pixels(tmp_path, array)))
    np.testing.assert_allclose(found, array.reshape(1, 784) / 255, rtol=1e-6)


def test_a_picture_of_whole_numbers_keeps_them(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (5, 5), np.uint8)
    found = read_input(field("image", N, 1, H, W, dtype=DType.UINT8), str(pixels(tmp_path, array)))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[0, 0], array)


def test_rotation_that_a_camera_noted(tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4) * 20)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    found = read_input(field("image", N, 1, H, W), str(tmp_path / "turned.png"))
    assert found.shape == (1, 1, 4, 3)


def test_numbers_and_files(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", x=array, y=array + 1)
    np.savez(tmp_path / "b.npz", whatever=array)
    for text in (f"{tmp_path}/a.npy", f"{tmp_path}/a.npz", f"{tmp_path}/b.npz", "[[0, 1, 2], [3, 4, 5]]"):
        np.testing.assert_array_equal(read_input(field("x", N, 3), text), array)
    np.testing.assert_array_equal(read_input(field("y", N, 3), f"{tmp_path}/a.npz"), array + 1)
    assert read_input(field("t"), "0.5") == 0.5


def test_what_is_not_said() -> None:
    noise = field("noise", N, T, source={"random": {}})
    fields = entry(field("x", N, T), noise, field("rate", source={"default": 0.25}))
    found = read_inputs(fields, {"x": "[[1, 2, 3, 4, 5]]"}, 0)
    assert found["noise"].shape == (1, 5) and found["rate"] == np.float32(0.25)
    with pytest.raises(InputError, match=r"input 'x' \(float32\[N, T\]\) is missing"):
        read_inputs(fields, {}, 0)


def test_random_inputs_fit_the_others_and_the_wishes() -> None:
    fields = entry(field("a", N, T), field("b", N, 3))
    found = read_inputs(fields, {"a": "random", "b": "[[1, 2, 3], [4, 5, 6]]"}, 5, {"T": 9})
    assert found["a"].shape == (2, 9)
    again = read_inputs(fields, {"a": "random", "b": "random"}, 5, {"N": 4, "T": 9})
    assert again["b"].shape == (4, 3)


def test_random_numbers_respect_ranges() -> None:
    fields = EntrySignature(
        "main",
        (Field("ids", TensorType(DType.INT64, (1000,)), (3, 6)), field("flag", 100, dtype=DType.BOOL)),
        (),
        (),
        (),
        (),
        (),
    )
    found = random_inputs(fields, 0, {})
    assert set(found["ids"].tolist()) == {3, 4, 5, 6} and found["ids"].dtype == np.int64
    assert found["flag"].dtype == np.bool_ and 0 < found["flag"].sum() < 100


def test_npz_is_the_same_each_time_and_keeps_everything(tmp_path: Path) -> None:
    arrays = {
        "file": np.arange(3),
        "cache.0.k": np.zeros((0, 2), np.float16),
        "b": np.array(True),
        "half": np.ones(2, DType.BFLOAT16.numpy),
    }
    write_npz(tmp_path / "one.npz", arrays)
    write_npz(tmp_path / "two.npz", arrays)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with np.load(tmp_path / "one.npz") as found:
        assert sorted(found) == sorted(arrays)
        assert found["cache.0.k"].dtype == np.float16 and found["cache.0.k"].shape == (0, 2)
        assert found["half"].dtype == np.float32 and found["half"].tolist() == [1, 1]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "y.npz"
    write_npz(path, {"y": np.arange(3)})
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"[Oo]bject"):
        write_npz(path, {"y": np.array([None])})
    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == ["y.npz"]
    with pytest.raises(OutputError, match="cannot write"):
        write_npz(tmp_path / "nowhere" / "y.npz", {})
    with pytest.raises(OutputError, match=r"should end in \.npz"):
        check_output(tmp_path / "y.npy", ".npz")
