"""The gradient of every op on every target in float32, against the same gradient in float64."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.backends import registry
from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import DType, Graph, Sample
from netwright.compiler.ir.dims import substitute

from ..compiler import gradient_loops as loops
from ..ops.pictures import of_pictures
from ..ops.pulling import backward, differentiable_samples, flat, random_seeds
from .programs import build, entry_of, program_of, run

TARGETS: dict[str, dict[str, Any]] = {"numpy": {}, "jax": {"stablehlo": False}, "onnx": {}, "triton": {}}
MOST = {"jax": 3, "triton": 2}
"""Samples of each op where a compiler or an interpreter takes its time."""
TOLERANCE = 1e-4
SMALL = 0.1
"""Gradients below that come of seeds near 1 by cancelling: their digits are those of larger numbers."""
INTERPRETED = ("plain", "from_the_end", "nested", "counted", "exchanged", "chosen", "branches_in_a_loop")
"""Loops for the interpreter, which takes its time for each step."""
APART = ("scan", "cond", "dropout", "conv_channels_last")
"""Ops that have tests of their own, or whose gradient is nothing but the gradient of others."""


def samples() -> dict[str, list[tuple[str, Sample]]]:
    """The samples in float32 by the family of their ops."""
    found: dict[str, list[tuple[str, Sample]]] = {}
    for name, sample in differentiable_samples():
        arrays = [array for array in flat(sample)[1] if DType.of(array).is_float]
        plain = all(array.dtype == np.float32 and not np.isnan(array).any() for array in arrays)
        if plain and sample.op.name not in APART:
            found.setdefault(sample.op.family, []).append((name, sample))
    return found


SAMPLES = samples()


def together(graphs: Sequence[Graph]) -> Graph:
    """One graph that computes all of them side by side."""
    return Graph(
        tuple(value for graph in graphs for value in graph.inputs),
        tuple(node for graph in graphs for node in graph.nodes),
        tuple(value for graph in graphs for value in graph.outputs),
    )


def first(named: list[tuple[str, Sample]], most: int) -> list[tuple[str, Sample]]:
    """So many samples of each op."""
    seen: dict[str, int] = {}
    kept = []
    for name, sample in named:
        seen[sample.op.name] = seen.get(sample.op.name, 0) + 1
        if seen[sample.op.name] <= most:
            kept.append((name, sample))
    return kept


@pytest.mark.parametrize("family", SAMPLES)
@pytest.mark.parametrize("target", TARGETS)
def test_gradients_on_a_target(tmp_path: Path, target: str, family: str) -> None:
    named = first(SAMPLES[family], MOST.get(target, 99))
    graphs = [backward(sample) for _, sample in named]
    inputs = [[*flat(sample)[1], *(seed for seed in random_seeds(sample) if seed is not None)] for _, sample in named]
    names = [name for (name, _), graph in zip(named, graphs, strict=True) for _ in graph.outputs]
    graph = together(graphs)
    program = program_of(entry_of(graph, [f"x{k}" for k in range(len(graph.inputs))]))
    backend = registry.get(target)
    given = [array for arrays in inputs for array in arrays]
    outputs, _ = run(backend.load(build(tmp_path / "bundle", backend, program, **TARGETS[target])), given)
    with np.errstate(all="ignore"):
        pairs = zip(graphs, inputs, strict=True)
        wanted = [array.astype(np.float32) for one, arrays in pairs for array in evaluate(one, arrays, wide=True)]
    wrong = []
    for name, one, other in zip(names, outputs, wanted, strict=True):
        numbers = np.isfinite(other)
        scale = np.abs(other[numbers]).max(initial=SMALL)
        if not np.allclose(one[numbers], other[numbers], TOLERANCE, TOLERANCE * scale):
            wrong.append((name, one, other))
    assert not wrong


@pytest.mark.parametrize("target", TARGETS)
def test_gradients_of_loops_on_a_target(tmp_path: Path, target: str) -> None:
    """All cases in one program, which runs for several lengths."""
    cases = {name: case for name, case in loops.CASES.items() if target != "triton" or name in INTERPRETED}
    graphs = [loops.backward(case) for case in cases.values()]
    graph = together(graphs)
    backend = registry.get(target)
    program = program_of(entry_of(graph, [f"x{k}" for k in range(len(graph.inputs))]))
    runtime = backend.load(build(tmp_path / "bundle", backend, program, **TARGETS[target]))
    for which, sizes in zip((True, False), loops.SIZES, strict=False):
        inputs = [
            [
                each.astype(np.float32) if each.dtype == np.float64 else each
                for each in loops.arrays(types, sizes, which)
            ]
            for types in ([value.type for value in one.inputs] for one in graphs)
        ]
        outputs, _ = run(runtime, [array for arrays in inputs for array in arrays], sizes=sizes)
        found = iter(outputs)
        for name, one, arrays in zip(cases, graphs, inputs, strict=True):
            for wanted in evaluate(one, arrays, sizes, wide=True):
                np.testing.assert_allclose(next(found), wanted, TOLERANCE, TOLERANCE * SMALL, err_msg=f"{name} {sizes}")


PICTURES = ("conv", "conv_dilated", "max_pool2d", "max_pool2d_ceil", "avg_pool2d_ceil", "upsample")


@pytest.mark.parametrize("target", TARGETS)
def test_gradients_over_pictures_of_any_size(tmp_path: Path, target: str) -> None:
    graph = together([of_pictures(name) for name in PICTURES])
    backend = registry.get(target)
    program = program_of(entry_of(graph, [f"x{k}" for k in range(len(graph.inputs))]))
    runtime = backend.load(build(tmp_path / "bundle", backend, program, **TARGETS[target]))
    draw = np.random.default_rng(0)
    for height, width in ((7, 5), (8, 6)):
        sizes = {"N": 2, "H": height, "W": width}
        given = [
            draw.normal(size=[int(substitute(size, sizes)) for size in value.type.shape]).astype(np.float32)
            for value in graph.inputs
        ]
        outputs, _ = run(runtime, given, sizes=sizes)
        for found, wanted in zip(outputs, evaluate(graph, given, sizes, wide=True), strict=True):
            np.testing.assert_allclose(found, wanted, TOLERANCE, TOLERANCE * SMALL)
