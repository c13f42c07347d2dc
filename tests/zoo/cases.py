"""What is asked of every target: models of the zoo with their inputs, reduced where full size is slow.

Convolutions, layers of a transformer and cells have their full width in at least one case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .running import random_floats, random_ids

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A model, and calls of its entries one after another; state is kept between them."""

    model: str
    calls: tuple[tuple[str, Inputs], ...]
    args: Mapping[str, Any] = field(default_factory=dict)
    given: tuple[str, ...] = ()


def once(model: str, inputs: Inputs, *given: str, **args: Any) -> Case:
    """One call of the main entry."""
    return Case(model, (("main", inputs),), args, given)


def gate(name: str, width: int) -> Case:
    """All combinations of the inputs of a gate."""
    rows = [[float(row >> at & 1) for at in reversed(range(width))] for row in range(2**width)]
    return once(name, {"x": np.array(rows, np.float32)})


GPT2 = {"depth": 2, "width": 48, "heads": 4, "vocabulary": 97, "context": 32, "new_tokens": 6, "stop": 96}
BERT = {"depth": 2, "width": 48, "heads": 4, "hidden": 96, "vocabulary": 97, "context": 32}
DEEP = {"depth": 2, "bidirectional": True}
T5 = {"vocabulary": 50, "width": 20, "head_width": 6, "hidden": 36, "depth": 2, "heads": 4, "new_tokens": 5}
VIT = {"size": 48, "depth": 2, "width": 48, "heads": 4, "hidden": 64}
CLIP = {"depth": 2, "width": 24, "heads": 3, "hidden": 40, "vocabulary": 49, "context": 16}
TRANSLATE = {"source_vocabulary": 23, "target_vocabulary": 19, "new_tokens": 6}
RNN_SEARCH = {"embedding": 6, "hidden": 8, "align": 5, "maxout": 4}
SD_UNET = {"widths": [8, 16], "attends": [True, False], "heads": 2, "text_width": 16, "groups": 4, "resnets": 1}
SD_VAE = {"widths": [8, 16], "groups": 4, "resnets": 1}
DECODER = {"depth": 2, "width": 48, "heads": 4, "vocabulary": 97, "context": 32, "new_tokens": 6}
LLAMA = {**DECODER, "kv_heads": 2, "head_width": 12, "hidden": 96}
TRANSFORMER = {"depth": 2, "width": 48, "heads": 4, "hidden": 64, "vocabulary": 97, "new_tokens": 6}
DDPM = {"size": 16, "widths": [8, 16], "attends": [False, True], "resnets": 1, "groups": 4, "trained_steps": 5}
IDS = random_ids(3, 11, below=97)
MASK = np.arange(11) < np.array([[11], [4], [7]])
WORDS = random_floats(3, 9, 32)
LENGTHS = np.array([9, 2, 5])
LONG = random_ids(2, 150, below=50)
LONG_TEXT = {"source": LONG, "mask": np.arange(150) < np.array([[150], [97]])}
SAMPLING = {"temperature": 1.0, "seed": 0}
SOURCES = {"source": random_ids(3, 5, below=23)}
SENTENCES = {**SOURCES, **SAMPLING}
PAIRS = {**SOURCES, "target": random_ids(3, 4, below=19, seed=1)}
NOISE = {"latent": random_floats(2, 4, 8, 16), "time": np.array([3.0, 871.0]), "text": random_floats(2, 7, 16)}

CASES: dict[str, Case] = {
    "mcculloch_pitts": gate("mcculloch_pitts", 2),
    "and_gate": gate("and_gate", 2),
    "or_gate": gate("or_gate", 2),
    "not_gate": gate("not_gate", 1),
    "xor_gate": gate("xor_gate", 2),
    "perceptron": once("perceptron", {"x": random_floats(5, 2)}),
    "xor_mlp": once("xor_mlp", {"x": random_floats(5, 2)}),
    "ffnn": once("ffnn", {"x": random_floats(5, 2)}),
    "mlp": once("mlp", {"x": random_floats(5, 784)}),
    "mlp, deeper": once("mlp", {"x": random_floats(5, 20)}, features=20, hidden=[9, 8, 7, 6], activation="relu"),
    "lenet5": once("lenet5", {"image": random_floats(3, 1, 32, 32)}),
    "vgg16": once("vgg16", {"image": random_floats(2, 3, 64, 64)}, size=64, width=16, hidden=64),
    "resnet18": once("resnet18", {"image": random_floats(2, 3, 64, 48)}),
    "resnet50": once("resnet50", {"image": random_floats(2, 3, 64, 48)}),
    "rnn": once("rnn", {"x": WORDS}),
    "lstm": once("lstm", {"x": WORDS}),
    "lstm, deep": once("lstm", {"x": WORDS, "lengths": LENGTHS}, "lengths", **DEEP),
    "gru": once("gru", {"x": WORDS}),
    "gru, deep": once("gru", {"x": WORDS, "lengths": LENGTHS}, "lengths", **DEEP),
    "bert_base": once("bert_base", {"ids": IDS, "mask": MASK}, "mask", **BERT),
    "bert_base, one layer": once("bert_base", {"ids": random_ids(1, 24, below=500)}, depth=1, vocabulary=500),
    "gpt2": once("gpt2", {"ids": IDS}, **GPT2),
    "gpt2, cache": Case(
        "gpt2",
        (
            ("prefill", {"ids": IDS[:, :6]}),
            ("decode", {"token": IDS[:, 6]}),
            ("prefill", {"ids": IDS[:, 7:10]}),
            ("decode", {"token": IDS[:, 10]}),
        ),
        GPT2,
    ),
    "gpt2, generate": Case("gpt2", (("generate", {"ids": IDS, "temperature": 1.0, "seed": 0}),), GPT2),
    "gpt2, one layer": once("gpt2", {"ids": random_ids(1, 24, below=500)}, depth=1, vocabulary=500),
    "unet": once("unet", {"image": random_floats(1, 1, 60, 68)}, depth=2, width=16),
    "unet_same": once("unet_same", {"image": random_floats(2, 1, 32, 48)}, depth=3, width=16),
    "googlenet": once("googlenet", {"image": random_floats(2, 3, 88, 88)}, size=88),
    "yolov3": once("yolov3", {"image": random_floats(2, 3, 64, 96)}, classes=5, width=4, limit=20),
    "bidirectional_rnn": once("bidirectional_rnn", {"x": WORDS, "lengths": LENGTHS}, "lengths", depth=3),
    "seq2seq": Case("seq2seq", (("main", PAIRS), ("generate", SENTENCES)), {**TRANSLATE, "width": 8, "depth": 2}),
    "seq2seq_luong": Case(
        "seq2seq_luong", (("main", PAIRS), ("generate", SENTENCES)), {**TRANSLATE, "width": 8, "depth": 2}
    ),
    "seq2seq_attention": Case(
        "seq2seq_attention", (("main", PAIRS), ("generate", SENTENCES)), {**TRANSLATE, **RNN_SEARCH}
    ),
    "t5": Case(
        "t5", (("main", {**LONG_TEXT, "target": LONG[:, :9]}), ("generate", {**LONG_TEXT, **SAMPLING})), T5, ("mask",)
    ),
    "vit": once("vit", {"image": random_floats(2, 3, 48, 48)}, **VIT),
    "clip_text": once("clip_text", {"ids": random_ids(2, 11, below=49)}, **CLIP),
    "gan": Case("gan", (("main", {"z": random_floats(5, 2)}), ("judge", {"x": random_floats(5, 2)}))),
    "sd_unet": once("sd_unet", NOISE, **SD_UNET),
    "sd_vae": Case(
        "sd_vae", (("main", {"latent": NOISE["latent"]}), ("encode", {"image": random_floats(1, 3, 16, 24)})), SD_VAE
    ),
    "ann": once("ann", {"x": random_floats(5, 4)}),
    "rbf": once("rbf", {"x": random_floats(5, 2)}),
    "rbf, multiquadric": once("rbf", {"x": random_floats(5, 2)}, function="multiquadric"),
    "cnn": once("cnn", {"image": random_floats(2, 3, 64, 64)}),
    "alexnet": once("alexnet", {"image": random_floats(2, 3, 67, 67)}, size=67, hidden=64),
    "alexnet_grouped": once("alexnet_grouped", {"image": random_floats(2, 3, 99, 99)}, size=99, width=24, hidden=64),
    "alexnet_slim": once("alexnet_slim", {"image": random_floats(2, 3, 67, 67)}, size=67, width=16, hidden=64),
    "seresnet50": once("seresnet50", {"image": random_floats(2, 3, 65, 50)}, depths=[1, 2, 1, 1]),
    "senet154": once("senet154", {"image": random_floats(1, 3, 64, 48)}, depths=[1, 1, 1]),
    "yolov1": once("yolov1", {"image": random_floats(2, 3, 128, 128)}, grid=2, width=8, hidden=32, classes=5),
    "yolov8n": once("yolov8n", {"image": random_floats(2, 3, 64, 96)}, classes=5, width=8, limit=20),
    "frnn": once("frnn", {"x": random_floats(3, 9, 8), "mask": np.tri(16, dtype=np.float32)}, "mask"),
    "transformer": Case(
        "transformer",
        (
            ("main", {"source": IDS, "target": IDS[:, :5], "mask": MASK}),
            ("generate", {"source": IDS, "mask": MASK, **SAMPLING}),
        ),
        TRANSFORMER,
        ("mask",),
    ),
    "gpt1": Case("gpt1", (("main", {"ids": IDS}), ("generate", {"ids": IDS, "temperature": 1.0, "seed": 0})), DECODER),
    "gpt_lecture": Case(
        "gpt_lecture",
        (("main", {"ids": IDS}), ("generate", {"ids": IDS, "temperature": 0.8, "seed": 3})),
        {**DECODER, "top_k": 9, "top_p": 0.8},
    ),
    "llama": Case(
        "llama",
        (
            ("main", {"ids": IDS}),
            ("prefill", {"ids": IDS[:, :6]}),
            ("decode", {"token": IDS[:, 6]}),
            ("generate", {"ids": IDS, "temperature": 1.0, "seed": 0}),
        ),
        LLAMA,
    ),
    "llama, stretched": once("llama", {"ids": IDS}, **{**LLAMA, "stretch": 8, "learned": 16, "tied": True}),
    "dcgan_generator": once("dcgan_generator", {"z": random_floats(2, 100, 1, 1)}, width=8),
    "dcgan_discriminator": once("dcgan_discriminator", {"image": random_floats(2, 3, 64, 64)}, width=8),
    "ddpm": Case(
        "ddpm",
        (
            ("main", {"image": random_floats(2, 3, 16, 16), "time": np.array([3.0, 871.0])}),
            ("sample", {"noise": random_floats(1, 3, 16, 16), "seed": 1}),
        ),
        DDPM,
    ),
    "clip_image": once(
        "clip_image", {"image": random_floats(2, 3, 42, 42)}, size=42, depth=2, width=24, heads=3, hidden=40
    ),
}
