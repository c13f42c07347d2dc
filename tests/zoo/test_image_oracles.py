"""Pictures made and pictures read: DCGAN beside torch, DDPM beside diffusers, CLIP's image encoder beside transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from diffusers.pipelines.ddpm import pipeline_ddpm
from diffusers.schedulers import scheduling_ddpm
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from .diffusion_oracles import Angles
from .running import EXACT, Reference, error, random_floats, randomize, save, save_state


def generator() -> nn.Sequential:
    """Radford, Metz, Chintala (2016), with a width of 6."""
    layers: list[nn.Module] = []
    channels = 10
    for filters, stride, padding in ((48, 1, 0), (24, 2, 1), (12, 2, 1), (6, 2, 1)):
        conv = nn.ConvTranspose2d(channels, filters, 4, stride, padding, bias=False)
        layers += [conv, nn.BatchNorm2d(filters), nn.ReLU()]
        channels = filters
    return nn.Sequential(*layers, nn.ConvTranspose2d(channels, 3, 4, 2, 1, bias=False), nn.Tanh())


def discriminator() -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(3, 6, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for filters in (12, 24, 48):
        conv = nn.Conv2d(filters // 2, filters, 4, 2, 1, bias=False)
        layers += [conv, nn.BatchNorm2d(filters), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(48, 1, 4, bias=False), nn.Flatten(0), nn.Sigmoid())


def test_dcgan(tmp_path: Path) -> None:
    net = randomize(generator())
    z = random_floats(3, 10, 1, 1)
    got = Reference("dcgan_generator", save(net, tmp_path / "g.safetensors"), noise=10, width=6)(z=z)["image"]
    assert got.shape == (3, 3, 64, 64)
    assert error(got, net(torch.tensor(z).double())) < EXACT
    net = randomize(discriminator())
    image = random_floats(3, 3, 64, 64)
    got = Reference("dcgan_discriminator", save(net, tmp_path / "d.safetensors"), width=6)(image=image)["belief"]
    assert error(got, net(torch.tensor(image).double())) < EXACT


def ddpm() -> Any:
    """diffusers' form of the CIFAR-10 network, narrow; with the angles of the time in float64, as all else."""
    blocks = {
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (8, 16, 16),
    }
    form: dict[str, Any] = {"flip_sin_to_cos": False, "freq_shift": 1, "downsample_padding": 0, "norm_eps": 1e-6}
    sizes: dict[str, Any] = {"sample_size": 16, "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": None}
    net: Any = UNet2DModel(in_channels=3, out_channels=3, **blocks, **form, **sizes)
    net.time_proj = Angles(half=4, shift=1, cosine_first=False)
    return randomize(net)


DDPM: dict[str, Any] = {"size": 16, "widths": [8, 16, 16], "attends": [False, True, False], "resnets": 1, "groups": 4}


def test_ddpm(tmp_path: Path) -> None:
    net = ddpm()
    image, time = random_floats(2, 3, 16, 16), np.array([3.0, 871.0])
    got = Reference("ddpm", save(net, tmp_path / "w.safetensors"), **DDPM)(image=image, time=time)["noise"]
    wanted = net(torch.tensor(image).double(), torch.tensor(time)).sample
    assert error(got, wanted) < EXACT


def test_ddpm_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers' own pipeline; the first noise and that of each step are given to it, for its generator is another.

    The shares of signal, which it computes in float32, it gets in float64.
    """
    net = ddpm()
    reference = Reference("ddpm", save(net, tmp_path / "w.safetensors"), trained_steps=6, beta_end=0.3, **DDPM)
    noise = random_floats(1, 3, 16, 16)
    pipeline: Any = DDPMPipeline(net, DDPMScheduler(6, 1e-4, 0.3, variance_type="fixed_small", clip_sample=True))
    pipeline.set_progress_bar_config(disable=True)
    scheduler = pipeline.scheduler
    scheduler.betas = torch.linspace(1e-4, 0.3, 6, dtype=torch.float64)
    scheduler.alphas = 1 - scheduler.betas
    scheduler.alphas_cumprod = torch.cumprod(scheduler.alphas, 0)
    fresh = iter([torch.tensor(noise).double(), *(drawn(t) for t in range(5, 0, -1))])
    for module in (pipeline_ddpm, scheduling_ddpm):
        monkeypatch.setattr(module, "randn_tensor", lambda *args, **kwargs: next(fresh))
    wanted = pipeline(num_inference_steps=6, output_type="np").images.transpose(0, 3, 1, 2)
    assert next(fresh, None) is None
    # The fresh noise of each step is drawn in float32.
    assert error(reference("sample", noise=noise, seed=7)["image"], wanted) < 1e-6


def drawn(t: int) -> torch.Tensor:
    """Normal numbers of seed 7 at this step, by jax."""
    key = jax.random.fold_in(jax.random.key(7), t)
    return torch.tensor(np.asarray(jax.random.normal(key, (1, 3, 16, 16))).astype(np.float64))


@pytest.mark.parametrize("prefix", ["", "vision_model."])
def test_clip_image(tmp_path: Path, prefix: str) -> None:
    options: dict[str, Any] = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2}
    options |= {"num_attention_heads": 3, "image_size": 42, "patch_size": 14}
    net = randomize(CLIPVisionModel(CLIPVisionConfig(**options, attn_implementation="sdpa")))
    path = save_state({prefix + key: value for key, value in net.state_dict().items()}, tmp_path / "w.safetensors")
    image = random_floats(2, 3, 42, 42)
    got = Reference("clip_image", path, size=42, depth=2, width=24, heads=3, hidden=40)(image=image)
    wanted = net(torch.tensor(image).double())
    assert error(got["hidden_states"], wanted.last_hidden_state) < EXACT
    assert error(got["pooled"], wanted.pooler_output) < EXACT
