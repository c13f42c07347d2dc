"""The gradient of every op against central differences of its meaning, in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from netwright.compiler.ir import DType, Sample

from .pulling import differentiable_samples, flat, floats, gradients, random_seeds, results, wide

STEP = 1e-5
MOST = 3
"""Elements of an operand that are moved one by one; then all are moved at once."""
KINKS = ("binary_cross_entropy", "rem")
"""Ops with a sample of nothing but kinks and jumps, where no difference means anything."""


def finite(sample: Sample) -> bool:
    """Whether all operands and results are finite numbers, so that differences mean something.

    Without samples in 16 bits, whose gradients are the same in float64.
    """
    arrays = wide(sample)
    if any(DType.of(array).is_half for array in flat(sample)[1]):
        return False
    if not all(np.isfinite(array).all() for array in arrays if DType.of(array).is_float):
        return False
    return all(np.isfinite(each).all() for each in results(sample, arrays) if each.dtype == np.float64)


CASES = [pytest.param(sample, id=name) for name, sample in differentiable_samples() if finite(sample)]


def slope(
    value: Callable[[list[np.ndarray]], float], arrays: list[np.ndarray], k: int, way: np.ndarray, here: float
) -> float | None:
    """The central difference along a way of operand k; None at a kink, where the two sides rise differently.

    ``here`` is the value where nothing is moved.
    """
    ends = []
    for sign in (1, -1):
        moved = list(arrays)
        moved[k] = arrays[k] + sign * STEP * way
        ends.append(value(moved))
    ahead, behind = (ends[0] - here) / STEP, (here - ends[1]) / STEP
    if not np.isfinite(ahead + behind) or abs(ahead - behind) > 0.01 * max(abs(ahead), abs(behind), 0.1):
        return None
    return (ahead + behind) / 2


@pytest.mark.parametrize("sample", CASES)
def test_the_gradient_is_the_slope(sample: Sample) -> None:
    arrays, seeds = wide(sample), random_seeds(sample)
    draw = np.random.default_rng(1)

    def value(moved: list[np.ndarray]) -> float:
        pairs = zip(seeds, results(sample, moved), strict=True)
        return sum(float(np.sum(seed.astype(np.float64) * y)) for seed, y in pairs if seed is not None)

    found, here = 0, value(arrays)
    for k, gradient in zip(floats(sample), gradients(sample, seeds), strict=True):
        assert gradient.shape == arrays[k].shape
        places = range(0, arrays[k].size, max(1, arrays[k].size // MOST))
        ways = [np.eye(1, arrays[k].size, place).reshape(arrays[k].shape) for place in places]
        for way in [*ways, draw.choice([-1, 1], arrays[k].shape)]:
            wanted = slope(value, arrays, k, way, here)
            if wanted is not None:
                found += 1
                assert np.sum(gradient * way) == pytest.approx(wanted, rel=1e-4, abs=1e-5), (k, way)
    assert found or sample.op.name in KINKS
