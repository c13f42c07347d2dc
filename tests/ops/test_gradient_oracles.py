"""The gradient of every op, at every sample, kinks and extremes included, against torch.autograd or jax.vjp."""

from __future__ import annotations

import numpy as np
import pytest

from netwright.compiler.ir import DType, Sample

from .gradient_oracles import pulled
from .pulling import differentiable_samples, flat, gradients, random_seeds

TOLERANCE = {"float16": 2e-3, "bfloat16": 1e-2}
"""Of samples whose constants are rounded to 16 bits; all else is computed in float64."""


def known(sample: Sample) -> bool:
    """Whether torch or jax can say the gradient. Which operand gets that of a NaN is nobody's promise."""
    arrays = flat(sample)[1]
    numbers = all(array.size and not np.isnan(array).any() for array in arrays if DType.of(array).is_float)
    return numbers and sample.op.name not in ("scan", "cond")


CASES = [pytest.param(sample, id=name) for name, sample in differentiable_samples() if known(sample)]


@pytest.mark.parametrize("sample", CASES)
def test_the_gradient_is_that_of_the_others(sample: Sample) -> None:
    seeds = random_seeds(sample)
    with np.errstate(all="ignore"):
        found, wanted = gradients(sample, seeds), pulled(sample, seeds)
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        # Where torch has none, or none that is a number, anything goes.
        numbers = np.isfinite(other)
        scale = np.abs(other[numbers]).max(initial=0)
        tolerance = max(TOLERANCE.get(DType.of(array).value, 1e-6) for array in flat(sample)[1])
        np.testing.assert_allclose(one[numbers], other[numbers], tolerance, 1e-3 * tolerance * scale)
