"""Stable Diffusion at reduced width: transformers' and diffusers' own models, their pipeline, and a small tokenizer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from .running import randomize

WORDS = ("a", "cute", "and", "adorable", "bunny", "blurry", "in", "the", "snow", "bad")
"""The whole vocabulary, in front of the start and the end of a text."""
CONTEXT = 16
SIZES: dict[str, Any] = {
    "text_depth": 1,
    "text_width": 16,
    "text_heads": 2,
    "text_hidden": 24,
    "vocabulary": len(WORDS) + 2,
    "context": CONTEXT,
    "widths": [8, 16],
    "attends": [True, False],
    "resnets": 1,
    "heads": 2,
    "vae_widths": [8, 16],
    "vae_resnets": 1,
    "groups": 4,
}
"""The args of `zoo:stable_diffusion` that make it what `small` makes."""
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SCHEDULERS = {
    "ddim": lambda: DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
    "pndm": lambda: PNDMScheduler(**BETAS, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1),
}
FILES = {
    "text_encoder": "text_encoder/model.safetensors",
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "vae": "vae/diffusion_pytorch_model.safetensors",
}


def text_encoder() -> Any:
    """CLIP's text encoder."""
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
    sizes |= {"num_attention_heads": 2, "vocab_size": len(WORDS) + 2, "max_position_embeddings": CONTEXT}
    sizes |= {"bos_token_id": len(WORDS), "eos_token_id": len(WORDS) + 1, "attn_implementation": "sdpa"}
    return CLIPTextModel(CLIPTextConfig(**sizes))


def unet() -> Any:
    """The conditional U-Net in Stable Diffusion's form: attention on all levels but the last, here two instead of four."""
    sizes: dict[str, Any] = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}
    sizes |= {"down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D")}
    sizes |= {"up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D")}
    return UNet2DConditionModel(sample_size=8, cross_attention_dim=16, attention_head_dim=2, **sizes)


def vae() -> Any:
    """The autoencoder. It halves once where the real one halves three times."""
    levels: dict[str, Any] = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}
    levels |= {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return AutoencoderKL(latent_channels=4, scaling_factor=0.18215, **levels)


def small() -> dict[str, Any]:
    """The three networks with random weights in float64."""
    nets = {"text_encoder": text_encoder(), "unet": unet(), "vae": vae()}
    for seed, net in enumerate(nets.values()):
        randomize(net, seed)
    with torch.no_grad():
        # Most of a picture lies between black and white, where nothing is clipped.
        for tensor in nets["vae"].decoder.conv_out.parameters():
            tensor.mul_(0.2)
            tensor.copy_(tensor.float())
    return nets


def save_checkpoint(nets: dict[str, Any], folder: Path) -> Path:
    """The three files as they are published, in float32."""
    for name, net in nets.items():
        (folder / FILES[name]).parent.mkdir(parents=True)
        save_file({key: value.float().contiguous() for key, value in net.state_dict().items()}, folder / FILES[name])
    return folder


class Angles(nn.Module):
    """The sines and cosines of the time in float64; diffusers computes them in float32."""

    def __init__(self, half: int, shift: int = 0, cosine_first: bool = True) -> None:
        super().__init__()
        self.frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float64) / (half - shift))
        self.cosine_first = cosine_first

    def forward(self, times: torch.Tensor) -> torch.Tensor:
        angles = times.double()[:, None] * self.frequencies
        pair = [torch.sin(angles), torch.cos(angles)]
        return torch.cat(pair[::-1] if self.cosine_first else pair, -1)


def sharpen(pipeline: Any) -> None:
    """Everything that diffusers computes in float32, although its models are float64, in float64."""
    pipeline.unet.time_proj = Angles(half=4)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    pipeline.scheduler.alphas_cumprod = torch.cumprod(1 - betas, 0)
    pipeline.scheduler.final_alpha_cumprod = pipeline.scheduler.alphas_cumprod[0]


def words() -> Tokenizer:
    """A tokenizer that knows whole words only, as the `tokenizers` library writes it."""
    names = [*WORDS, "<|startoftext|>", "<|endoftext|>"]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(names)}, unk_token="<|endoftext|>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def ids(text: str) -> np.ndarray:
    """Start, words, and the end to the full length."""
    start, end = len(WORDS), len(WORDS) + 1
    found = [start, *(WORDS.index(word) for word in text.split())]
    return np.array([found + [end] * (CONTEXT - len(found))])


def run_pipeline(
    nets: dict[str, Any],
    scheduler: str,
    steps: int,
    prompt: np.ndarray,
    negative: np.ndarray,
    noise: np.ndarray,
    exact: bool,
    guidance: float = 7.5,
) -> np.ndarray:
    """The pictures [N, 3, H, W] of diffusers' own pipeline; ``exact`` where it should round nothing to float32."""
    pipeline: Any = StableDiffusionPipeline(
        vae=nets["vae"],
        text_encoder=nets["text_encoder"],
        tokenizer=None,
        unet=nets["unet"],
        scheduler=SCHEDULERS[scheduler](),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    usual = pipeline.unet.time_proj
    if exact:
        sharpen(pipeline)
    with torch.no_grad():
        embeds, plain = (nets["text_encoder"](torch.tensor(each)).last_hidden_state for each in (prompt, negative))
        pictures = pipeline(
            prompt_embeds=embeds,
            negative_prompt_embeds=plain,
            latents=torch.tensor(noise).double(),
            num_inference_steps=steps,
            guidance_scale=guidance,
            output_type="pt",
        ).images
    pipeline.unet.time_proj = usual
    return np.asarray(pictures)
