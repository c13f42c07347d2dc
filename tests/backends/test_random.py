"""Random graphs: every target computes what the ops mean, on the same programs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from netwright.backends import registry
from netwright.backends.api import Backend
from netwright.compiler.fusion.space import anchor_of
from netwright.compiler.initialize import random_parameters
from netwright.compiler.ir import Program
from netwright.compiler.ir.text import parse_program
from netwright.compiler.ops.fused import Fused

from ..compiler.random_gradients import with_gradients
from ..compiler.random_programs import programs
from ..compiler.running import random_array, sizes_of
from ..compiler.running import run as run_meaning
from .programs import build, legal

EXAMPLES = {"numpy": 60, "onnx": 60, "jax": 20, "triton": 40}
"""XLA compiles each program anew, so it gets fewer."""
PULLED = {"numpy": 30, "onnx": 30, "jax": 10, "triton": 15}
"""Programs with their gradients."""
FUSING = {"numpy", "triton"}


def regions(program: Program) -> tuple[int, int]:
    """How many fused nodes there are, and how many of them have an anchor."""
    graphs = [*(entry.graph for entry in program.entries.values()), *program.functions.values()]
    found = [node.regions[0] for graph in graphs for node in graph.nodes if isinstance(node.op, Fused)]
    return len(found), sum(anchor_of(region) is not None for region in found)


# Without shrinking, which takes minutes: the text of a failing program is short enough to cut down by hand.
QUIET = settings(
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


def compare(backend: Backend, program: Program, text: str) -> None:
    """Fails unless the target computes what the ops of the program mean in float64."""
    wanted = run_meaning(program)
    parameters = random_parameters(program, 0, everywhere=True)
    options = {"stablehlo": False} if backend.name == "jax" else {}
    with tempfile.TemporaryDirectory() as folder:
        runtime = backend.load(build(Path(folder) / "bundle", backend, program, parameters, **options))
        for name, entry in program.entries.items():
            sizes = sizes_of(entry)
            inputs = {p.name: random_array(p.name, p.type, sizes, p.range) for p in entry.inputs}
            states = {s: random_array(s, program.state[s].type, sizes, None) for s in entry.states}
            outputs, updated = runtime.call(name, inputs, states, sizes)
            for key, found in {**outputs, **updated}.items():
                right = wanted[f"{name}.{key}"]
                # A chain of two dozen ops in float32 against float64.
                scale = np.abs(right[np.isfinite(right)]).max(initial=1e-6) if right.dtype.kind == "f" else 0
                np.testing.assert_allclose(
                    found.astype(np.float64), right.astype(np.float64), rtol=1e-4, atol=1e-4 * scale, err_msg=text
                )


@pytest.mark.parametrize("target", EXAMPLES)
def test_random_programs(target: str) -> None:
    backend = registry.get(target)
    fused: list[tuple[int, int]] = []

    @settings(QUIET, max_examples=EXAMPLES[target])
    @given(programs(16))
    def check(text: str) -> None:
        program = parse_program(text.replace("float64", "float32"))
        fused.append(regions(legal(program, backend)))
        compare(backend, program, text)

    check()
    total, anchored = (sum(counts) for counts in zip(*fused, strict=True))
    assert (total >= EXAMPLES[target] // 2 and anchored >= EXAMPLES[target] // 10) if target in FUSING else total == 0


@pytest.mark.parametrize("target", PULLED)
def test_gradients_of_random_programs(target: str) -> None:
    backend = registry.get(target)

    @settings(QUIET, max_examples=PULLED[target])
    @given(programs(12))
    def check(text: str) -> None:
        compare(backend, with_gradients(parse_program(text.replace("float64", "float32"))), text)

    check()
