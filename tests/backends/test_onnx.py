"""The onnx target's numbers: every sample of every op through onnxruntime against the meaning in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from netwright.backends.api import BackendError
from netwright.backends.onnx import OnnxBackend
from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import DType, Sample
from netwright.compiler.ops import OPS
from netwright.compiler.passes.legalize import LegalizeError

from .programs import build, run, sample_program

BACKEND = OnnxBackend()
TOLERANCE = {DType.FLOAT16: 2e-3, DType.BFLOAT16: 1.6e-2, DType.FLOAT32: 1e-5, DType.FLOAT64: 1e-12}
SAMPLES = [
    pytest.param(sample, id=f"{name}-{number}")
    for name, op in OPS.items()
    for number, sample in enumerate(op.samples())
]
WITHOUT_FLOAT64 = {"conv", "erf", "gelu", "geglu"}
"""Ops that onnxruntime does not compute in float64 on a CPU, or whose parts it does not."""


def close(found: np.ndarray, wanted: np.ndarray, dtype: DType = DType.FLOAT32, slack: float = 1) -> None:
    """Equality up to the rounding of ``dtype``, measured by the largest finite value."""
    finite = np.abs(wanted[np.isfinite(wanted)], dtype=np.float64)
    tolerance = TOLERANCE[dtype] * slack
    scale = float(finite.max()) if finite.size else 0.0
    np.testing.assert_allclose(found.astype(np.float64), wanted.astype(np.float64), tolerance, tolerance * scale)


def compare(sample: Sample, folder: Path, slack: float = 1, **settings: Any) -> None:
    """A sample through a bundle against its meaning."""
    program, arrays = sample_program(sample)
    outputs, _ = run(BACKEND.load(build(folder / "bundle", BACKEND, program, **settings)), arrays)
    graph = program.entries["main"].graph
    narrow, wide = evaluate(graph, arrays), evaluate(graph, arrays, wide=True)
    for value, found, exact, wanted in zip(graph.outputs, outputs, narrow, wide, strict=True):
        assert found.dtype == value.type.dtype.numpy
        assert found.shape == exact.shape
        if sample.exact or not value.type.dtype.is_float:
            np.testing.assert_array_equal(found, exact)
        else:
            with np.errstate(over="ignore", under="ignore"):
                close(found, wanted.astype(found.dtype), value.type.dtype, slack)


@pytest.mark.parametrize("sample", SAMPLES)
def test_op_equals_its_meaning(tmp_path: Path, sample: Sample) -> None:
    try:
        compare(sample, tmp_path)
    except LegalizeError as error:
        assert "in float64 on a CPU" in str(error)
        assert sample.op.name in WITHOUT_FLOAT64


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int8", "uint8", "int32", "uint32"])
@pytest.mark.parametrize("name", [name for name, op in OPS.items() if not op.is_composite()])
def test_primitive_in_other_dtypes(tmp_path: Path, name: str, dtype: str) -> None:
    """The first sample of a primitive, its arrays in another dtype of the same kind."""
    kinds = "f" if DType(dtype).is_float else "iu"
    fitting = [sample for sample in OPS[name].samples() if _kinds(sample) & set(kinds)]
    if not fitting:
        pytest.skip(f"no sample of {name} has such operands")
    sample = fitting[0]
    inputs = tuple(_in_dtype(array, DType(dtype)) for array in sample.inputs)
    other = Sample(sample.op, inputs, regions=sample.regions)
    try:
        sample_program(other)
    except ValueError:
        pytest.skip(f"{name} takes no {dtype}")
    try:
        compare(other, tmp_path, slack=2)
    except LegalizeError as error:
        assert dtype == "float64"
        assert name in WITHOUT_FLOAT64, error


def _kinds(sample: Sample) -> set[str]:
    return {array.dtype.kind for array in sample.inputs if isinstance(array, np.ndarray)}


def _in_dtype(array: Any, dtype: DType) -> Any:
    if not isinstance(array, np.ndarray):
        return array
    if dtype.is_float and array.dtype == np.float32:
        with np.errstate(over="ignore"):
            return array.astype(dtype.numpy)
    if dtype.kind == "int" and array.dtype.kind in "iu":
        bounds = np.iinfo(dtype.numpy)
        return np.clip(np.abs(array) if bounds.min == 0 else array, max(bounds.min, -99), 99).astype(dtype.numpy)
    return array


@pytest.mark.parametrize("opset", [18, 19, 20, 22, 24, 25, 26])
@pytest.mark.parametrize("name", ["gelu", "attention", "normalize_rms", "reduce_max", "any", "bitcast", "max_pool2d",
                                  "window_sum", "random_uniform", "top_k", "upsample2d", "scan", "pad"])  # fmt: skip
def test_older_and_newer_opsets(tmp_path: Path, name: str, opset: int) -> None:
    samples = OPS[name].samples()[:3]
    for number, sample in enumerate(samples):
        if name == "bitcast" and opset < 26 and sample.inputs[0].dtype == np.float32:
            with pytest.raises(BackendError, match=f"BitCast needs ONNX opset 26, this is opset {opset}"):
                compare(sample, tmp_path / str(number), opset=opset)
        else:
            compare(sample, tmp_path / str(number), opset=opset)
            model = onnx.load(tmp_path / str(number) / "bundle" / "main.onnx")
            assert model.opset_import[0].version == opset
