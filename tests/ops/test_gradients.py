"""The gradient of every op against central differences of its meaning, in float64."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from netwright.compiler.differentiate import differentiable, pullback
from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import Builder, DType, Entry, Graph, Port, Program, Sample, TensorType, Value
from netwright.compiler.ops import OPS
from netwright.compiler.ops.tensor import Tensor

STEP = 1e-5
MOST = 60
"""Elements of an operand that are moved, evenly spread."""


def floats(sample: Sample) -> list[int]:
    """The operands that have a gradient, as numbers of flat ones."""
    return [k for k, array in enumerate(flat(sample)[1]) if DType.of(array).is_float and array.size]


def flat(sample: Sample) -> tuple[Any, list[np.ndarray]]:
    """The op with its optional operands settled, and the operands."""
    op, arrays = sample.op.with_present(sample.lined())
    return op, [np.asarray(array) for array in arrays]


def wide(sample: Sample) -> list[np.ndarray]:
    """The operands, floats in float64."""
    return [array.astype(np.float64) if DType.of(array).is_float else array for array in flat(sample)[1]]


def smooth(sample: Sample) -> bool:
    """Whether all operands and results are finite numbers, so that differences mean something."""
    arrays = wide(sample)
    if not all(np.isfinite(array).all() for array in arrays if DType.of(array).is_float):
        return False
    return all(np.isfinite(each).all() for each in results(sample, arrays) if each.dtype == np.float64)


def forward(sample: Sample) -> Graph:
    op, arrays = flat(sample)
    build = Builder()
    inputs = [Value(TensorType(DType.of(array), array.shape)) for array in arrays]
    return build.graph(inputs, build.emit(op, inputs, sample.regions))


def results(sample: Sample, arrays: list[np.ndarray]) -> list[np.ndarray]:
    return list(evaluate(forward(sample), arrays, wide=True))


CASES = [
    pytest.param(sample, id=f"{name}-{number}{'-' if sample.note else ''}{sample.note.replace(' ', '_')}")
    for name, op in sorted(OPS.items())
    for number, sample in enumerate(op.samples())
    if op.gradient == "differentiable" and name not in ("call", "fused") and floats(sample) and smooth(sample)
    if not getattr(sample.op, "until", False)
]


def gradients(sample: Sample, seeds: list[np.ndarray | None]) -> list[np.ndarray]:
    """The gradients of the float operands of the sum of all float results, each times its seed."""
    graph = forward(sample)
    ports = tuple(Port(f"x{k}", value.type) for k, value in enumerate(graph.inputs))
    names = tuple(f"y{k}" for k in range(len(graph.outputs)))
    program = differentiable(Program("p", {"main": Entry("main", graph, ports, (), (), names)}))
    graph = program.entries["main"].graph
    build = Builder(nodes=list(graph.nodes))
    given = {value: Value(value.type) for value, seed in zip(graph.outputs, seeds, strict=True) if seed is not None}
    wrt = [graph.inputs[k] for k in floats(sample)]
    found = pullback(build, {value: Tensor(build, seed) for value, seed in given.items()}, wrt)
    outputs = [value if tensor is None else tensor.value for tensor, value in zip(found, wrt, strict=True)]
    inputs = [*wide(sample), *(seed for seed in seeds if seed is not None)]
    computed = evaluate(build.graph((*graph.inputs, *given.values()), outputs), inputs, wide=True)
    return [np.zeros(array.shape) if tensor is None else array for tensor, array in zip(found, computed, strict=True)]


@pytest.mark.parametrize("sample", CASES)
def test_the_gradient_is_the_slope(sample: Sample) -> None:
    arrays = wide(sample)
    rng = np.random.default_rng(0)
    seeds = [rng.normal(size=y.shape) if y.dtype == np.float64 else None for y in results(sample, arrays)]

    def value(moved: list[np.ndarray]) -> float:
        return sum(float(np.sum(s * y)) for s, y in zip(seeds, results(sample, moved), strict=True) if s is not None)

    for k, gradient in zip(floats(sample), gradients(sample, seeds), strict=True):
        assert gradient.shape == arrays[k].shape
        places = list(itertools.islice(np.ndindex(arrays[k].shape), 0, None, max(1, arrays[k].size // MOST)))
        for place in places:
            ends = []
            for sign in (1, -1):
                moved = [array.copy() for array in arrays]
                moved[k][place] += sign * STEP
                ends.append(value(moved))
            slope = (ends[0] - ends[1]) / (2 * STEP)
            assert gradient[place] == pytest.approx(slope, rel=1e-4, abs=1e-6), (k, place)
