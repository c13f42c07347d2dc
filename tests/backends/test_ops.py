"""The op test: op case x target x dtype, against the meaning of the op in float64."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.backends import registry
from netwright.backends.api import Backend
from netwright.compiler.ir import DType, Sample
from netwright.compiler.ops import OPS
from netwright.compiler.passes.legalize import LegalizeError

from .comparing import check_sample
from .programs import sample_program

TARGETS: dict[str, dict[str, Any]] = {"numpy": {}, "jax": {"stablehlo": False}, "onnx": {}, "triton": {}}
"""Each target with the settings that keep the test short."""
OTHER_DTYPES = ("float16", "bfloat16", "float64", "int8", "uint8", "int32", "uint32")
REFUSED = {("onnx", name) for name in ("conv", "erf", "gelu", "geglu")}
"""Ops that onnxruntime does not compute in float64 on a CPU; the only refusals."""


def cases() -> Iterator[Any]:
    """Every sample in its own dtypes; of a composite that a target decomposes, the first is enough."""
    for target in TARGETS:
        backend = registry.get(target)
        for name, op in OPS.items():
            samples = op.samples()
            whole = not op.is_composite() or any(claimed(backend, sample) for sample in samples)
            for number, sample in enumerate(samples if whole else samples[:1]):
                yield pytest.param(target, sample, id=f"{target}-{name}-{number}")


def claimed(backend: Backend, sample: Sample) -> bool:
    """Whether the target takes the op of a sample whole."""
    program, _ = sample_program(sample)
    return all(backend.claims(node) is None for node in program.entries["main"].graph.nodes)


def converted_cases() -> Iterator[Any]:
    """The first fitting sample of each primitive, with its arrays in another dtype of the same kind."""
    for target in TARGETS:
        for name, op in OPS.items():
            if op.is_composite():
                continue
            for dtype in map(DType, OTHER_DTYPES):
                sample = next(filter(None, (converted(sample, dtype) for sample in op.samples())), None)
                if sample is not None:
                    yield pytest.param(target, sample, id=f"{target}-{name}-{dtype}")


def converted(sample: Sample, dtype: DType) -> Sample | None:
    """The sample in another dtype; None if it has no such operands or the op takes none."""
    inputs = tuple(in_dtype(array, dtype) for array in sample.inputs)
    if all(new is old for new, old in zip(inputs, sample.inputs, strict=True)):
        return None
    other = Sample(sample.op, inputs, regions=sample.regions)
    try:
        sample_program(other)
    except ValueError:
        return None
    return other


def in_dtype(array: Any, dtype: DType) -> Any:
    """Float arrays as another float, whole numbers as other whole numbers that hold them."""
    if not isinstance(array, np.ndarray):
        return array
    if dtype.is_float and array.dtype == np.float32:
        with np.errstate(over="ignore"):
            return array.astype(dtype.numpy)
    if dtype.kind == "int" and array.dtype.kind in "iu":
        bounds = np.iinfo(dtype.numpy)
        return np.clip(np.abs(array) if bounds.min == 0 else array, max(bounds.min, -99), 99).astype(dtype.numpy)
    return array


@pytest.mark.parametrize(("target", "sample"), list(cases()))
def test_op_equals_its_meaning(tmp_path: Path, target: str, sample: Sample) -> None:
    try:
        check_sample(registry.get(target), sample, tmp_path, **TARGETS[target])
    except LegalizeError as error:
        assert (target, sample.op.name) in REFUSED
        assert "in float64 on a CPU" in str(error)


@pytest.mark.parametrize(("target", "sample"), list(converted_cases()))
def test_primitive_in_other_dtypes(tmp_path: Path, target: str, sample: Sample) -> None:
    # Twice the tolerance: the samples were chosen for float32, sums of 16-bit values round more often.
    try:
        check_sample(registry.get(target), sample, tmp_path, slack=2, **TARGETS[target])
    except LegalizeError as error:
        assert (target, sample.op.name) in REFUSED
        assert "in float64 on a CPU" in str(error)
