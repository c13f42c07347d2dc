"""Layouts of weights: renamed, transposed, joined and tied keys, and what is said of files that do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from netwright.compiler.ir import DType, Parameter, TensorType
from netwright.spec.diagnostics import SpecError
from netwright.spec.weights import WeightsError, load_weights, match_report

from .weight_files import (
    SMALL,
    arrays,
    message_of,
    model,
    parameters,
    same,
)

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
