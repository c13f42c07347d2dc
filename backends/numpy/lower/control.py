"""Loops and branches as Python's own. What is carried keeps one place; the planner lets a step write there directly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ....compiler.ir import Graph, Node, TensorType
from ....compiler.ops.control import Scan, While
from ..code import Array, Block, Statement, line
from ..scope import Lowering, Scope
from .gates import joined


def _carried(scope: Scope, values: Sequence[Array], parent: Block) -> list[Array]:
    """Memory for carried values, holding the first ones."""
    return [scope.copy(value, block=parent) for value in values]


def _inner(arrays: Sequence[Array], body: Block) -> list[Array]:
    """The same memory as the body sees it: it changes from step to step, so nothing that reads it is hoisted."""
    return [replace(array, home=body) for array in arrays]


def hand_on(scope: Scope, places: Sequence[Array], values: Sequence[Array], block: Block) -> None:
    """Store new values into the places of carried ones, as if all at once: an old value still needed is saved."""
    memory = {place.buffer for place in places}
    saved = [
        scope.copy(value, block=block)
        if value.buffer in memory and not (value.buffer is place.buffer and value.shape == place.shape and value.whole)
        else value
        for place, value in zip(places, values, strict=True)
    ]
    for place, value in zip(places, saved, strict=True):
        if value.buffer is not place.buffer:
            scope.store(place, value, block)


def _scan(scope: Scope, node: Node, operands: Sequence[Array]) -> list[Array]:
    op = node.op
    assert isinstance(op, Scan)
    region = joined(scope, node.regions[0])
    kept = op.constants + op.carries
    sequences = [scope.spelled(operand) for operand in operands[kept:]]
    parent = scope.home(*operands[:kept], *sequences, op.length, *_sizes(region))
    carries = _carried(scope, operands[op.constants : kept], parent)
    stacked = [_declared(scope, value.type, parent) for value in node.outputs[op.carries :]]
    step = scope.shared.name("t")
    header = line(f"for {step} in range({{}}):", op.length)
    if op.reverse:
        header = line(f"for {step} in range({{}}, -1, -1):", op.length - 1)
    with scope.inside(parent, header, loop=True) as body:
        rows = [_row(scope, sequence, step, body) for sequence in sequences]
        results = scope.lower(region, [*operands[: op.constants], *_inner(carries, body), *rows])
        stop = ""
        if op.until:
            stop = scope.shared.name("stop")
            scope.add(body, Statement((line(f"{stop} = bool({{}})", scope.spelled(results.pop())),)))
        for target, value in zip(stacked, results[op.carries :], strict=True):
            place = _row(scope, target, step, body, first=True)
            scope.store(place, value, body)
        hand_on(scope, _inner(carries, body), results[: op.carries], body)
        if stop:
            rest = f"[:{step}]" if op.reverse else f"[{step} + 1:]"
            fills = [line(f"    {{}}{rest} = {{}}[{step}]", target, target) for target in stacked]
            scope.add(body, Statement((line(f"if {stop}:"), *fills, line("    break"))))
    parent.items.append(body)
    return [*carries, *stacked]


def _sizes(region: Graph) -> list[object]:
    """The symbolic sizes that a region needs, with those inside its nodes."""
    found: list[object] = []
    for node in region.walk():
        found += [size for value in node.outputs for size in value.type.shape]
        found += list(node.op.fields().values())
    return found


def _declared(scope: Scope, type: TensorType, block: Block) -> Array:
    """An array that blocks inside fill."""
    buffer = scope.buffer(type.dtype, type.shape)
    scope.place(block, buffer)
    result = scope.array(type, buffer, block)
    scope.add(block, Statement((line("{} = {}", result, buffer),)))
    return result


def _row(scope: Scope, sequence: Array, step: str, body: Block, first: bool = False) -> Array:
    """One row of a sequence, as a view. ``first``: at the start of the body, so that the body can write into it."""
    index = f"{step}, ..." if len(sequence.shape) == 1 else step
    shape, strides = sequence.shape[1:], sequence.strides[1:]
    row = Array(scope.shared.name(), sequence.dtype, shape, strides, sequence.buffer, body)
    statement = Statement((line(f"{{}} = {{}}[{index}]", row, sequence),), loc=scope.loc)
    body.items.insert(0 if first else len(body.items), statement)
    return row


def _while(scope: Scope, node: Node, operands: Sequence[Array]) -> list[Array]:
    op = node.op
    assert isinstance(op, While)
    condition, step = node.regions
    parent = scope.home(*operands, *_sizes(condition), *_sizes(step))
    carries = _carried(scope, operands[op.constants :], parent)
    with scope.inside(parent, line("while True:"), loop=True) as body:
        inner = [*operands[: op.constants], *_inner(carries, body)]
        (going,) = scope.lower(condition, inner)
        scope.add(body, Statement((line("if not {}:", scope.spelled(going)), line("    break"))))
        hand_on(scope, inner[op.constants :], scope.lower(step, inner), body)
    parent.items.append(body)
    return carries


def _cond(scope: Scope, node: Node, condition: Array, operands: Sequence[Array]) -> list[Array]:
    then, otherwise = node.regions
    condition = scope.spelled(condition)
    parent = scope.home(condition, *operands, *_sizes(then), *_sizes(otherwise))
    results = [_declared(scope, value.type, parent) for value in node.outputs]
    branches = []
    for region, header in ((then, line("if {}:", condition)), (otherwise, line("else:"))):
        with scope.inside(parent, header, loop=False) as branch:
            for place, value in zip(results, scope.lower(region, operands), strict=True):
                scope.store(place, value, branch)
        branches.append(branch)
    # Both are complete before either is appended: what they hoist comes before the first.
    parent.items += branches
    return results


LOWERINGS: dict[str, Lowering] = {"scan": _scan, "while": _while, "cond": _cond}
