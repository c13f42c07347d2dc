"""The way of a small program through the Triton target in the interpreter, and its kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from netwright.backends import registry
from netwright.backends.triton.emit import emit
from netwright.backends.triton.kernel import Kernel
from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import Graph, TensorType
from netwright.compiler.ir.dims import substitute

from ..comparing import close
from ..programs import build, entry_of, graph_of, legal, program_of, run

BACKEND = registry.get("triton")


def kernels(make: Any, types: Sequence[TensorType]) -> tuple[Kernel, ...]:
    """The kernels of a program."""
    return tuple(emit(legal(_program(graph_of(types, make)), BACKEND)).kernels)


def interpreted(
    make: Any, types: Sequence[TensorType], inputs: Sequence[np.ndarray], folder: Path, **sizes: int
) -> list[np.ndarray]:
    """The results of a program on the target."""
    loaded = build(folder / "bundle", BACKEND, _program(graph_of(types, make)))
    outputs, _ = run(BACKEND.load(loaded), inputs, sizes=sizes)
    return outputs


def agrees(make: Any, types: Sequence[TensorType], folder: Path, slack: float = 1, **sizes: int) -> None:
    """Fails if the target does not give what the ops mean in float64, on random inputs."""
    graph, inputs = graph_of(types, make), arrays(types, sizes)
    found = interpreted(make, types, inputs, folder, **sizes)
    wanted = evaluate(graph, inputs, sizes, wide=True)
    for value, one, other in zip(graph.outputs, found, wanted, strict=True):
        assert one.dtype == value.type.dtype.numpy
        assert one.shape == other.shape
        if value.type.dtype.is_float:
            close(one, other, value.type.dtype, slack)
        else:
            np.testing.assert_array_equal(one, other)


def arrays(types: Sequence[TensorType], sizes: Mapping[str, int]) -> list[np.ndarray]:
    """Normal values, or small whole numbers."""
    draw = np.random.default_rng(0)
    made = []
    for type in types:
        shape = [int(substitute(size, sizes)) for size in type.shape]  # type: ignore[arg-type]
        values = draw.standard_normal(shape) if type.dtype.is_float else draw.integers(-9, 9, shape)
        made.append(values.astype(type.dtype.numpy))
    return made


def _program(graph: Graph) -> Any:
    return program_of(entry_of(graph, [f"x{k}" for k in range(len(graph.inputs))]))
