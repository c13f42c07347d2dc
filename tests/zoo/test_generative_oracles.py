"""The two sides of a GAN, and the loops of diffusion, step by step beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from netwright.spec.zoo_index import ZOO

from .running import EXACT, Reference, error, random_floats, random_ids, randomize, save_state


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


SMALL: dict[str, dict[str, Any]] = {
    "zoo:clip_text": {"depth": 1, "width": 16, "heads": 2, "hidden": 24, "context": 77},
    "sd_unet.yaml": {"widths": [8, 16, 16, 16], "heads": 2, "text_width": 16, "groups": 4, "resnets": 1},
    "sd_vae.yaml": {"widths": [8, 8, 8, 8], "groups": 4, "resnets": 1},
}
FILES = {
    "clip_text": "text_encoder/model.safetensors",
    "sd_unet": "unet/diffusion_pytorch_model.safetensors",
    "sd_vae": "vae/diffusion_pytorch_model.safetensors",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion with small sub-models, its own file otherwise, beside a file of weights for each of them.

    That of the autoencoder holds both ways, as the published one does; the pipeline needs one of them.
    """
    folder = tmp_path_factory.mktemp("diffusion")
    for path in (ZOO / "generative").glob("*.yaml"):
        text = path.read_text()
        if path.stem == "stable_diffusion":
            for model, args in SMALL.items():
                assert f"model: {model}," in text
                listed = ", ".join(f"{name}: {value}" for name, value in args.items())
                text = text.replace(f"model: {model},", f"model: {model}, {listed},")
        (folder / path.name).write_text(text)
    for (name, args), file in zip(SMALL.items(), FILES.values(), strict=True):
        parameters = Reference(name.removeprefix("zoo:").removesuffix(".yaml"), **args).parameters
        (folder / file).parent.mkdir()
        save_file({path: np.asarray(value, np.float32) for path, value in parameters.items()}, folder / file)
    return folder


class Pipeline:
    """The sub-models one by one, and the loop in plain NumPy."""

    def __init__(self, folder: Path) -> None:
        small = {name.removeprefix("zoo:").removesuffix(".yaml"): args for name, args in SMALL.items()}
        self.encoder, self.unet, self.vae = (Reference(name, folder / FILES[name], **small[name]) for name in FILES)
        self.signal = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)

    def read(self, prompt: np.ndarray, negative: np.ndarray) -> np.ndarray:
        return self.encoder(ids=np.concatenate([negative, prompt]))["hidden_states"]

    def guess(self, latent: np.ndarray, step: int, text: np.ndarray, guidance: float) -> np.ndarray:
        time = np.full(len(text), step, np.float64)
        plain, prompted = np.split(self.unet(latent=np.concatenate([latent] * 2), time=time, text=text)["noise"], 2)
        return plain + guidance * (prompted - plain)

    def move(self, latent: np.ndarray, noise: np.ndarray, step: int, jump: int) -> np.ndarray:
        now, then = self.signal[step], self.signal[max(step - jump, 0)]
        clean = (latent - (1 - now) ** 0.5 * noise) / now**0.5
        return then**0.5 * clean + (1 - then) ** 0.5 * noise

    def ddim(self, latent: np.ndarray, text: np.ndarray, guidance: float, steps: int) -> np.ndarray:
        """Song, Meng, Ermon (2021), eta 0."""
        jump = 1000 // steps
        for step in range(jump * (steps - 1) + 1, 0, -jump):
            latent = self.move(latent, self.guess(latent, step, text, guidance), step, jump)
        return latent

    def pndm(self, latent: np.ndarray, text: np.ndarray, guidance: float, steps: int) -> np.ndarray:
        """Liu et al. (2022), the linear multistep part; the first step is done twice."""
        jump = 1000 // steps
        first, *rest = range(jump * (steps - 1) + 1, 0, -jump)
        noises = [self.guess(latent, first, text, guidance)]
        ahead = self.move(latent, noises[0], first, jump)
        again = self.guess(ahead, first - jump, text, guidance)
        latent = self.move(latent, (noises[0] + again) / 2, first, jump)
        for step in rest:
            noises.insert(0, self.guess(latent, step, text, guidance))
            weights = ([3, -1], [23, -16, 5], [55, -59, 37, -9])[min(len(noises), 4) - 2]
            mean = np.average(noises[: len(weights)], axis=0, weights=weights)
            latent = self.move(latent, mean, step, jump)
        return latent


@pytest.mark.parametrize("scheduler", ["ddim", "pndm"])
def test_stable_diffusion(folder: Path, scheduler: str) -> None:
    pipeline = Pipeline(folder)
    prompt, negative = random_ids(1, 77, below=49408), random_ids(1, 77, below=49408, seed=1)
    noise = random_floats(1, 4, 8, 16)
    whole = Reference(folder / "stable_diffusion.yaml", folder, steps=6, scheduler=scheduler)
    got = whole(prompt=prompt, negative=negative, noise=noise, guidance=3.0)["image"]
    walk = getattr(pipeline, scheduler)
    latent = walk(noise.astype(np.float64), pipeline.read(prompt, negative), 3.0, 6)
    assert error(got, pipeline.vae(latent=latent)["image"]) < EXACT
