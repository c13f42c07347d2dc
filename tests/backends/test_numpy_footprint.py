"""The memory that the numpy target plans: what it says is what it allocates, and little more than values need."""

from __future__ import annotations

import pytest

from netwright.driver.build import Build, Weights, compile_model, compile_program
from netwright.driver.devices import footprints
from netwright.driver.model import load
from netwright.driver.samples import random_inputs


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("resnet50", {"N": 1, "H": 224, "W": 224}),
        ("resnet50", {"N": 8, "H": 224, "W": 224}),
        ("vgg16", {"N": 1}),
        ("bert_base", {"N": 1, "T": 128}),
        ("bert_base", {"N": 4, "T": 384}),
        ("unet", {"N": 1, "H": 32, "W": 32}),
    ],
    ids=lambda given: given if isinstance(given, str) else ",".join(f"{name}={size}" for name, size in given.items()),
)
def test_large_networks_hold_little_more_than_their_values(name: str, sizes: dict[str, int]) -> None:
    """With all that kernels need besides: the bound counts values alone, in place wherever that is right."""
    found = footprints(compile_program(load(f"zoo:{name}"), Build("numpy"), Weights()), sizes)["main"]
    assert found.peak is not None and found.ratio is not None and found.live is not None
    assert found.bound > 2**20
    assert found.live <= found.peak <= 1.15 * found.bound


def test_what_is_said_is_what_is_allocated() -> None:
    model, build, sizes = load("zoo:lenet5"), Build("numpy"), {"N": 3}
    said = footprints(compile_program(model, build, Weights()), sizes)["main"]
    net = compile_model(model, build, Weights())
    net(**random_inputs(net.signature.entries["main"], 0, sizes))
    (plan,) = net.runtime.model.plans.values()
    assert plan.bytes == said.peak


def test_each_entry_and_other_sizes() -> None:
    compiled = compile_program(load("zoo:gpt2", depth=2, width=32, heads=2), Build("numpy"), Weights())
    small, large = (footprints(compiled, {"N": 1, "T": length}) for length in (4, 64))
    assert set(small) == set(compiled.program.entries) > {"main", "decode"}
    assert small["main"].bound < large["main"].bound and small["decode"] == large["decode"]
