"""A sub-model reads its own published file, although the whole model uses only a part of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import netwright as nw
from netwright.driver.build import Weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    base = Weights(seed=5).parameters(nw.load("zoo:resnet50"))
    save_file({path: np.asarray(base[path]) for path in base}, tmp_path / "resnet50.safetensors")
    model = nw.load("zoo:transfer")
    drawn = Weights(seed=1).parameters(model)
    heads = {path: np.asarray(drawn[path]) for path in model.program.parameters if path.startswith("head")}
    save_file(heads, tmp_path / "head.safetensors")
    return tmp_path


def test_transfer_learning_takes_the_base_file_as_it_is_published(folder: Path) -> None:
    model = nw.load("zoo:transfer")
    weights = Weights(path=folder).parameters(model)
    base = Weights(seed=5).parameters(nw.load("zoo:resnet50"))
    assert "base.fc.weight" not in weights
    np.testing.assert_array_equal(weights["base.layer4.2.conv3.weight"], base["layer4.2.conv3.weight"])


def test_a_base_file_that_is_not_the_whole_base_is_refused(folder: Path) -> None:
    base = Weights(seed=5).parameters(nw.load("zoo:resnet50"))
    save_file({path: np.asarray(base[path]) for path in list(base)[:-1]}, folder / "resnet50.safetensors")
    with pytest.raises(nw.WeightsError, match="missing"):
        Weights(path=folder).parameters(nw.load("zoo:transfer"))
