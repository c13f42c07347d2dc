"""Every model of the zoo at the sizes that its source describes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from netwright.driver.zoo import rows

DEFAULTS = frozenset({"resnet", "senet", "vgg", "bert", "t5", "llama", "transformer", "vit"})
"""Documents whose own name means one of their variants."""
_PICTURE = {"H": 224, "W": 224}
_LATENT = {"H": 64, "W": 64}
_SENTENCES = {"S": 50, "T": 50}
SIZES: Mapping[str, Mapping[str, int]] = {
    "resnet": _PICTURE,
    "senet": _PICTURE,
    "unet": {"H": 32, "W": 32},
    "yolov3": {"R": 13, "C": 13},
    "yolov8n": {"R": 20, "C": 20},
    "frnn": {"T": 100},
    "rnn": {"T": 100},
    "seq2seq": _SENTENCES,
    "seq2seq_attention": _SENTENCES,
    "seq2seq_luong": _SENTENCES,
    "transformer": {"S": 128, "T": 128},
    "bert": {"T": 512},
    "gpt1": {"T": 512},
    "gpt2": {"T": 1024},
    "gpt3": {"T": 2048},
    "gpt_lecture": {"T": 256},
    "llama": {"T": 2048},
    "t5": {"S": 512, "T": 512},
    "clip_text": {"T": 77},
    "sd_unet": {"H": 8, "W": 8, "L": 77},
    "sd_vae": _LATENT,
    "sd_vae_decoder": _LATENT,
    "sd_vae_encoder": _LATENT,
    "stable_diffusion": {"H": 8, "W": 8},
}
"""The sizes of inputs by the stem of the document, at batch 1; a document that is not here has no others."""
ARGS: Mapping[str, Mapping[str, Any]] = {"stable_diffusion": {"steps": 2}}
"""Knobs that are not the default, by name: a loop does the same work in each of its steps."""


@dataclass(frozen=True, slots=True)
class FullSize:
    """A name of the zoo with its knobs, the sizes of its inputs and the number of its parameters."""

    name: str
    parameters: int
    sizes: Mapping[str, int] = field(default_factory=dict)
    args: Mapping[str, Any] = field(default_factory=dict)

    @property
    def what(self) -> str:
        """Sizes and knobs as text."""
        return ", ".join(f"{name} = {value}" for name, value in {**self.args, **self.sizes}.items() if name != "N")


def cases() -> Iterator[FullSize]:
    """Every model, in the order of the zoo; no weight is allocated."""
    for row in rows():
        if row.parameters is None or row.name in DEFAULTS:
            continue
        stem = row.document.rpartition("/")[2].removesuffix(".yaml")
        yield FullSize(row.name, row.parameters, {"N": 1, **SIZES.get(stem, {})}, ARGS.get(row.name, {}))
