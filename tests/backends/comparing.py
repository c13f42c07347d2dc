"""How the result of a target is compared with what the ops mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from netwright.backends.api import Backend
from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import DType, Sample

from .programs import build, run, sample_program

TOLERANCE = {DType.FLOAT16: 2e-3, DType.BFLOAT16: 1.6e-2, DType.FLOAT32: 1e-5, DType.FLOAT64: 1e-12}
"""A few units in the last place of each dtype, relative to the largest value."""


def close(found: np.ndarray, wanted: np.ndarray, dtype: DType = DType.FLOAT32, slack: float = 1) -> None:
    """Equality up to the rounding of ``dtype``, measured by the largest finite value."""
    finite = np.abs(wanted[np.isfinite(wanted)], dtype=np.float64)
    tolerance = TOLERANCE[dtype] * slack
    scale = float(finite.max()) if finite.size else 0.0
    np.testing.assert_allclose(found.astype(np.float64), wanted.astype(np.float64), tolerance, tolerance * scale)


def check_sample(backend: Backend, sample: Sample, folder: Path, slack: float = 1, **settings: Any) -> None:
    """A sample through a bundle of the target, against its meaning in float64 (bit for bit where it is exact)."""
    program, arrays = sample_program(sample)
    outputs, _ = run(backend.load(build(folder / "bundle", backend, program, **settings)), arrays)
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
