"""The numpy target's numbers: every primitive against its meaning, loops, views, memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netwright.backends.numpy import NumpyBackend
from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import DType, Sample
from netwright.compiler.ops import OPS

from .programs import build, run, sample_program

BACKEND = NumpyBackend()
SAMPLES = [
    pytest.param(sample, id=f"{name}-{number}") for name, op in OPS.items() for number, sample in enumerate(op.samples())
]
TOLERANCE = {DType.FLOAT16: 2e-3, DType.BFLOAT16: 1.6e-2, DType.FLOAT32: 1e-5, DType.FLOAT64: 1e-12}


def close(found: np.ndarray, wanted: np.ndarray, dtype: DType = DType.FLOAT32) -> None:
    """Equality up to the rounding of ``dtype``, measured by the largest finite value."""
    finite = np.abs(wanted[np.isfinite(wanted)], dtype=np.float64)
    scale = float(finite.max()) if finite.size else 0.0
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(found.astype(np.float64), wanted.astype(np.float64), tolerance, tolerance * scale)


@pytest.mark.parametrize("sample", SAMPLES)
def test_op_equals_its_meaning(tmp_path: Path, sample: Sample) -> None:
    program, arrays = sample_program(sample)
    bundle = build(tmp_path / "bundle", BACKEND, program)
    outputs, _ = run(BACKEND.load(bundle), arrays)
    graph = program.entries["main"].graph
    narrow = evaluate(graph, arrays)
    wide = evaluate(graph, arrays, wide=True)
    for value, found, exact, wanted in zip(graph.outputs, outputs, narrow, wide, strict=True):
        assert found.dtype == value.type.dtype.numpy
        assert found.shape == exact.shape
        if sample.exact or not value.type.dtype.is_float:
            np.testing.assert_array_equal(found, exact)
        else:
            with np.errstate(over="ignore", under="ignore"):
                close(found, wanted.astype(found.dtype), value.type.dtype)
