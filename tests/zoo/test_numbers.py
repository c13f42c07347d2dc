"""The numbers that papers and reference implementations give: parameters to the last one, work to a thousandth.

A multiply-accumulate of a convolution, a linear layer or a matmul counts once, for one example; attention counts its
scores and its values, in full even where it is causal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import pytest

from netwright.driver.model import load
from netwright.driver.summary import summary_of
from netwright.spec.elaborate.learning import training_plan
from netwright.spec.elaborate.program import Request
from netwright.spec.load import load_document

GIGA = 10**9


@dataclass(frozen=True)
class Case:
    """A model as it stands, or with some knobs and sizes; None where no source gives a number."""

    name: str
    parameters: int | None = None
    macs: float | None = None
    buffers: int = 0
    knobs: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    entry: str = "main"

    def __str__(self) -> str:
        said = [f"{key}={value}" for key, value in {**self.knobs, **self.sizes}.items()]
        return "-".join([self.name, *said, *([] if self.entry == "main" else [self.entry])])


STRIDED_FIRST = {"stride_in_1x1": True}

CASES = [
    # units and feed-forward networks
    Case("mcculloch_pitts", 0, 2),
    Case("mcculloch_pitts", 0, 5, knobs={"signs": [1, 1, -1, 1, 1]}),
    Case("and_gate", 0, 2),
    Case("or_gate", 0, 2),
    Case("not_gate", 0, 1),
    Case("xor_gate", 0),
    Case("perceptron", 3, 2),
    Case("perceptron", 8, 7, knobs={"features": 7}),
    Case("xor_mlp", 9, 6),
    Case("ffnn", 9, 6),
    Case("ann", 4 * 3 + 3, 4 * 3),
    Case("ann", 9 * 5 + 5, 9 * 5, knobs={"features": 9, "classes": 5}),
    Case("mlp", 13_002, 12_960),
    Case("mlp", 784 * 10 + 10, 784 * 10, knobs={"hidden": []}),
    Case("cnn", 19_920, 5_608_780),
    # classifiers
    Case("lenet5", 61_706, 416_520),
    Case("lenet5", 44_426, 281_640, knobs={"size": 28}),
    Case("lenet5", 61_706, 416_520, knobs={"pool": "avg"}),
    Case("alexnet", 62_378_344, 1.1353 * GIGA),
    Case("alexnet_grouped", 60_965_224, 0.7244 * GIGA),
    Case("alexnet_slim", 61_100_840, 0.7142 * GIGA),
    Case("vgg11", 132_863_336, 7.6091 * GIGA),
    Case("vgg13", 133_047_848, 11.3085 * GIGA),
    Case("vgg16", 138_357_544, 15.4703 * GIGA),
    Case("vgg19", 143_667_240, 19.6321 * GIGA),
    Case("googlenet", 6_998_552, 1.5827 * GIGA),
    Case("resnet18", 11_689_512, 1.8141 * GIGA, 9_600),
    Case("resnet34", 21_797_672, 3.6638 * GIGA, 17_024),
    Case("resnet50", 25_557_032, 4.0892 * GIGA, 53_120),
    Case("resnet50", 25_557_032, 3.8580 * GIGA, 53_120, STRIDED_FIRST),
    Case("resnet101", 44_549_160, None, 105_344),
    Case("resnet152", 60_192_808, 11.5136 * GIGA, 151_424),
    Case("resnet152", 60_192_808, 11.2824 * GIGA, 151_424, STRIDED_FIRST),
    Case("seresnet50", 28_088_024, 3.8605 * GIGA, 53_120),
    Case("seresnet50", 28_088_024, 4.0917 * GIGA, 53_120, {"stride_in_1x1": False}),
    Case("seresnet152", 66_821_848, None, 151_424),
    Case("senet154", 115_088_984, 20.6884 * GIGA, 247_552),
    # detection and segmentation
    Case("yolov1", 271_703_550, 20.2852 * GIGA),
    Case("yolov3", 61_949_149, 32.9320 * GIGA, 52_608),
    Case("yolov8n", 3_157_200, 4.3720 * GIGA, 10_592),
    Case("unet", 31_030_658, 150.4284 * GIGA),
    Case("unet_same", 31_030_658),
    # recurrent networks, one step each
    Case("rnn", 6_272, 64 * (32 + 64)),
    Case("frnn", 416, 16 * (16 + 8)),
    Case("stacked_rnn", 22_912),
    Case("bidirectional_rnn", 12_544),
    Case("lstm", 25_088, 4 * 64 * (32 + 64)),
    Case("gru", 18_816, 3 * 64 * (32 + 64)),
    Case("seq2seq", 384_000_000),
    Case("seq2seq_attention", 80_401_000),
    # transformers
    Case("transformer_base", 63_082_496, 8.3640 * GIGA),
    Case("transformer_big", 214_245_376),
    Case("bert_base", 109_482_240, 48.3190 * GIGA),
    Case("bert_base", 109_482_240, 11.1742 * GIGA, sizes={"T": 128}),
    Case("bert_base", 110_106_428, knobs={"pretraining": True}),
    Case("bert_large", 335_141_888),
    Case("bert_large", 336_226_108, knobs={"pretraining": True}),
    Case("gpt1", 116_534_784),
    Case("gpt2", 124_439_808, 145.8242 * GIGA),
    Case("gpt2_medium", 354_823_168),
    Case("gpt2_large", 774_030_080),
    Case("gpt2_xl", 1_557_611_200),
    Case("gpt3", 174_604_259_328, 367_402 * GIGA),
    Case("gpt_lecture", 10_788_929),
    Case("t5_small", 60_506_624, 35.8026 * GIGA),
    Case("t5_base", 222_903_552, 128.5974 * GIGA),
    Case("t5_large", 737_668_096),
    Case("t5_3b", 2_851_598_336),
    Case("t5_11b", 11_307_321_344),
    Case("llama2_7b", 6_738_415_616, 14_630.8 * GIGA),
    Case("llama3_8b", 8_030_261_248),
    Case("llama3_1b", 1_235_814_400),
    Case("vit_b16", 86_567_656, 17.5638 * GIGA),
    Case("vit_l16", 304_326_632),
    # generative models
    Case("gan", 114 + 105, 96),
    Case("gan", None, 88, entry="judge"),
    Case("dcgan_generator", 3_576_704, 0.1046 * GIGA, 1_920),
    Case("dcgan_discriminator", 2_765_568, 0.1038 * GIGA, 1_792),
    Case("ddpm", 35_746_307, 6.2219 * GIGA),
    Case("clip_text", 123_060_480, 6.6493 * GIGA),
    Case("clip_image", 303_179_776, 81.0120 * GIGA),
    Case("sd_unet", 859_520_964, 401.637 * GIGA),
    Case("sd_vae", 83_653_863, 1257.259 * GIGA),
    Case("sd_vae", None, 558.329 * GIGA, entry="encode"),
    Case("sd_vae_decoder", 49_490_179 + 20, 1257.259 * GIGA),
    Case("sd_vae_encoder", 34_163_592 + 72, 558.329 * GIGA),
    # Fifty guided steps: a text with and without words, the U-Net twice a step, the way back to a picture.
    Case("stable_diffusion", 1_066_235_307, (2 * 6.6493 + 50 * 2 * 401.637 + 1257.259) * GIGA),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_numbers(case: Case) -> None:
    found = summary_of(load(f"zoo:{case.name}", **case.knobs), case.sizes)
    entry = next(each for each in found.entries if each.name == case.entry)
    if case.parameters is not None:
        assert (found.parameters, found.buffers) == (case.parameters, case.buffers)
    if case.macs is not None:
        assert entry.macs == pytest.approx(case.macs, rel=1e-3)
    assert 2 * entry.macs <= entry.flops
    assert sum(group.macs for group in entry.groups) == entry.macs
    assert sum(group.flops for group in entry.groups) == entry.flops


def test_heads_that_only_training_has() -> None:
    """GoogLeNet learns with two more heads."""
    plan = training_plan(load_document("zoo:googlenet"), Request())
    parameters = plan.parameters.values()
    assert sum(prod(p.type.shape) for p in parameters if p.trainable) == 13_378_280  # type: ignore[arg-type]


def test_a_forward_pass_counts_what_one_layer_after_another_does() -> None:
    """By hand: GPT-2's products for 1,024 tokens, and for one more behind a full cache."""
    found = summary_of(load("zoo:gpt2"), {})
    works = {entry.name: entry.macs for entry in found.entries}
    context, width, layers, words = 1024, 768, 12, 50257
    for name, tokens in (("main", context), ("decode", 1)):
        layer = tokens * 12 * width**2 + 2 * tokens * context * width
        assert works[name] == layers * layer + tokens * width * words, name
