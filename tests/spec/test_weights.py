"""Weights files: what is read, by which layout, and what is refused."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
from netwright.spec.diagnostics import SpecError
from netwright.spec.model.errors import validate
from netwright.spec.reader import read_tree
from netwright.spec.weights import LoadedWeights, WeightsError, load_weights, match_report, open_tensors
from netwright.spec.weights import safetensors_file as format_module
from netwright.spec.weights.plan import static_shape


@dataclass(frozen=True)
class Model:
    """A model as the loader sees it: a prefix, declared layouts, a file."""

    prefix: str = ""
    layouts: Mapping[str, Any] = field(default_factory=dict)
    file: str | None = None
    whole: None = None


def layouts(text: str) -> Mapping[str, Any]:
    """The `weights` of a document, read as any spec is."""
    head = "netwright: 1\ninputs: {x: 'float[N]'}\ngraph: [{op: tanh, name: y}]\noutputs: {y: y}\nweights:\n"
    document = validate(read_tree(head + "\n".join("  " + line for line in text.strip().splitlines()), "model.yaml"))
    assert document.weights is not None
    return document.weights


def model(text: str) -> list[Model]:
    return [Model("", layouts(text))]


def parameters(dtype: str = "float32", /, **shapes: Sequence[int]) -> dict[str, Parameter]:
    """Parameters by path; ``__`` stands for a dot."""
    names = {path.replace("__", "."): shape for path, shape in shapes.items()}
    return {path: Parameter(path, TensorType(DType(dtype), tuple(shape))) for path, shape in names.items()}


def arrays(wanted: Mapping[str, Parameter], seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        path: random.normal(size=static_shape(parameter)).astype(parameter.type.dtype.numpy)
        for path, parameter in wanted.items()
    }


def same(loaded: LoadedWeights, wanted: Mapping[str, np.ndarray]) -> None:
    assert list(loaded) == list(wanted)
    for path, array in wanted.items():
        found = loaded[path]
        assert found.dtype == array.dtype and found.shape == array.shape
        assert not found.flags.writeable and found.flags.c_contiguous and found.flags.aligned
        np.testing.assert_array_equal(found, array)


SMALL = parameters(fc__weight=(3, 4), fc__bias=(3,), scale=())


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


def write_shards(folder: Path, values: Mapping[str, np.ndarray], index: bool = True) -> dict[str, str]:
    """A file per tensor, and an index of them."""
    folder.mkdir(exist_ok=True)
    where = {key: f"model-{at}.safetensors" for at, key in enumerate(values)}
    for key, name in where.items():
        save_file({key: values[key]}, folder / name)
    if index:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return where


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


def write_raw(path: Path, tensors: Sequence[tuple[str, str, list[int], bytes]]) -> None:
    header, data = {}, b""
    for key, dtype, shape, content in tensors:
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    write_file(path, json.dumps(header).encode(), data)


def write_file(path: Path, header: bytes, data: bytes = b"") -> None:
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)


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


# ---- layouts

GPT2 = """
huggingface:
  - {from: 'transformer.h.*.attn.c_attn.weight', transpose: true}
  - {from: lm_head.weight, to: transformer.wte.weight}
  - {from: 'transformer.h.*.attn.bias', ignore: true}
"""


def gpt2() -> tuple[dict[str, Parameter], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Parameters, their values, and the same as a checkpoint has them."""
    wanted = parameters(
        transformer__wte__weight=(7, 4),
        transformer__h__0__attn__c_attn__weight=(12, 4),
        transformer__h__0__attn__c_attn__bias=(12,),
        transformer__h__10__attn__c_attn__weight=(12, 4),
        transformer__h__10__attn__c_attn__bias=(12,),
    )
    values = arrays(wanted)
    file = {k: v.T.copy() if k.endswith("c_attn.weight") else v for k, v in values.items()}
    file["transformer.h.0.attn.bias"] = np.tril(np.ones((1, 1, 5, 5), np.float32))
    file["lm_head.weight"] = file["transformer.wte.weight"].copy()
    return wanted, values, file


def test_transposed_tied_and_ignored(tmp_path: Path) -> None:
    wanted, values, file = gpt2()
    save_file(file, tmp_path / "w.safetensors")
    loaded = load_weights(tmp_path / "w.safetensors", wanted, model(GPT2))
    same(loaded, values)
    assert loaded.readings[0].plan.layout == "huggingface"
    assert loaded.readings[0].plan.ignored == ["transformer.h.0.attn.bias"]
    # what we save ourselves is read by our own paths
    save_file(values, tmp_path / "own.safetensors")
    loaded = load_weights(tmp_path / "own.safetensors", wanted, model(GPT2))
    same(loaded, values)
    assert loaded.readings[0].plan.layout == "own"


def test_a_tied_key_alone_is_enough(tmp_path: Path) -> None:
    wanted, values, file = gpt2()
    del file["transformer.wte.weight"]
    save_file(file, tmp_path / "w.safetensors")
    same(load_weights(tmp_path / "w.safetensors", wanted, model(GPT2)), values)


def test_tied_keys_that_differ_are_refused(tmp_path: Path) -> None:
    wanted, _, file = gpt2()
    file["lm_head.weight"][2, 3] += 1
    save_file(file, tmp_path / "w.safetensors")
    loaded = load_weights(tmp_path / "w.safetensors", wanted, model(GPT2))
    pattern = (
        r"`(lm_head|transformer.wte).weight` and `(lm_head|transformer.wte).weight` both stand for "
        r"`transformer.wte.weight`, so they must be equal; they differ at \[2, 3\]"
    )
    with pytest.raises(WeightsError, match=pattern):
        loaded["transformer.wte.weight"]


T5 = """
huggingface:
  - {from: encoder.embed_tokens.weight, to: shared.weight}
  - {from: decoder.embed_tokens.weight, to: shared.weight}
  - {from: lm_head.weight, to: shared.weight}
untied:
  - {from: encoder.embed_tokens.weight, to: shared.weight}
"""


def test_four_keys_for_one_parameter(tmp_path: Path) -> None:
    wanted = parameters(shared__weight=(6, 4))
    values = arrays(wanted)
    keys = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")
    file = {key: values["shared.weight"].copy() for key in keys}
    save_file(file, tmp_path / "w.safetensors")
    same(load_weights(tmp_path / "w.safetensors", wanted, model(T5)), values)
    file["decoder.embed_tokens.weight"][0, 0] = 9
    save_file(file, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"`decoder.embed_tokens.weight`.* must be equal"):
        load_weights(tmp_path / "w.safetensors", wanted, model(T5))["shared.weight"]


VIT = """
huggingface:
  - {from: vit.embeddings.cls_token, to: class_token}
  - from:
      - vit.encoder.layer.*.attention.query.*
      - vit.encoder.layer.*.attention.key.*
      - vit.encoder.layer.*.attention.value.*
    to: encoder.layers.encoder_layer_$1.in_proj_$2
    concat: 0
  - {from: 'vit.encoder.layer.*.output.dense.*', to: encoder.layers.encoder_layer_$1.mlp.3.$2}
  - {from: 'classifier.*', to: heads.head.$1}
"""


def vit() -> tuple[dict[str, Parameter], dict[str, np.ndarray], dict[str, np.ndarray]]:
    wanted = parameters(class_token=(1, 1, 4), heads__head__weight=(5, 4), heads__head__bias=(5,))
    file = {}
    for at in (0, 1, 11):
        layer = f"encoder__layers__encoder_layer_{at}__"
        shapes: dict[str, tuple[int, ...]] = {
            "in_proj_weight": (12, 4),
            "in_proj_bias": (12,),
            "mlp__3__weight": (4, 8),
        }
        wanted |= parameters(**{layer + name: shape for name, shape in shapes.items()})
    values = arrays(wanted)
    for path, array in values.items():
        parts = path.split(".")
        if "in_proj" in path:
            for name, piece in zip(("query", "key", "value"), np.split(array, 3), strict=True):
                number, kind = parts[2].removeprefix("encoder_layer_"), path.rsplit("_", 1)[1]
                file[f"vit.encoder.layer.{number}.attention.{name}.{kind}"] = piece.copy()
        elif "mlp" in path:
            file[f"vit.encoder.layer.{parts[2].removeprefix('encoder_layer_')}.output.dense.weight"] = array
        else:
            renamed = {"class_token": "vit.embeddings.cls_token"}
            file[renamed.get(path, path.replace("heads.head", "classifier"))] = array
    return wanted, values, file


def test_joined_keys(tmp_path: Path) -> None:
    wanted, values, file = vit()
    save_file(file, tmp_path / "w.safetensors")
    same(load_weights(tmp_path / "w.safetensors", wanted, model(VIT)), values)


def test_a_joined_key_that_is_missing(tmp_path: Path) -> None:
    wanted, _, file = vit()
    del file["vit.encoder.layer.1.attention.key.bias"]
    save_file(file, tmp_path / "w.safetensors")
    pattern = (
        r"incomplete: 1 parameter\n.*encoder_layer_1.in_proj_bias`: no key matches `vit.encoder.layer.\*.attention"
    )
    with pytest.raises(WeightsError, match=pattern):
        load_weights(tmp_path / "w.safetensors", wanted, model(VIT))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 4), (2, 4), (3, 4)), r"`w` is \[6, 4\], the file gives \[7, 4\] by `q` \+ `k` \+ `v`"),
        (((2, 4), (2, 5), (2, 4)), "`w` is .* the keys `q` .* cannot be joined along axis 0"),
        (((2, 4), (2,), (2, 4)), "cannot be joined along axis 0"),
    ],
)
def test_joined_keys_that_do_not_fit(tmp_path: Path, shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    save_file({k: np.zeros(s, np.float32) for k, s in zip("qkv", shapes, strict=True)}, tmp_path / "w.safetensors")
    rules = model("packed:\n  - {from: [q, k, v], to: w, concat: 0}")
    with pytest.raises(WeightsError, match=message):
        load_weights(tmp_path / "w.safetensors", parameters(w=(6, 4)), rules)


def test_join_along_another_axis_after_transposing(tmp_path: Path) -> None:
    wanted = parameters(w=(4, 6))
    values = arrays(wanted)
    left, right = np.split(values["w"], 2, axis=1)
    save_file({"a": left.T.copy(), "b": right.T.copy()}, tmp_path / "w.safetensors")
    rules = model("packed:\n  - {from: [a, b], to: w, concat: 1, transpose: true}")
    same(load_weights(tmp_path / "w.safetensors", wanted, rules), values)


def test_the_first_matching_rule_wins(tmp_path: Path) -> None:
    wanted = parameters(a__weight=(2,), other__weight=(2,))
    values = arrays(wanted)
    save_file({"x.a.w": values["a.weight"], "x.b.w": values["other.weight"]}, tmp_path / "w.safetensors")
    rules = model("short:\n  - {from: x.a.w, to: a.weight}\n  - {from: 'x.*.w', to: other.weight}")
    same(load_weights(tmp_path / "w.safetensors", wanted, rules), values)


def test_a_fitting_layout_is_chosen_and_an_ambiguous_one_refused(tmp_path: Path) -> None:
    wanted = parameters(w=(3, 3), b=(3,))
    values = arrays(wanted)
    save_file(values, tmp_path / "w.safetensors")
    rules = model("turned:\n  - {from: w, transpose: true}")
    with pytest.raises(WeightsError, match="the layouts `own` and `turned` both fit, and read it differently"):
        load_weights(tmp_path / "w.safetensors", wanted, rules)
    turned = load_weights(tmp_path / "w.safetensors", wanted, rules, layout="turned")
    same(turned, {"w": values["w"].T, "b": values["b"]})
    same(load_weights(tmp_path / "w.safetensors", wanted, rules, layout="own"), values)
    with pytest.raises(WeightsError, match="there is no layout `torn`; they are own, turned"):
        load_weights(tmp_path / "w.safetensors", wanted, rules, layout="torn")
    # to turn a vector is nothing, so these do not differ
    rules = model("turned:\n  - {from: b, transpose: true}\nplain: []")
    same(load_weights(tmp_path / "w.safetensors", wanted, rules), values)


# ---- files that do not fit


def message_of(call: Callable[[], Any]) -> str:
    with pytest.raises(WeightsError) as caught:
        call()
    return str(caught.value)


def test_missing_surplus_and_misshapen_are_told_together(tmp_path: Path) -> None:
    values = arrays(SMALL)
    values["fc.wieght"] = values.pop("fc.weight")
    values["scale"] = np.zeros((1,), np.float32)
    values["more\x1b[31m\n"] = np.zeros((2,), np.float32)
    path = tmp_path / "w.safetensors"
    save_file(values, path)
    rules = model("one: []\ntwo:\n  - {from: scale, ignore: true}")
    message = message_of(lambda: load_weights(path, SMALL, rules))
    lines = message.splitlines()
    assert sorted(lines[5:7]) == [
        "    `fc.wieght` [3, 4] is no parameter; did you mean `fc.weight`?",
        "    `more\\x1b[31m\\n` [2] is no parameter",
    ]
    assert [*lines[:5], *lines[7:]] == [
        f"{path} does not fit the model (4 keys, 3 parameters)",
        "by the nearest layout, `own`; tried too: one, two:",
        "  missing: 1 parameter",
        "    `fc.weight` [3, 4]; did you mean the key `fc.wieght` [3, 4]?",
        "  surplus: 2 keys",
        "  misshapen: 1 parameter",
        "    `scale` is [], the file gives [1] by `scale`",
    ]


def test_long_lists_are_cut(tmp_path: Path) -> None:
    wanted = parameters(**{f"layer{k}": (2,) for k in range(40)})
    save_file({f"other{k}": np.zeros(3, np.float32) for k in range(40)}, tmp_path / "w.safetensors")
    message = message_of(lambda: load_weights(tmp_path / "w.safetensors", wanted))
    assert len(message.splitlines()) == 2 + 2 * 12 + 1
    assert message.splitlines()[-1].startswith("  hint: rules under `weights:`, or the `path` of a node")
    assert message.count("... and 30 more") == 2


@pytest.mark.parametrize(
    ("ours", "theirs", "rule"),
    [
        ("", "model.", "`model.`; the rule {from: model.**, to: $1} takes it off"),
        ("transformer.", "", "`transformer.`; the rule {from: '**', to: transformer.$1} puts it on"),
    ],
)
def test_a_prefix_too_many_or_too_few_is_seen(tmp_path: Path, ours: str, theirs: str, rule: str) -> None:
    values = arrays(parameters(h__0__weight=(3, 4), h__1__weight=(3, 4), ln__bias=(3,)))
    wanted = {ours + key: Parameter(ours + key, TensorType(DType.FLOAT32, v.shape)) for key, v in values.items()}
    save_file({theirs + key: value for key, value in values.items()}, tmp_path / "w.safetensors")
    message = message_of(lambda: load_weights(tmp_path / "w.safetensors", wanted))
    assert rule in message
    # the rule does what it says
    text = "{" + rule.split("{")[1].split("}")[0] + "}"
    text = text.replace("model.**", "'model.**'")
    loaded = load_weights(tmp_path / "w.safetensors", wanted, model(f"hinted:\n  - {text}"))
    same(loaded, {ours + key: value for key, value in values.items()})


def test_a_rule_to_nowhere_is_surplus(tmp_path: Path) -> None:
    save_file(arrays(SMALL) | {"old": np.zeros(1, np.float32)}, tmp_path / "w.safetensors")
    rules = model("old:\n  - {from: old, to: fc.biass}")
    message = message_of(lambda: load_weights(tmp_path / "w.safetensors", SMALL, rules, layout="old"))
    assert "`old` [1] goes to `fc.biass`, which is no parameter" in message


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("- {from: 'a.*', to: b.$2}", r"there is no match \$2, `from` has 1"),
        ("- {from: a, to: b.$1}", r"there is no match \$1, `from` has no wildcard"),
        ("- {from: a, to: b.$x}", r"after `\$` stands the number of a match"),
        ("- {from: [a.*, b], to: c, concat: 0}", "the same number of wildcards"),
        ("- {from: [a, b], concat: 0}", "which `to` must name"),
        ("- {from: 'a.b**', to: c}", r"`\*\*` stands alone between dots"),
    ],
)
def test_rules_that_are_refused(tmp_path: Path, rules: str, message: str) -> None:
    save_file(arrays(SMALL), tmp_path / "w.safetensors")
    with pytest.raises(SpecError, match=message) as caught:
        load_weights(tmp_path / "w.safetensors", SMALL, model(f"broken:\n  {rules}"))
    assert "model.yaml:7:" in str(caught.value)


def test_report(tmp_path: Path) -> None:
    wanted, _, file = gpt2()
    save_file(file, tmp_path / "w.safetensors")
    (report,) = match_report(tmp_path / "w.safetensors", wanted, model(GPT2))
    assert report.problem is None and report.chosen is not None and report.chosen.layout == "huggingface"
    assert [plan.layout for plan in report.plans] == ["own", "huggingface"]
    own = report.plans[0]
    assert {one.path for one in own.misshapen} == {path for path in wanted if path.endswith("c_attn.weight")}
    assert set(own.surplus) == {"lm_head.weight", "transformer.h.0.attn.bias"}
    assert {entry.key: entry.shape for entry in report.entries} == {key: value.shape for key, value in file.items()}
    del file["transformer.h.0.attn.c_attn.bias"]
    save_file(file, tmp_path / "w.safetensors")
    (report,) = match_report(tmp_path / "w.safetensors", wanted, model(GPT2))
    assert report.chosen is None and report.problem is not None and "missing: 1" in report.problem


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
    with pytest.raises(WeightsError, match=r"w.safetensors: No such file"):
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


@pytest.mark.parametrize("name", ["../outside.safetensors", "/outside.safetensors", "a\\b.safetensors"])
def test_files_of_sub_models_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    save_file({"w": np.zeros(2, np.float32)}, tmp_path / "outside.safetensors")
    save_file({"w": np.zeros(2, np.float32)}, tmp_path / "in" / "a.safetensors")
    sources = [Model(), Model("a", {}, "a.safetensors"), Model("b", {}, name)]
    with pytest.raises(WeightsError, match="is no file below"):
        load_weights(tmp_path / "in", parameters(a__w=(2,), b__w=(2,)), sources)


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
    ("wrong size", header(a=GOOD | {"shape": [3]}), 8, r"F32\[3\] does not take 8 bytes"),
    ("unknown dtype", header(a=GOOD | {"dtype": "F31"}), 8, "has no known dtype: `F31`"),
    ("dtype is no text", header(a=GOOD | {"dtype": ["F32"]}), 8, "has no known dtype"),
    ("negative size", header(a=GOOD | {"shape": [-2]}), 8, "has no list of sizes"),
    ("negative sizes", header(a=GOOD | {"shape": [-1, -2]}), 8, "has no list of sizes"),
    ("fraction", header(a=GOOD | {"shape": [2.0]}), 8, "has no list of sizes"),
    ("bool", header(a=GOOD | {"shape": [True, 2]}), 8, "has no list of sizes"),
    ("huge shape", header(a=GOOD | {"shape": [2**62, 2**62, 2**62]}), 8, "does not take 8 bytes"),
    ("many axes", header(a=GOOD | {"shape": [2, *[1] * 100]}), 8, "has no list of sizes"),
    ("backward offsets", header(a=GOOD | {"data_offsets": [8, 0]}), 8, "has no data_offsets"),
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

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w.py", "print()")
    with pytest.raises(WeightsError, match=r"`w.py` in the archive is no array"):
        load_weights(path, wanted)


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt"])
def test_pickles_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    torch.save({"w": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match=r"are pickles, which run code when they are read; save .* as .safetensors"):
        load_weights(path, parameters(w=(2,)))


# ---- shards that are refused, and paths that leave the root


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index["weight_map"].pop("scale"), "holds `scale`, which the index does not say|does not fit"),
        (lambda index: index["weight_map"].update(more="model-0.safetensors"), "`more` is not in model-0.safetensors"),
        (
            lambda index: index["weight_map"].update(scale="model-0.safetensors"),
            "`scale` is not in model-0.safetensors",
        ),
        (lambda index: index["weight_map"].update(scale="gone.safetensors"), "gone.safetensors: No such file"),
        (
            lambda index: index["weight_map"].update(scale="../x.safetensors"),
            "is no .safetensors file beside the index",
        ),
        (lambda index: index["weight_map"].update(scale="/etc/passwd"), "is no .safetensors file beside the index"),
        (
            lambda index: index["weight_map"].update(scale="pytorch_model.bin"),
            "is no .safetensors file beside the index",
        ),
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


def test_a_key_in_two_shards_is_refused(tmp_path: Path) -> None:
    values = arrays(SMALL)
    where = write_shards(tmp_path, values)
    twice = {"fc.weight": values["fc.weight"], "scale": values["scale"]}
    save_file(twice, tmp_path / where["fc.weight"])
    with pytest.raises(WeightsError, match=f"{where['fc.weight']} holds `scale`, which the index does not say"):
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
