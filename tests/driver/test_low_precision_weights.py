"""Checkpoints in 16 bits: exact where a spec is wider, and kept in 16 bits where it says that parameters are."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from netwright.backends.executable import Executable
from netwright.driver.build import Build, Weights, compile_model, write_bundle
from netwright.driver.model import load

SPEC = """\
netwright: 1
name: low
inputs: {x: 'float[N, 400]'}
graph:
  - {op: linear, name: a, features: 300, bias: false}
outputs: {y: a}
"""
KINDS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def written(folder: Path, stored: str, held: str) -> tuple[Path, Path, torch.Tensor]:
    """A spec that holds its parameters in a dtype, a file in another, and the numbers of the file."""
    weight = torch.randn(300, 400, generator=torch.Generator().manual_seed(0)).to(KINDS[stored])
    save_file({"a.weight": weight}, folder / "w.safetensors")
    (folder / "low.yaml").write_text(SPEC + ("" if held == "float32" else f"precision: {{params: {held}}}\n"))
    return folder / "low.yaml", folder / "w.safetensors", weight


@pytest.mark.parametrize("held", KINDS)
@pytest.mark.parametrize("stored", KINDS)
def test_parameters_are_cast_as_torch_casts(tmp_path: Path, stored: str, held: str) -> None:
    spec, file, weight = written(tmp_path, stored, held)
    model = load(spec)
    found = Weights(path=file).parameters(model)["a.weight"]
    assert found.dtype == np.dtype(getattr(ml_dtypes, held, held))
    np.testing.assert_array_equal(found.astype(np.float64), weight.to(KINDS[held]).double().numpy())
    x = np.random.default_rng(0).standard_normal((3, 400)).astype(np.float32)
    got = compile_model(model, Build("reference"), Weights(path=file)).run("main", x=x)["y"]
    wanted = torch.tensor(x) @ weight.to(KINDS[held]).float().T
    np.testing.assert_allclose(got, wanted.numpy(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("held", ["float16", "bfloat16"])
@pytest.mark.parametrize("target", ["numpy", "jax"])
def test_bundles_hold_what_the_spec_says(tmp_path: Path, target: str, held: str) -> None:
    """The file of a bundle is as small as the checkpoint."""
    spec, file, weight = written(tmp_path, held, held)
    write_bundle(load(spec), tmp_path / "out", Build(target), Weights(path=file))
    assert load_file(tmp_path / "out" / "weights.safetensors")["a.weight"].dtype is KINDS[held]
    x = np.random.default_rng(0).standard_normal((3, 400)).astype(np.float32)
    got = Executable(tmp_path / "out").run("main", x=x)["y"]
    np.testing.assert_allclose(got, (torch.tensor(x) @ weight.float().T).numpy(), rtol=1e-5, atol=1e-4)
