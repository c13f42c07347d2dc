"""Gradients of single ops for the tests: a sample as a graph, and its float operands' gradients by the compiler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from netwright.compiler.differentiate import differentiable, pullback
from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import Builder, DType, Entry, Graph, Op, Port, Program, Sample, TensorType, Value
from netwright.compiler.ops import OPS
from netwright.compiler.ops.tensor import Tensor

Seeds = Sequence[np.ndarray | None]
"""The gradients of the results: None for one that is no float."""


def flat(sample: Sample) -> tuple[Any, list[np.ndarray]]:
    """The op with its optional operands settled, and the operands."""
    op, arrays = sample.op.with_present(sample.lined())
    return op, [np.asarray(array) for array in arrays]


def floats(sample: Sample) -> list[int]:
    """The operands that have a gradient, as numbers of flat ones."""
    return [k for k, array in enumerate(flat(sample)[1]) if DType.of(array).is_float and array.size]


def wide(sample: Sample) -> list[np.ndarray]:
    """The operands, floats in float64."""
    return [array.astype(np.float64) if DType.of(array).is_float else array for array in flat(sample)[1]]


def applied(op: Op, types: Sequence[TensorType], regions: tuple[Graph, ...] = ()) -> Graph:
    """An op as a graph, over operands of these types."""
    build = Builder()
    inputs = [Value(type) for type in types]
    return build.graph(inputs, build.emit(op, inputs, regions))


def forward(sample: Sample) -> Graph:
    """The op of a sample as a graph."""
    op, arrays = flat(sample)
    return applied(op, [TensorType(DType.of(array), array.shape) for array in arrays], sample.regions)


def results(sample: Sample, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """What the op means for float64 operands."""
    return list(evaluate(forward(sample), arrays, wide=True))


def random_seeds(sample: Sample) -> list[np.ndarray | None]:
    """A gradient for each float result, of its dtype."""
    draw = np.random.default_rng(0)
    return [
        draw.normal(size=[int(size) for size in value.type.shape]).astype(value.type.dtype.numpy)
        if value.type.dtype.is_float
        else None
        for value in forward(sample).outputs
    ]


def pulled_back(graph: Graph, wrt: Sequence[int]) -> Graph:
    """From the inputs of a graph and the gradients of its float outputs to the gradients of these inputs."""
    ports = tuple(Port(f"x{k}", value.type) for k, value in enumerate(graph.inputs))
    names = tuple(f"y{k}" for k in range(len(graph.outputs)))
    graph = differentiable(Program("p", {"main": Entry("main", graph, ports, (), (), names)})).entries["main"].graph
    build = Builder(nodes=list(graph.nodes))
    given = {value: Value(value.type) for value in graph.outputs if value.type.dtype.is_float}
    inputs = [graph.inputs[k] for k in wrt]
    found = pullback(build, {value: Tensor(build, seed) for value, seed in given.items()}, inputs)
    outputs = [
        Tensor(build, value).like(0).value if tensor is None else tensor.value
        for tensor, value in zip(found, inputs, strict=True)
    ]
    return build.graph((*graph.inputs, *given.values()), outputs)


def backward(sample: Sample) -> Graph:
    """From the operands and the gradients of the float results to the gradients of the float operands."""
    return pulled_back(forward(sample), floats(sample))


def gradients(sample: Sample, seeds: Seeds) -> list[np.ndarray]:
    """The gradients of the float operands in float64."""
    inputs = [*wide(sample), *(seed.astype(np.float64) for seed in seeds if seed is not None)]
    return list(evaluate(backward(sample), inputs, wide=True))


def differentiable_samples() -> list[tuple[str, Sample]]:
    """Every sample of an op with a gradient, with its id."""
    return [
        (f"{name}-{number}{'-' if sample.note else ''}{sample.note.replace(' ', '_')}", sample)
        for name, op in sorted(OPS.items())
        if op.gradient == "differentiable" and name not in ("call", "fused")
        for number, sample in enumerate(op.samples())
        if floats(sample) and not getattr(sample.op, "until", False)
    ]
