"""Weights files: what is read, by which layout, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from safetensors.numpy import save_file

from netwright.compiler.ir import DType, Parameter, TensorType
from netwright.spec.weights import WeightsError, load_weights, match_report

from .weight_files import (
    SMALL,
    Model,
    arrays,
    layouts,
    model,
    parameters,
    same,
    write_raw,
    write_shards,
)

# ---- files


def test_one_file_of_our_own_paths(tmp_path: Path) -> None:
    values = arrays(SMALL)
    save_file(values, tmp_path / "w.safetensors", {"by": "a test"})
    loaded = load_weights(tmp_path / "w.safetensors", SMALL)
    same(loaded, values)
    assert [reading.plan.layout for reading in loaded.readings] == ["own"]
    assert len(loaded) == 3 and "nothing" not in loaded
    loaded.check()


def test_a_file_written_by_torch(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(module.state_dict(), path)
    wanted = {key: tensor.numpy() for key, tensor in module.state_dict().items() if tensor.dtype.is_floating_point}
    declared = {k: Parameter(k, TensorType(DType.FLOAT32, v.shape)) for k, v in wanted.items()}
    loaded = load_weights(path, declared)
    same(loaded, wanted)
    assert loaded.readings[0].plan.ignored == ["1.num_batches_tracked"]


def test_a_counter_without_a_batch_norm_is_surplus(tmp_path: Path) -> None:
    values = arrays(SMALL) | {"bn.num_batches_tracked": np.zeros((), np.int64)}
    save_file(values, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"surplus: 1 key\n.*bn.num_batches_tracked"):
        load_weights(tmp_path / "w.safetensors", SMALL)


def test_npz(tmp_path: Path) -> None:
    values = arrays(SMALL)
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "w.npz", **values)  # type: ignore[arg-type]
        same(load_weights(tmp_path / "w.npz", SMALL), values)
    big = {key: value.astype(value.dtype.newbyteorder(">")) for key, value in values.items()}
    np.savez(tmp_path / "w.npz", **big, allow_pickle=False)
    same(load_weights(tmp_path / "w.npz", SMALL), values)


def test_shards(tmp_path: Path) -> None:
    values = arrays(SMALL)
    write_shards(tmp_path / "m", values)
    same(load_weights(tmp_path / "m" / "model.safetensors.index.json", SMALL), values)
    same(load_weights(tmp_path / "m", SMALL), values)
    write_shards(tmp_path / "plain", values, index=False)
    same(load_weights(tmp_path / "plain", SMALL), values)


def test_unaligned_and_empty_tensors(tmp_path: Path) -> None:
    wanted = parameters(a=(3,), c=(2, 0), d=()) | parameters("int8", b=(3,))
    values: dict[str, np.ndarray] = {
        "a": np.array([1, 2, 3], np.float32),
        "c": np.zeros((2, 0), np.float32),
        "d": np.array(7, np.float32),
        "b": np.array([1, 2, 3], np.int8),
    }
    # b comes first, so that everything behind it starts at an odd place.
    path = tmp_path / "w.safetensors"
    write_raw(
        path,
        [
            ("b", "I8", [3], values["b"].tobytes()),
            ("a", "F32", [3], values["a"].tobytes()),
            ("c", "F32", [2, 0], b""),
            ("d", "F32", [], values["d"].tobytes()),
        ],
    )
    same(load_weights(path, wanted), {key: np.asarray(values[key]) for key in wanted})


# ---- dtypes


@pytest.mark.parametrize("stored", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("wanted", ["float16", "bfloat16", "float32", "float64"])
def test_floats_convert(tmp_path: Path, stored: str, wanted: str) -> None:
    tensor = torch.randn(5, 3).to(getattr(torch, stored))
    safetensors.torch.save_file({"w": tensor}, tmp_path / "w.safetensors")
    loaded = load_weights(tmp_path / "w.safetensors", parameters(wanted, w=(5, 3)))["w"]
    assert DType.of(loaded) == wanted
    np.testing.assert_array_equal(loaded.astype(np.float64), tensor.to(getattr(torch, wanted)).double().numpy())


@pytest.mark.parametrize(
    ("stored", "wanted", "fits"),
    [
        ("int64", "float32", False),
        ("float32", "int64", False),
        ("bool", "float32", False),
        ("uint8", "bool", False),
        ("int32", "int64", True),
        ("uint8", "int32", True),
        ("int64", "int32", False),
        ("int16", "int64", False),
        ("bool", "bool", True),
    ],
)
def test_other_dtypes(tmp_path: Path, stored: str, wanted: str, fits: bool) -> None:
    values = np.array([0, 1, 1]).astype(stored)
    save_file({"w": values}, tmp_path / "w.safetensors")
    if fits:
        found = load_weights(tmp_path / "w.safetensors", parameters(wanted, w=(3,)))["w"]
        np.testing.assert_array_equal(found, values.astype(wanted))
        return
    with pytest.raises(WeightsError, match=f"`w` holds .*, the parameter `w` is {wanted}"):
        load_weights(tmp_path / "w.safetensors", parameters(wanted, w=(3,)))


def test_values_that_do_not_fit_a_narrow_float_are_refused(tmp_path: Path) -> None:
    save_file({"w": np.array([1, 1e6], np.float32)}, tmp_path / "w.safetensors")
    loaded = load_weights(tmp_path / "w.safetensors", parameters("float16", w=(2,)))
    with pytest.raises(WeightsError, match="`w` holds values too large for float16"):
        loaded["w"]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize(("bad", "name"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_values_that_are_not_finite(tmp_path: Path, dtype: Any, bad: float, name: str) -> None:
    values = torch.ones(2, 3)
    values[1, 2] = values[1, 1] = bad
    kind = {np.float32: torch.float32, np.float16: torch.float16}.get(dtype, torch.bfloat16)
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file({"w": values.to(kind)}, path)
    wanted = parameters(w=(2, 3))
    message = rf"w.safetensors: `w` has 2 values that are not finite, the first at \[1, 1\]: {name}"
    with pytest.raises(WeightsError, match=message):
        load_weights(path, wanted)["w"]
    with pytest.raises(WeightsError, match=message):
        load_weights(path, wanted).check()
    np.testing.assert_array_equal(load_weights(path, wanted, allow_nonfinite=True)["w"], values.numpy())


# ---- flat files

DARKNET = """
torch:
  - {from: anchors, ignore: true}
darknet:
  header: 20
  sequence: [m.0, m.1, head]
  each: [bn.bias, bn.weight, bn.running_mean, bn.running_var, conv.weight, bias, weight]
"""


def darknet() -> tuple[dict[str, Parameter], dict[str, np.ndarray], bytes]:
    """Three convolutions with batch norm in two blocks, and a head with a bias, declared in another order."""

    def block(at: str) -> dict[str, tuple[int, ...]]:
        norm = {f"{at}__bn__{name}": (2,) for name in ("weight", "bias", "running_mean", "running_var")}
        return {f"{at}__conv__weight": (2, 2, 3, 3), **norm}

    wanted = parameters(
        head__weight=(3, 2, 1, 1), head__bias=(3,), **block("m__0"), **block("m__1__cv1"), **block("m__1__cv2")
    )
    values = arrays(wanted)
    order = [
        f"{at}.{name}"
        for at in ("m.0", "m.1.cv1", "m.1.cv2")
        for name in ("bn.bias", "bn.weight", "bn.running_mean", "bn.running_var", "conv.weight")
    ]
    data = b"".join(values[path].astype("<f4").tobytes() for path in [*order, "head.bias", "head.weight"])
    return wanted, values, bytes(range(20)) + data


def test_flat_file(tmp_path: Path) -> None:
    wanted, values, data = darknet()
    (tmp_path / "yolo.weights").write_bytes(data)
    loaded = load_weights(tmp_path / "yolo.weights", wanted, model(DARKNET))
    same(loaded, values)
    (report,) = match_report(tmp_path / "yolo.weights", wanted, model(DARKNET))
    assert report.chosen is not None and report.chosen.layout == "darknet" and len(report.entries) == len(wanted)
    save_file(values, tmp_path / "yolo.safetensors")
    same(load_weights(tmp_path / "yolo.safetensors", wanted, model(DARKNET)), values)


def test_flat_file_with_a_value_that_is_not_finite(tmp_path: Path) -> None:
    wanted, _, data = darknet()
    (tmp_path / "yolo.weights").write_bytes(data[:-4] + np.float32(np.nan).tobytes())
    loaded = load_weights(tmp_path / "yolo.weights", wanted, model(DARKNET))
    with pytest.raises(
        WeightsError, match=r"yolo.weights: `head.weight` has a value that is not finite, at \[2, 1, 0, 0\]"
    ):
        loaded["head.weight"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-4], r"\(1 values less than the model has\)"),
        (lambda data: data + bytes(8), r"\(2 values more than the model has\)"),
        (lambda data: data[4:], "has .* bytes, the model takes"),
        (lambda data: b"", "has 0 bytes"),
    ],
)
def test_flat_file_of_another_size(tmp_path: Path, change: Callable[[bytes], bytes], message: str) -> None:
    wanted, _, data = darknet()
    (tmp_path / "yolo.weights").write_bytes(change(data))
    with pytest.raises(WeightsError, match=message):
        load_weights(tmp_path / "yolo.weights", wanted, model(DARKNET))


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("[m.0, m.1, head]", "[m.0, m.1]", "the sequence leaves out `head.weight`, `head.bias`"),
        ("[m.0, m.1, head]", "[m.0, m.1, head, tail]", "there is no parameter below `tail`"),
        ("[m.0, m.1, head]", "[m.0, m.1, head, m]", "`m.0.bn.bias` stands below two paths"),
        ("bias, weight]", "weight]", "`each` has no name for `head.bias`"),
    ],
)
def test_flat_layouts_that_are_refused(tmp_path: Path, was: str, now: str, message: str) -> None:
    wanted, _, data = darknet()
    (tmp_path / "yolo.weights").write_bytes(data)
    with pytest.raises(WeightsError, match=message):
        load_weights(tmp_path / "yolo.weights", wanted, model(DARKNET.replace(was, now)))


def test_a_flat_file_needs_a_flat_layout(tmp_path: Path) -> None:
    (tmp_path / "yolo.weights").write_bytes(bytes(100))
    with pytest.raises(WeightsError, match=r"a .weights file has no keys, and the model declares no flat layout"):
        load_weights(tmp_path / "yolo.weights", SMALL)


# ---- sub-models


def test_each_sub_model_has_its_file(tmp_path: Path) -> None:
    text = parameters(embed__weight=(5, 4))
    unet = parameters(conv_in__weight=(3, 4, 1, 1), conv_in__bias=(3,))
    wanted = {
        f"{prefix}.{path}": value for prefix, part in (("text", text), ("unet", unet)) for path, value in part.items()
    }
    wanted |= parameters(head__weight=(2, 3))
    values = arrays(wanted)
    (tmp_path / "text").mkdir()
    (tmp_path / "unet").mkdir()
    turned = {"word.weight": values["text.embed.weight"].T.copy(), "position_ids": np.arange(3)}
    save_file(turned, tmp_path / "text" / "model.safetensors")
    save_file({path: values[f"unet.{path}"] for path in unet}, tmp_path / "unet" / "w.safetensors")
    save_file({"head.weight": values["head.weight"]}, tmp_path / "rest.safetensors")
    rules = layouts(
        "hf:\n  - {from: word.weight, to: embed.weight, transpose: true}\n  - {from: position_ids, ignore: true}"
    )
    sources = [Model(), Model("text", rules, "text/model.safetensors"), Model("unet", {}, "unet/w.safetensors")]
    loaded = load_weights(tmp_path, wanted, sources)
    same(loaded, values)
    assert {reading.prefix: reading.plan.layout for reading in loaded.readings} == {
        "text": "hf",
        "unet": "own",
        "": "own",
    }
    # everything in one file, by our own paths, is as good
    (tmp_path / "whole").mkdir()
    save_file(values, tmp_path / "whole" / "all.safetensors")
    same(load_weights(tmp_path / "whole", wanted, sources), values)
    same(load_weights(tmp_path / "whole" / "all.safetensors", wanted, sources), values)
    # a file that is missing, surplus parameters, and a file too few
    os.remove(tmp_path / "unet" / "w.safetensors")
    with pytest.raises(WeightsError, match=r"the file of `unet` is not there: unet/w.safetensors"):
        load_weights(tmp_path, wanted, sources)
    save_file({"conv_in.weight": values["unet.conv_in.weight"]}, tmp_path / "unet" / "w.safetensors")
    with pytest.raises(
        WeightsError, match=r"unet.w.safetensors does not fit(.|\n)*missing: 1 parameter\n +`conv_in.bias`"
    ):
        load_weights(tmp_path, wanted, sources)
    save_file({path: values[f"unet.{path}"] for path in unet}, tmp_path / "unet" / "w.safetensors")
    os.remove(tmp_path / "rest.safetensors")
    with pytest.raises(WeightsError, match=r"leave 1 parameters \(`head.weight`, ...\) to one more .safetensors file"):
        load_weights(tmp_path, wanted, sources)
