"""Every composite against an implementation that is not ours, and its refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import pytest

from netwright.compiler.decompose import decompose
from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import Builder, Op, Sample, Value
from netwright.compiler.ir.graph import infer_types
from netwright.compiler.ir.op import Shapes
from netwright.compiler.ir.types import DType, TensorType
from netwright.compiler.ops import OPS
from netwright.compiler.ops.activation import Activation

from .oracles import ORACLES

COMPOSITES = {name: op for name, op in OPS.items() if op.is_composite()}
TOLERANCE = {"float16": 2e-3, "bfloat16": 1e-2, "float32": 2e-6}
"""As shares of the largest value; what is not named is exact but for the last bits of float64."""
CASES = [
    pytest.param(sample, id=f"{name}-{number}{'-' if sample.note else ''}{sample.note.replace(' ', '_')}")
    for name, op in sorted(COMPOSITES.items())
    for number, sample in enumerate(op.samples())
]
REFUSED = [
    pytest.param(sample, id=f"{name}-{number}")
    for name, op in sorted(COMPOSITES.items())
    for number, sample in enumerate(op.error_samples())
]


def lined_up(op: Op, inputs: Sequence[Any]) -> list[Any]:
    """Arrays by declared operand; the rest of them for a variadic one."""
    lined = list(inputs[: len(op.operands)])
    if op.operands and op.operands[-1].endswith("*"):
        lined = [*inputs[: len(op.operands) - 1], list(inputs[len(op.operands) - 1 :])]
    return lined + [None] * (len(op.operands) - len(lined))


def run(sample: Sample, wide: bool) -> list[np.ndarray]:
    """The results of a sample by the evaluator; ``wide`` computes in float64."""
    op, flat = sample.op.with_present(lined_up(sample.op, sample.inputs))
    build = Builder()
    values = [Value(TensorType(DType.of(array), array.shape)) for array in map(np.asarray, flat)]
    outputs = build.emit(op, values)
    return list(evaluate(build.graph(values, outputs), flat, wide=wide))


def expected(sample: Sample) -> list[np.ndarray]:
    """The results that the oracle gives for float64 copies of the operands."""
    arrays = [
        array if array is None or not DType.of(np.asarray(array)).is_float else np.asarray(array).astype(np.float64)
        for array in sample.inputs
    ]
    with np.errstate(all="ignore"):
        answer = ORACLES[sample.op.name](sample.op, *arrays)
    return [np.asarray(item) for item in (answer if isinstance(answer, (list, tuple)) else [answer])]


def close(result: np.ndarray, wanted: np.ndarray, tolerance: float) -> None:
    """Equal but for a share of the largest finite value; special values at the same places."""
    assert result.shape == wanted.shape
    result, wanted = result.astype(np.float64), wanted.astype(np.float64)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(wanted))
    infinite = np.isinf(wanted)
    np.testing.assert_array_equal(result[infinite], wanted[infinite])
    finite = np.isfinite(wanted)
    scale = np.abs(wanted[finite]).max(initial=0)
    assert np.abs(result[finite] - wanted[finite]).max(initial=0) <= tolerance * max(scale, 1e-30)


@pytest.mark.parametrize("sample", CASES)
def test_a_composite_is_what_the_others_mean_by_it(sample: Sample) -> None:
    wanted = expected(sample)
    results = run(sample, wide=False)
    assert len(results) == len(wanted)
    for result, wide, want in zip(results, run(sample, wide=True), wanted, strict=True):
        tolerance = TOLERANCE.get(result.dtype.name, 1e-12)
        close(result, want, tolerance)
        close(wide, want, tolerance if DType.of(result).is_half else 1e-6)
        if sample.exact:
            np.testing.assert_array_equal(result.astype(want.dtype), want)


@pytest.mark.parametrize("sample", REFUSED)
def test_what_a_composite_refuses(sample: Any) -> None:
    with pytest.raises(ValueError, match=sample.match):
        op = sample.make()
        op, flat = op.with_present(lined_up(op, sample.types))
        Builder().emit(op, [Value(type) for type in flat])


@pytest.mark.parametrize("name", sorted(COMPOSITES))
def test_each_composite_is_declared_in_full(name: str) -> None:
    op = COMPOSITES[name]
    assert op.__doc__ and op.family and op.samples()
    assert len(op.access) in (1, len(op.operands))
    reserved = {"name", "in", "when", "else", "repeat", "carry", "scan", "path", "compute", "op"}
    assert not reserved & {*op.attributes(), *(operand.rstrip("?*") for operand in op.operands)}


@pytest.mark.parametrize("sample", CASES)
def test_the_declared_types_are_those_of_the_decomposition(sample: Sample) -> None:
    op, flat = sample.op.with_present(lined_up(sample.op, sample.inputs))
    types = [TensorType(DType.of(np.asarray(array)), np.asarray(array).shape) for array in flat]
    op = op.canonical(*op.arguments(types))
    declared = infer_types(op, op.arguments(types), (), Shapes())
    assert tuple(value.type for value in decompose(op, types).graph.outputs) == declared


@pytest.mark.parametrize("name", sorted(name for name, op in COMPOSITES.items() if issubclass(op, Activation)))
def test_an_activation_has_the_properties_that_it_declares(name: str) -> None:
    op = COMPOSITES[name]
    assert issubclass(op, Activation)
    x = np.linspace(-8, 8, 16001)
    (y,) = run(Sample(op(), (x,)), wide=True)
    low, high = op.image
    assert low - 1e-12 <= y.min() and y.max() <= high + 1e-12
    rises = np.diff(y)
    assert (rises.min() >= -1e-12) == op.monotone
    # A jump or a kink shows as a change of slope that a finer grid would not make smaller.
    bends = np.abs(np.diff(rises)).max() / 1e-3
    assert (bends < 0.01) == op.smooth


def test_normal_numbers_are_those_of_jax() -> None:
    (numbers,) = run(Sample(OPS["random_normal"](shape=(5000,)), (np.array(3), np.array(9))), wide=False)
    key = jax.random.fold_in(jax.random.key(3), 9)
    np.testing.assert_allclose(numbers, jax.random.normal(key, (5000,)), rtol=2e-5, atol=2e-6)
