"""Every family of the zoo on triton, in the interpreter, gives what the reference gives in float64.

The interpreter takes milliseconds for each launch, so models are small here: few layers, narrow, small pictures.
"""

from __future__ import annotations

import numpy as np
import pytest

from netwright.backends.api import Options
from netwright.driver.build import Build, Weights, compile_model
from netwright.driver.model import load
from netwright.spec.zoo_index import zoo_names

from .cases import CASES, Case, once
from .running import error, random_floats, random_ids
from .test_all import LIBRARIES

CLOSE = 1e-4
"""Relative to the largest value of an output, in float32."""
HALF = {"float16": 4e-3, "bfloat16": 3e-2}
"""As `CLOSE`, with weights and activations in 16 bits."""

IDS = random_ids(2, 6, below=31)
GPT = {"depth": 1, "width": 24, "heads": 2, "vocabulary": 31, "context": 12, "new_tokens": 3}
WORDS = random_floats(2, 4, 32)
LENGTHS = np.array([4, 2])
TRANSLATE = {"source_words": 13, "target_words": 11, "longest": 3}
PAIRS = {"source": random_ids(2, 3, below=13), "target": random_ids(2, 3, below=11)}
SENTENCES = {"source": PAIRS["source"]}
PHOTO = {"image": random_floats(1, 3, 32, 32)}
NOISE = {"latent": random_floats(1, 4, 8, 8), "time": np.array([3.0]), "text": random_floats(1, 5, 8)}
SD_UNET = {"widths": [4, 8], "attends": [True, False], "heads": 2, "text_width": 8, "groups": 2, "resnets": 1}
SD_VAE = {"widths": [4, 8], "groups": 2, "resnets": 1}

SMALL: dict[str, Case] = {
    "vgg16": once("vgg16", PHOTO, size=32, width=4, hidden=16),
    "resnet18": once("resnet18", PHOTO, depths=[1, 1, 1, 1], classes=7),
    "resnet50": once("resnet50", PHOTO, depths=[1, 2, 1, 1], classes=7),
    "seresnet50": once("seresnet50", PHOTO, depths=[1, 1], classes=7),
    "googlenet": once("googlenet", {"image": random_floats(1, 3, 80, 80)}, size=80, classes=7),
    "yolov3": once("yolov3", PHOTO, classes=3, width=2, limit=3),
    "lstm": once("lstm", {"x": WORDS, "lengths": LENGTHS}, "lengths", layers=2, bidirectional=True),
    "gru": once("gru", {"x": WORDS, "lengths": LENGTHS}, "lengths"),
    "bidirectional_rnn": once("bidirectional_rnn", {"x": WORDS, "lengths": LENGTHS}, "lengths"),
    "gpt2": Case(
        "gpt2",
        (
            ("main", {"ids": IDS}),
            ("prefill", {"ids": IDS[:, :4]}),
            ("decode", {"token": IDS[:, 4]}),
            ("generate", {"ids": IDS, "temperature": 1.0, "seed": 0}),
        ),
        {**GPT, "stop": 30},
    ),
    "llama": Case(
        "llama",
        (("prefill", {"ids": IDS[:, :4]}), ("decode", {"token": IDS[:, 4]})),
        {**GPT, "kv_heads": 1, "head_width": 12, "hidden": 32},
    ),
    "gpt1": once("gpt1", {"ids": IDS}, **GPT),
    "gpt_lecture": Case(
        "gpt_lecture", (("generate", {"ids": IDS, "temperature": 0.8, "seed": 3}),), {**GPT, "top_k": 9, "top_p": 0.8}
    ),
    "transformer": Case(
        "transformer",
        (("main", {"ids": IDS, "target": IDS[:, :5]}), ("generate", {"ids": IDS})),
        {"depth": 1, "width": 24, "heads": 2, "hidden": 32, "vocabulary": 31, "new_tokens": 3},
    ),
    "bert_base": once(
        "bert_base",
        {"ids": IDS, "mask": np.arange(6) < np.array([[6], [3]])},
        "mask",
        **{"depth": 1, "width": 24, "heads": 2, "hidden": 48, "vocabulary": 31, "context": 12},
    ),
    "t5": once(
        "t5", {"ids": IDS, "target": IDS[:, :4]}, vocabulary=31, width=20, key_width=6, hidden=36, depth=1, heads=2
    ),
    "seq2seq": Case("seq2seq", (("main", PAIRS), ("generate", SENTENCES)), {**TRANSLATE, "width": 8, "layers": 1}),
    "seq2seq_attention": Case(
        "seq2seq_attention",
        (("main", PAIRS), ("generate", SENTENCES)),
        {**TRANSLATE, "embedding": 6, "hidden": 8, "align": 5, "maxout": 4},
    ),
    "unet": once("unet", {"image": random_floats(1, 1, 28, 36)}, depth=1, width=8),
    "unet_same": once("unet_same", {"image": random_floats(1, 1, 16, 24)}, depth=2, width=8),
    "sd_unet": once("sd_unet", NOISE, **SD_UNET),
    "sd_vae": Case(
        "sd_vae", (("main", {"latent": NOISE["latent"]}), ("encode", {"image": random_floats(1, 3, 8, 16)})), SD_VAE
    ),
    "vit": once("vit", PHOTO, size=32, depth=1, width=24, heads=2, hidden=32),
    "clip_text": once("clip_text", {"ids": IDS}, depth=1, width=24, heads=3, hidden=40, vocabulary=31, context=8),
    "clip_image": once(
        "clip_image", {"image": random_floats(1, 3, 28, 28)}, size=28, depth=1, width=24, heads=3, hidden=40
    ),
    "alexnet_grouped": once(
        "alexnet_grouped", {"image": random_floats(1, 3, 67, 67)}, size=67, width=24, hidden=16, classes=7
    ),
    "yolov1": once("yolov1", {"image": random_floats(1, 3, 64, 64)}, grid=1, width=4, hidden=16, classes=3),
    "yolov8n": once("yolov8n", PHOTO, classes=3, width=4, limit=3),
    "ddpm": Case(
        "ddpm",
        (
            ("main", {"image": random_floats(1, 3, 8, 8), "time": np.array([3.0])}),
            ("sample", {"noise": random_floats(1, 3, 8, 8), "seed": 1}),
        ),
        {"size": 8, "widths": [4, 8], "attends": [False, True], "resnets": 1, "groups": 2, "trained_steps": 2},
    ),
    "seq2seq_luong": Case(
        "seq2seq_luong", (("main", PAIRS), ("generate", SENTENCES)), {**TRANSLATE, "width": 8, "layers": 1}
    ),
}
"""In the place of larger cases."""

AS_THEY_ARE = (
    "mcculloch_pitts", "and_gate", "or_gate", "not_gate", "xor_gate", "perceptron", "xor_mlp", "ffnn", "mlp", "ann",
    "rbf", "lenet5", "cnn", "rnn", "frnn", "gan", "dcgan_generator", "dcgan_discriminator",
)  # fmt: skip
HERE = {**{name: CASES[name] for name in AS_THEY_ARE}, **SMALL}


LARGE = {"transfer", "stable_diffusion", "gpt3"}
"""Made of full-size parts, which are here by themselves."""
PARTS = {"sd_vae_encoder", "sd_vae_decoder"}
"""Together they are sd_vae."""


def test_no_family_is_left_out() -> None:
    here = {case.model for case in HERE.values()}
    families: dict[object, set[str]] = {}
    for name, (entry, *_) in zoo_names().items():
        families.setdefault(entry.path, set()).add(name)
    missing = {min(names) for names in families.values() if not names & here}
    assert missing == LARGE | PARTS | LIBRARIES


def outputs(case: Case, target: str, dtype: str = "float32") -> list[dict[str, np.ndarray]]:
    """The outputs of each call of a case, and behind them the states that are left."""
    model = load(f"zoo:{case.model}", given=case.given, dtype=dtype, **case.args)
    options = Options(device="interpreter") if target == "triton" else Options()
    net = compile_model(model, Build(target, options), Weights(seed=7, everywhere=True))
    results = [net.run(entry, **inputs) for entry, inputs in case.calls]
    return [*results, {name: np.array(value) for name, value in net.states.items()}]


@pytest.mark.parametrize("name", HERE)
def test_agreement(name: str) -> None:
    wanted, got = outputs(HERE[name], "reference"), outputs(HERE[name], "triton")
    assert [list(each) for each in got] == [list(each) for each in wanted]
    for found, right in zip(got, wanted, strict=True):
        for key, value in right.items():
            if value.dtype.kind == "f":
                assert error(found[key], value) < CLOSE, key
            else:
                assert np.array_equal(found[key], value), key


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", ["lenet5", "gru", "vit"])
def test_agreement_in_16_bits(name: str, dtype: str) -> None:
    wanted, got = outputs(HERE[name], "reference"), outputs(HERE[name], "triton", dtype)
    for found, right in zip(got, wanted, strict=True):
        for key, value in right.items():
            assert error(found[key], value) < HALF[dtype], key
