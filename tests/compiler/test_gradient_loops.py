"""Gradients of loops and branches against jax: backpropagation through time in all its shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import Builder, OpError, Value
from netwright.compiler.ops.control import While
from netwright.compiler.ops.tensor import Tensor, apply

from .gradient_loops import CASES, SIZES, Case, Jax, arrays, backward, ours


def compare(given: Case, sizes: dict[str, int], which: bool, twice: bool = False) -> None:
    graph = backward(given, twice)
    inputs = arrays([value.type for value in graph.inputs], sizes, which)
    count = len(given.types)
    moved = [k for k in range(count) if inputs[k].dtype == np.float64]
    with jax.enable_x64(True):

        def function(*floats: Any) -> Any:
            operands = [jnp.asarray(array) for array in inputs[:count]]
            for k, array in zip(moved, floats, strict=True):
                operands[k] = array
            return list(given.make(Jax, *operands))

        def pulled(*floats: Any) -> Any:
            results, pull = jax.vjp(function, *floats)
            return pull([jnp.asarray(seed) for seed in seeded(results)])

        def seeded(results: Sequence[Any]) -> list[Any]:
            # An output that is given twice has one gradient in ours.
            outputs, seeds = ours_outputs, dict(zip(dict.fromkeys(ours_outputs), inputs[count:], strict=True))
            seen: set[Value] = set()
            found = []
            for value, result in zip(outputs, results, strict=True):
                found.append(np.zeros(result.shape) if value in seen else seeds[value])
                seen.add(value)
            return found

        ours_outputs = ours(given).entries["main"].graph.outputs
        floats = [inputs[k] for k in moved]
        if not twice:
            wanted = jax.jit(pulled)(*floats)
        else:
            wanted = jax.jit(jax.grad(lambda given: sum(jnp.sum(g * g) for g in pulled(*given))))(floats)
    found = evaluate(graph, inputs, sizes, wide=True)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, 1e-9, 1e-11)


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_is_that_of_jax(name: str) -> None:
    given = CASES[name]
    for sizes in SIZES if any("T" in text for text in given.types) else SIZES[:1]:
        for which in (True, False) if "bool[]" in given.types else (True,):
            compare(given, sizes, which)


@pytest.mark.parametrize("name", ("plain", "constants_several_times", "exchanged", "chosen"))
def test_gradients_have_gradients(name: str) -> None:
    compare(CASES[name], SIZES[0], True, twice=True)


def test_a_while_loop_is_refused_with_its_place() -> None:
    def make(m: Any, x: Tensor) -> list[Tensor]:
        regions = []
        for change in (lambda t: t < 3.0, lambda t: t + t):
            inner = Builder()
            value = Value(x.type)
            regions.append(inner.graph([value], [change(Tensor(inner, value)).value]))
        return apply(x.build, While(), [x], regions=tuple(regions))

    with pytest.raises(OpError, match=r"^while has no gradient: how many steps there are is not known"):
        backward(Case(make, ("float32[]",)))
