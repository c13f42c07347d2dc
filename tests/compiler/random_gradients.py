"""The gradient of a random program, as a program."""

from __future__ import annotations

from dataclasses import replace

from netwright.compiler.differentiate import differentiable, gradients
from netwright.compiler.ir import Builder, Parameter, Program
from netwright.compiler.ops import functional as fn
from netwright.compiler.ops.tensor import Tensor, full


def with_gradients(program: Program) -> Program:
    """Gives, besides the outputs, a number made of them and its gradients by the inputs and the parameters."""
    program = differentiable(program)
    entry = program.entries["main"]
    build = Builder(nodes=list(entry.graph.nodes))
    outputs = [Tensor(build, value) for value in entry.graph.outputs]
    total = full(build, (), 0.0, outputs[0].dtype)
    for k, output in enumerate(outputs):
        # Each element counts with its own factor, so that nothing cancels.
        flat = output.reshape(*output.shape)
        for axis, size in enumerate(output.shape):
            flat = flat * fn.along(fn.sin(fn.iota(build, size, output.dtype) + (k + 1.5)), output.rank, axis)
        total = total + fn.reduce_sum(flat)
    wrt = [Tensor(build, value) for value in entry.graph.inputs]
    found = [
        fn.zeros_like(tensor) if gradient is None else gradient
        for tensor, gradient in zip(wrt, gradients(build, total, wrt), strict=True)
    ]
    graph = build.graph(entry.graph.inputs, [each.value for each in (*outputs, total, *found)])
    names = (*entry.outputs, "total", *(f"g{k}" for k in range(len(found))))
    parameters = {path: Parameter(path, each.type, each.init) for path, each in program.parameters.items()}
    return replace(program, entries={"main": replace(entry, graph=graph, outputs=names)}, parameters=parameters)
