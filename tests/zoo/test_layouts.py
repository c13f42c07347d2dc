"""Where the networks of the zoo change the order of axes."""

from __future__ import annotations

from collections import Counter

import pytest

from netwright.compiler import pipeline
from netwright.compiler.ir import Node
from netwright.compiler.passes.context import Context, LayoutCosts
from netwright.driver.model import load

from .cases import SD_UNET, SD_VAE


def claims(node: Node) -> str | None:
    taken = ("conv_channels_last", "attention")
    return "a composite" if node.op.is_composite() and node.op.name not in taken else None


def ops(model: str, **args: object) -> Counter[str]:
    """The ops of the first entry, for a target that computes convolutions faster with the channels last."""
    costs = LayoutCosts(
        lambda node: (4.0, 1.0) if node.op.name == "conv" else None,
        lambda type: 1.0,
    )
    context = Context(claims=claims, layout=costs, requires=frozenset({"layout"}))
    program = pipeline.run(load(f"zoo:{model}", **args).program, context)
    return Counter(node.op.name for node in next(iter(program.entries.values())).graph.walk())


@pytest.mark.parametrize(
    ("model", "args", "conversions"),
    [
        ("resnet50", {}, 1),  # the image
        ("vgg16", {}, 1),  # the image; the first product takes its weights in the order of the features
        ("googlenet", {}, 1),
        ("unet", {}, 1),  # the result; an image of one channel has both orders
        ("lenet5", {}, 0),
        ("vit", {"depth": 2}, 1),  # the image; patches are rows already
        ("sd_unet", SD_UNET, 2),  # latent and noise; groups of channels are parts of the last axis
        ("sd_vae", SD_VAE, 2),
    ],
)
def test_conversions_stand_at_the_borders(model: str, args: dict[str, object], conversions: int) -> None:
    found = ops(model, **args)
    assert found["conv"] == 0
    assert found["conv_channels_last"] > 0
    assert found["transpose"] == conversions
