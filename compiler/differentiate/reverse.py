"""The sweep from a result back to what it was computed from.

Source: Griewank and Walther (2008), Evaluating Derivatives, chapter 3.2 (the reverse mode).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..ir.graph import Builder, Node, Value
from ..ir.op import OpError
from ..ops.control import Cond, Scan
from ..ops.tensor import Tensor, full
from .branches import pull_cond
from .loops import pull_scan
from .sums import Sums
from .sweep import Sweep

REFUSED = "refused: "


def gradients(build: Builder, of: Tensor, wrt: Sequence[Tensor]) -> list[Tensor | None]:
    """Append the gradients of one float with respect to values of the graph under construction.

    Each has the type of its value; None says that ``of`` does not depend on it, or not differentiably. The nodes in
    ``build`` are those of a `differentiable` program; loops among them may be replaced by ones that also keep what
    their gradients read. Raises `OpError` (with the place in the spec) for an op that refuses.
    """
    if of.rank != 0 or not of.dtype.is_float:
        raise OpError(f"gradients are taken of one float, not of {of.type}")
    seed = full(build, (), 1, of.dtype)
    return pullback(build, {of.value: seed}, [tensor.value for tensor in wrt])


def pullback(build: Builder, seeds: Mapping[Value, Tensor], wrt: Sequence[Value]) -> list[Tensor | None]:
    """As `gradients`, from the gradients of any results: ``seeds`` by value."""
    count = len(build.nodes)
    varied = _varied(build.nodes, wrt)
    found = {value: tensor for value, tensor in seeds.items() if value in varied}
    before, sums = build.loc, Sums(build)
    for position in reversed(range(count)):
        node = build.nodes[position]
        given = [found.get(value) for value in node.outputs]
        if all(each is None for each in given) or varied.isdisjoint(node.inputs):
            continue
        build.loc = node.loc
        for value, gradient in zip(node.inputs, _backward(build, position, given, varied), strict=True):
            if gradient is None or value not in varied:
                continue
            _check(node, value, gradient)
            found[value] = sums.add(found[value], gradient) if value in found else gradient
    build.loc = before
    return [found.get(value) for value in wrt]


def _varied(nodes: Iterable[Node], wrt: Iterable[Value]) -> set[Value]:
    """The floats that change with ``wrt``."""
    varied = set(wrt)
    for node in nodes:
        if node.op.gradient != "zero" and not varied.isdisjoint(node.inputs):
            varied.update(value for value in node.outputs if value.type.dtype.is_float)
    return varied


def _backward(
    build: Builder, position: int, given: Sequence[Tensor | None], varied: set[Value]
) -> Sequence[Tensor | None]:
    """The gradients of a node's flat operands."""
    node = build.nodes[position]
    if node.op.gradient.startswith(REFUSED):
        reason = node.op.gradient.removeprefix(REFUSED)
        raise OpError(f"{_at(node)}{node.op.name} has no gradient: {reason}")
    sweep = Sweep(build, position, given, varied, pullback)
    if isinstance(node.op, Scan):
        return pull_scan(sweep, node.op)
    if isinstance(node.op, Cond):
        return pull_cond(sweep)
    operands = node.op.arguments([Tensor(build, value) for value in node.inputs])
    results = [Tensor(build, value) for value in node.outputs]
    try:
        return list(_flat(operands, node.op.vjp(operands, results, given)))
    except OpError as error:
        raise OpError(f"{_at(node)}the gradient of {node.op.name}: {error}") from error


def _flat(operands: Sequence[Any], gradients: Sequence[Any]) -> Iterable[Tensor | None]:
    """What belongs to the flat operands: nothing for one left out, each of a list."""
    for operand, gradient in zip(operands, gradients, strict=True):
        if isinstance(operand, list):
            yield from gradient if gradient is not None else [None] * len(operand)
        elif operand is not None:
            yield gradient


def _check(node: Node, value: Value, gradient: Tensor) -> None:
    if gradient.dtype is not value.type.dtype or gradient.rank != value.type.rank:
        raise OpError(f"{_at(node)}the gradient of {node.op.name} is {gradient.type} for {value.type}")


def _at(node: Node) -> str:
    return f"{node.loc}: " if node.loc is not None else ""
