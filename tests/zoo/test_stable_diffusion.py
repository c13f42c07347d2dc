"""The one program of Stable Diffusion beside diffusers' own pipeline, all steps of it, on every target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.driver.build import Build, Weights, compile_model
from netwright.driver.model import load

from .diffusion_oracles import SIZES, ids, run_pipeline, save_checkpoint, small
from .running import EXACT, Reference, error, random_floats

PROMPT = np.concatenate([ids("a cute and adorable bunny"), ids("the snow")])
NEGATIVE = np.concatenate([ids(""), ids("bad blurry")])
NOISE = random_floats(2, 4, 8, 16)
CLOSE = 1e-5


@pytest.fixture(scope="module")
def nets() -> dict[str, Any]:
    return small()


@pytest.fixture(scope="module")
def folder(nets: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(nets, tmp_path_factory.mktemp("checkpoint"))


@pytest.mark.parametrize(("scheduler", "steps"), [("ddim", 7), ("pndm", 7), ("pndm", 1), ("pndm", 2)])
def test_reference(nets: dict[str, Any], folder: Path, scheduler: str, steps: int) -> None:
    """In float64; where diffusers computes in float32 nevertheless, it is made to compute as the rest does."""
    wanted = run_pipeline(nets, scheduler, steps, PROMPT, NEGATIVE, NOISE, exact=True)
    net = Reference("stable_diffusion", folder, scheduler=scheduler, steps=steps, **SIZES)
    got = net(prompt=PROMPT, negative=NEGATIVE, noise=NOISE, guidance=7.5)["image"]
    assert ((wanted > 0) & (wanted < 1)).mean() > 0.5
    assert error(got, wanted) < EXACT


@pytest.fixture(scope="module", params=["ddim", "pndm"])
def fifty(nets: dict[str, Any], request: pytest.FixtureRequest) -> tuple[str, np.ndarray]:
    """A scheduler, and the pictures of diffusers as it is after fifty steps."""
    return request.param, run_pipeline(nets, request.param, 50, PROMPT, NEGATIVE, NOISE, exact=False)


@pytest.mark.parametrize("target", ["numpy", "jax", "onnx"])
def test_target(folder: Path, fifty: tuple[str, np.ndarray], target: str) -> None:
    scheduler, wanted = fifty
    model = load("zoo:stable_diffusion", scheduler=scheduler, **SIZES)
    net = compile_model(model, Build(target), Weights(folder))
    got = net.run("main", prompt=PROMPT, negative=NEGATIVE, noise=NOISE, guidance=7.5)["image"]
    assert error(got, wanted) < CLOSE
