"""Stable Diffusion as a person has it: a folder of checkpoints, a prompt, a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from ..zoo.diffusion_oracles import SIZES, ids, run_pipeline, save_checkpoint, small, words
from .conftest import Cli

KNOBS = tuple(word for name, value in SIZES.items() for word in ("--set", f"{name}={json.dumps(value)}"))
STEPS = (*KNOBS, "--set", "steps=4")
PROMPT = "A cute bunny in the snow"


@pytest.fixture(scope="module")
def nets() -> dict[str, Any]:
    return small()


@pytest.fixture(scope="module")
def checkpoint(nets: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_checkpoint(nets, tmp_path_factory.mktemp("sd"))
    (folder / "tokenizer").mkdir()
    words().save(str(folder / "tokenizer/tokenizer.json"))
    return folder


def test_from_a_prompt_to_a_picture(cli: Cli, nets: dict[str, Any], checkpoint: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(3).standard_normal((1, 4, 8, 16)).astype(np.float32)
    np.save(tmp_path / "noise.npy", noise)
    png = tmp_path / "bunny.png"
    inputs = ("-i", f"prompt={PROMPT}", "-i", "negative=bad", "-i", f"noise={tmp_path / 'noise.npy'}")
    said = cli("run", "zoo:stable_diffusion", *STEPS, "--weights", checkpoint, *inputs, "--draw", png).fine()
    assert f"{png}: the picture" in said.replace("\n", "")
    drawn = np.asarray(Image.open(png)).transpose(2, 0, 1) / 255
    wanted = run_pipeline(nets, "ddim", 4, ids(PROMPT.lower()), ids("bad"), noise, exact=False)[0]
    assert np.abs(drawn - wanted).max() < 0.6 / 255


def test_a_bundle_and_an_onnx_file(cli: Cli, nets: dict[str, Any], checkpoint: Path, tmp_path: Path) -> None:
    """Guidance and what is not to be seen by default; both entries in the bundle, one in the file."""
    model = ("zoo:stable_diffusion", *STEPS, "--set", "scheduler=pndm", "--weights", checkpoint)
    cli("compile", *model, "--target", "onnx", "-o", tmp_path / "bundle").fine()
    tokenizer = ("--tokenizer", checkpoint / "tokenizer/tokenizer.json")
    inputs = ("-i", f"prompt={PROMPT}", "--dim", "H=1", "--dim", "W=2", "--seed", "5", "-o", tmp_path / "out.npz")
    cli("run", tmp_path / "bundle", *inputs, *tokenizer).fine()
    picture = np.load(tmp_path / "out.npz")["image"]
    assert picture.shape == (1, 3, 16, 32)
    cli("export", *model, "-o", tmp_path / "sd.onnx").fine()
    session = onnxruntime.InferenceSession(tmp_path / "sd.onnx")
    noise = np.random.default_rng(6).standard_normal((2, 4, 8, 8)).astype(np.float32)
    prompt, negative = np.concatenate([ids("bunny"), ids("snow")]), np.concatenate([ids(""), ids("")])
    feeds = {"prompt": prompt, "negative": negative, "noise": noise, "guidance": np.array(7.5, np.float32)}
    wanted = run_pipeline(nets, "pndm", 4, prompt, negative, noise, exact=False)
    assert np.abs(session.run(["image"], feeds)[0] - wanted).max() < 1e-5
    np.save(tmp_path / "photo.npy", picture)
    # The latent of the picture, beside diffusers' encoder.
    encode = ("--entry", "encode", "-i", f"image={tmp_path / 'photo.npy'}", "-o", tmp_path / "latent.npz")
    cli("run", tmp_path / "bundle", *encode).fine()
    with torch.no_grad():
        encoded = nets["vae"].encode(torch.tensor(picture).double() * 2 - 1).latent_dist
    latent = np.load(tmp_path / "latent.npz")
    assert np.abs(latent["latent"] - 0.18215 * encoded.mean.numpy()).max() < 1e-5
    assert np.abs(latent["logvar"] - encoded.logvar.numpy()).max() < 1e-5
