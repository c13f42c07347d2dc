"""Gradients of random programs are slopes, and every pass keeps them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from netwright.compiler.evaluate import evaluate
from netwright.compiler.initialize import random_parameters
from netwright.compiler.ir import Program
from netwright.compiler.ir.text import parse_program, print_program
from netwright.compiler.ir.verify import verify
from netwright.compiler.passes.context import Context
from netwright.compiler.pipeline import run

from .random_gradients import with_gradients
from .random_programs import programs
from .running import assert_same, random_array, sizes_of
from .test_random import QUIET, primitives_only

STEP = 1e-5


def inputs_of(program: Program) -> tuple[dict[str, int], list[np.ndarray]]:
    entry, parameters = program.entries["main"], random_parameters(program, 0, everywhere=True)
    sizes = sizes_of(entry)
    arrays = [random_array(port.name, port.type, sizes, port.range) for port in entry.inputs]
    return sizes, [*arrays, *(parameters[path] for path in entry.params)]


@settings(QUIET, max_examples=80)
@given(programs(20))
def test_the_gradient_is_the_slope(text: str) -> None:
    # Differences see what is behind a stop.
    program = with_gradients(parse_program(text.replace("stop_gradient(", "sin(")))
    verify(program)
    graph = program.entries["main"].graph
    sizes, arrays = inputs_of(program)
    count = len(arrays)
    draw = np.random.default_rng(0)
    ways = [draw.choice([-1.0, 1.0], array.shape) for array in arrays]

    def results(amount: float) -> list[np.ndarray]:
        moved = [array + amount * way for array, way in zip(arrays, ways, strict=True)]
        return list(evaluate(graph, moved, sizes, {}, wide=True))

    here = results(0)
    value, pulled = float(here[-count - 1]), here[-count:]
    ahead, behind = (float(results(sign * STEP)[-count - 1]) for sign in (1, -1))
    slope = sum(float(np.sum(way * gradient)) for way, gradient in zip(ways, pulled, strict=True))
    rises = (ahead - value) / STEP, (value - behind) / STEP
    size = 1 + sum(float(np.abs(gradient).sum()) for gradient in pulled)
    if abs(rises[0] - rises[1]) < 1e-3 * size:  # else a kink lies on the way
        assert abs(slope - sum(rises) / 2) < 1e-5 * size


@settings(QUIET, max_examples=60)
@given(programs())
def test_passes_keep_gradients(text: str) -> None:
    program = with_gradients(parse_program(text))
    after = run(program, Context(claims=primitives_only, debug=True))
    assert_same(program, after, 1e-8)
    assert print_program(run(program, Context(claims=primitives_only))) == print_program(after)
    assert print_program(parse_program(print_program(program))) == print_program(program)
