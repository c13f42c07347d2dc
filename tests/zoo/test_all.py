"""Every name of the zoo: it is checked and lowered, its parameters are counted exactly, its program is sound."""

from __future__ import annotations

from math import prod

import pytest
from jsonschema import Draft202012Validator

from netwright.compiler.ir.text import parse_program, print_program
from netwright.compiler.ir.verify import verify
from netwright.driver.model import load
from netwright.driver.schema import spec_schema
from netwright.spec.diagnostics import SpecError
from netwright.spec.load import load_document
from netwright.spec.reader import read_tree
from netwright.spec.tree import plain
from netwright.spec.zoo_index import ZOO, zoo_names

LIBRARIES = {"clip", "decoding", "diffusion", "recurrent", "residual"}
TRAINABLE = {
    "alexnet": 62_378_344,
    "alexnet_grouped": 60_965_224,
    "alexnet_slim": 61_100_840,
    "and_gate": 0,
    "ann": 15,
    "bert": 109_482_240,
    "bert_base": 109_482_240,
    "bert_large": 335_141_888,
    "bidirectional_rnn": 12_544,
    "clip_image": 303_179_776,
    "clip_text": 123_060_480,
    "cnn": 19_920,
    "dcgan_discriminator": 2_765_568,
    "dcgan_generator": 3_576_704,
    "ddpm": 35_746_307,
    "ffnn": 9,
    "frnn": 416,
    "gan": 114 + 105,
    "googlenet": 6_998_552,
    "gpt1": 116_534_784,
    "gpt2": 124_439_808,
    "gpt2_large": 774_030_080,
    "gpt2_medium": 354_823_168,
    "gpt2_xl": 1_557_611_200,
    "gpt3": 174_604_259_328,
    "gpt_lecture": 10_788_929,
    "gru": 18_816,
    "lenet5": 61_706,
    "llama": 6_738_415_616,
    "llama2_7b": 6_738_415_616,
    "llama3_1b": 1_235_814_400,
    "llama3_8b": 8_030_261_248,
    "lstm": 25_088,
    "mcculloch_pitts": 0,
    "mlp": 13_002,
    "not_gate": 0,
    "or_gate": 0,
    "perceptron": 3,
    "rbf": 65,
    "resnet": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "rnn": 6_272,
    "sd_unet": 859_520_964,
    "sd_vae": 83_653_863,
    "sd_vae_decoder": 49_490_179 + 20,
    "sd_vae_encoder": 34_163_592 + 72,
    "senet": 28_088_024,
    "senet154": 115_088_984,
    "seq2seq": 384_000_000,
    "seq2seq_attention": 80_401_000,
    "seq2seq_luong": 2 * 50_000_000 + 8 * 8_000_000 + 53_000_000,
    "seresnet152": 66_821_848,
    "seresnet50": 28_088_024,
    "stable_diffusion": 1_066_235_307,
    "stacked_rnn": 22_912,
    "t5": 222_903_552,
    "t5_11b": 11_307_321_344,
    "t5_3b": 2_851_598_336,
    "t5_base": 222_903_552,
    "t5_large": 737_668_096,
    "t5_small": 60_506_624,
    "transfer": 25_557_032 - (2048 + 1) * 1000 + (2048 + 1) * 5,  # a head for 5 in place of 1000
    "transformer": 63_082_496,
    "transformer_base": 63_082_496,
    "transformer_big": 214_245_376,
    "unet": 31_030_658,
    "unet_same": 31_030_658,
    "vgg": 138_357_544,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vit": 86_567_656,
    "vit_b16": 86_567_656,
    "vit_l16": 304_326_632,
    "xor_gate": 0,
    "xor_mlp": 9,
    "yolov1": 271_703_550,
    "yolov3": 61_949_149,
    "yolov8n": 3_157_200,
}
STATISTICS = {
    "resnet": 53_120,
    "resnet18": 9_600,
    "resnet34": 17_024,
    "resnet50": 53_120,
    "resnet101": 105_344,
    "resnet152": 151_424,
    "transfer": 53_120,
    "yolov3": 52_608,
    "dcgan_generator": 1_920,
    "dcgan_discriminator": 1_792,
    "senet": 53_120,
    "seresnet50": 53_120,
    "seresnet152": 151_424,
    "senet154": 247_552,
    "yolov8n": 10_592,
}
"""Running means and variances, which are not trained."""

ORDER = (
    "netwright", "name", "summary", "idea", "source", "doc", "include", "args", "let", "variants", "parts", "blocks",
    "inputs", "dims", "usual", "params", "constants", "graph", "outputs", "state", "entries", "init", "weights",
    "precision", "sharding", "training",
)  # fmt: skip
"""Of the sections of every document."""

SCHEMA = Draft202012Validator(spec_schema())
DOCUMENTS = sorted(ZOO.rglob("*.yaml"))


def test_names() -> None:
    """The table is complete, and no name stands for two documents."""
    names = zoo_names()
    assert set(names) == LIBRARIES | set(TRAINABLE)
    assert [name for name, entries in names.items() if len(entries) != 1] == []


@pytest.mark.parametrize("name", TRAINABLE)
def test_model(name: str) -> None:
    model = load(f"zoo:{name}")
    assert model.name
    program = model.program
    counts = {True: 0, False: 0}
    for parameter in program.parameters.values():
        counts[parameter.trainable] += prod(size for size in parameter.type.shape if isinstance(size, int))
    assert counts == {True: TRAINABLE[name], False: STATISTICS.get(name, 0)}
    assert model.lowered.warnings == ()
    verify(program)
    text = print_program(program)
    parsed = parse_program(text)
    verify(parsed)
    assert print_program(parsed) == text


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_library(name: str) -> None:
    assert load_document(f"zoo:{name}").document.is_library
    with pytest.raises(SpecError, match="library, not a model"):
        load(f"zoo:{name}").program  # noqa: B018


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_document(path) -> None:  # type: ignore[no-untyped-def]
    """It says what it is, fits the lines of the house, and an editor's schema finds nothing wrong with it."""
    text = path.read_text()
    document = plain(read_tree(text, path.name))
    assert [error.message for error in SCHEMA.iter_errors(document)] == []
    assert document["summary"]
    assert list(document) == [section for section in ORDER if section in document]
    sentences = [part for part in document.get("idea", "").split(". ") if part]
    assert len(sentences) == (2 if "graph" in document else 0), "the idea of a model is told in two sentences"
    assert document.get("name", path.stem)
    assert max(map(len, text.splitlines())) <= 140
    assert text.endswith("\n") and not text.endswith("\n\n")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_beside(path) -> None:  # type: ignore[no-untyped-def]
    """A document is the same when it is named by its path."""
    loaded = load_document(path)
    if not loaded.document.is_library:
        assert load(path).program.parameters.keys() == load(f"zoo:{path.stem}").program.parameters.keys()


def test_unknown_name() -> None:
    with pytest.raises(SpecError, match=r"the zoo has no `resnet5O`(.|\n)*did you mean `resnet50`"):
        load("zoo:resnet5O")
