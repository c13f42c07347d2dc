"""The gradient of `cond`: another `cond`, whose branches compute their results again and go back from there."""

from __future__ import annotations

from ..ir.graph import Builder, Graph, Value
from ..ops.control import Cond
from ..ops.tensor import Tensor, apply, full
from ..splice import copied
from .sweep import Sweep


def pull_cond(sweep: Sweep) -> list[Tensor | None]:
    """The gradients of the operands; None for the condition."""
    build, node = sweep.build, sweep.node
    condition, *operands = [Tensor(build, value) for value in node.inputs]
    wanted = [k for k, operand in enumerate(operands) if operand.value in sweep.varied]
    seeded = [k for k, gradient in enumerate(sweep.given) if gradient is not None]
    seeds = [gradient for gradient in sweep.given if gradient is not None]
    regions = tuple(_branch(sweep, region, wanted, seeded, seeds) for region in node.regions)
    results = apply(build, Cond(), condition, [*operands, *seeds], regions=regions)
    found: list[Tensor | None] = [None] * len(node.inputs)
    for k, gradient in zip(wanted, results, strict=True):
        found[1 + k] = gradient
    return found


def _branch(sweep: Sweep, region: Graph, wanted: list[int], seeded: list[int], seeds: list[Tensor]) -> Graph:
    """From the operands and the gradients of results to the gradients of the operands that are wanted."""
    region = copied(region, lambda loc: loc)
    inner = Builder(sweep.build.shapes, list(region.nodes), sweep.build.loc)
    given = [Value(seed.type) for seed in seeds]
    by_value: dict[Value, Tensor] = {}
    for k, value in zip(seeded, given, strict=True):
        tensor, result = Tensor(inner, value), region.outputs[k]
        by_value[result] = by_value[result] + tensor if result in by_value else tensor
    pulled = sweep.pullback(inner, by_value, [region.inputs[k] for k in wanted])
    outputs = []
    for k, gradient in zip(wanted, pulled, strict=True):
        type = region.inputs[k].type
        outputs.append((full(inner, type.shape, 0, type.dtype) if gradient is None else gradient).value)
    return inner.graph((*region.inputs, *given), outputs)
