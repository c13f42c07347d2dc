"""Small programs for the tests of backends, and the way of a program through a bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from netwright.backends import bundle
from netwright.backends.api import Backend, Loaded, Options, Runtime
from netwright.backends.signature import to_json
from netwright.compiler import pipeline
from netwright.compiler.evaluate import prepare_weights
from netwright.compiler.ir import (
    Builder,
    DType,
    Entry,
    Graph,
    Parameter,
    Port,
    Program,
    Sample,
    State,
    Symbol,
    TensorType,
    Value,
)
from netwright.compiler.ir.dims import symbols
from netwright.compiler.ops.tensor import Tensor
from netwright.compiler.passes.context import Context, LayoutCosts

Make = Callable[..., Any]


def graph_of(types: Sequence[TensorType], make: Make, builder: Builder | None = None) -> Graph:
    """The graph of ``make(build, *tensors)``, which gives a tensor or a list of them."""
    build = builder or Builder()
    tensors = [Tensor(build, Value(type)) for type in types]
    results = make(build, *tensors)
    results = results if isinstance(results, (list, tuple)) else [results]
    return build.graph([tensor.value for tensor in tensors], [tensor.value for tensor in results])


def entry_of(
    graph: Graph,
    inputs: Sequence[str],
    params: Sequence[str] = (),
    states: Sequence[str] = (),
    updates: Sequence[str] = (),
    name: str = "main",
) -> Entry:
    """An entry whose outputs are called y0, y1, ..."""
    ports = tuple(Port(key, value.type) for key, value in zip(inputs, graph.inputs, strict=False))
    found = {symbol: None for value in graph.inputs for size in value.type.shape for symbol in symbols(size)}
    ordered: list[Symbol] = sorted(found, key=lambda symbol: symbol.name)
    outputs = tuple(f"y{k}" for k in range(len(graph.outputs) - len(updates)))
    return Entry(name, graph, ports, tuple(params), tuple(states), outputs, tuple(updates), tuple(ordered))


def program_of(
    *entries: Entry,
    name: str = "test",
    functions: Mapping[str, Graph] | None = None,
    state: Mapping[str, State] | None = None,
) -> Program:
    """A program of entries; its parameters have the types that the entries say."""
    parameters = {}
    for entry in entries:
        values = entry.graph.inputs[len(entry.inputs) :]
        for path, value in zip(entry.params, values, strict=False):
            parameters[path] = Parameter(path, value.type)
    by_name = {entry.name: entry for entry in entries}
    return Program(name, by_name, dict(functions or {}), parameters, state=dict(state or {}))


def sample_program(sample: Sample) -> tuple[Program, list[np.ndarray]]:
    """The op of a sample as a program with the inputs x0, x1, ..., and its arrays."""
    arrays = [np.asarray(array) for array in _flat(sample.inputs)]
    values = [Value(TensorType(DType.of(array), array.shape)) for array in arrays]
    rest = iter(values)
    lined = [
        None if given is None else [next(rest) for _ in given] if isinstance(given, (list, tuple)) else next(rest)
        for given in sample.inputs
    ]
    lined += [None] * (len(sample.op.operands) - len(lined))
    if sample.op.operands and sample.op.operands[-1].endswith("*") and not isinstance(lined[-1], list):
        first = len(sample.op.operands) - 1
        lined = [*lined[:first], lined[first:]]
    op, flat = sample.op.with_present(lined)
    build = Builder()
    outputs = build.emit(op, flat, sample.regions)
    graph = build.graph(values, outputs)
    return program_of(entry_of(graph, [f"x{k}" for k in range(len(values))])), arrays


def _flat(inputs: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for item in inputs:
        if isinstance(item, (list, tuple)):
            found.extend(item)
        elif item is not None:
            found.append(item)
    return found


def legal(program: Program, backend: Backend) -> Program:
    """The program as the backend takes it."""
    context = Context(
        backend.name,
        backend.claims,
        backend.requires,
        backend.forbids,
        fusion=backend.fusion,
        layout=LayoutCosts(backend.layout, backend.conversion, backend.whole_axes),
    )
    return pipeline.run(program, context)


def build(
    folder: Path,
    backend: Backend,
    program: Program,
    weights: Mapping[str, np.ndarray] | None = None,
    **settings: Any,
) -> Loaded:
    """The bundle of a program, written and read again."""
    program = legal(program, backend)
    arrays = prepare_weights(program, weights or {})
    emission = backend.emit(program, arrays, Options(settings=settings))
    manifest = {"target": backend.name, "signature": to_json(program), "backend": emission.metadata}
    bundle.write(folder, emission, arrays, manifest)
    return bundle.read(folder)


def run(
    runtime: Runtime,
    inputs: Sequence[np.ndarray],
    names: Sequence[str] | None = None,
    entry: str = "main",
    states: Mapping[str, np.ndarray] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """The outputs in order, and the new states."""
    keys = names or [f"x{k}" for k in range(len(inputs))]
    outputs, updated = runtime.call(entry, dict(zip(keys, inputs, strict=True)), states or {}, sizes or {})
    return list(outputs.values()), updated
