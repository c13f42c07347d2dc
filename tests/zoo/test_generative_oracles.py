"""The two sides of a GAN beside torch."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from .running import EXACT, Reference, error, random_floats, randomize, save_state


def test_gan(tmp_path: Path) -> None:
    def half(outputs: int, last: nn.Module) -> nn.Module:
        layers = [nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, outputs), last]
        return randomize(nn.Sequential(*layers), seed=outputs)

    generator, discriminator = half(2, nn.Tanh()), half(1, nn.Sigmoid())
    state = {f"generator.{key}": value for key, value in generator.state_dict().items()}
    state |= {f"discriminator.{key}": value for key, value in discriminator.state_dict().items()}
    reference = Reference("gan", save_state(state, tmp_path / "w.safetensors"))
    z = random_floats(9, 2)
    assert error(reference(z=z)["sample"], generator(torch.tensor(z).double())) < EXACT
    assert error(reference("judge", x=z)["belief"], discriminator(torch.tensor(z).double())) < EXACT
