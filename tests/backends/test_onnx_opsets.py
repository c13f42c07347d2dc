"""The onnx target at older and newer opsets than its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from netwright.backends.api import BackendError
from netwright.backends.onnx import OnnxBackend
from netwright.compiler.ops import OPS

from .comparing import check_sample

BACKEND = OnnxBackend()
NAMES = [
    "gelu",
    "attention",
    "normalize_rms",
    "reduce_max",
    "any",
    "bitcast",
    "max_pool2d",
    "window_sum",
    "random_uniform",
    "top_k",
    "upsample2d",
    "scan",
    "pad",
]


@pytest.mark.parametrize("opset", [18, 19, 20, 22, 24, 25, 26])
@pytest.mark.parametrize("name", NAMES)
def test_older_and_newer_opsets(tmp_path: Path, name: str, opset: int) -> None:
    for number, sample in enumerate(OPS[name].samples()[:3]):
        folder = tmp_path / str(number)
        if name == "bitcast" and opset < 26 and sample.inputs[0].dtype == np.float32:
            with pytest.raises(BackendError, match=f"BitCast needs ONNX opset 26, this is opset {opset}"):
                check_sample(BACKEND, sample, folder, opset=opset)
        else:
            check_sample(BACKEND, sample, folder, opset=opset)
            assert onnx.load(folder / "bundle" / "main.onnx").opset_import[0].version == opset
