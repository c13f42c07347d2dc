"""Loops and branches, driven by the host.

What is carried keeps one place, and the planner lets a step write there directly where nothing still reads it. A step
of a scan reads its rows and writes those of its results where they lie: the step's number is a size to kernels.
"""

from __future__ import annotations

from collections.abc import Sequence

from ....compiler.ir import AnyDim, Node
from ....compiler.ir.dims import bounds
from ....compiler.ops.control import Scan, While
from .. import arrays
from ..arrays import Array
from ..scope import Lowering, Scope
from ..templates.carry import hand_on


def _alone(scope: Scope, flag: Array) -> Array:
    """A scalar with a buffer of its own, which the host can read."""
    return flag if flag.whole and not flag.buffer.imaginary else scope.copy(flag)


def _scan(scope: Scope, node: Node, operands: Sequence[Array]) -> list[Array]:
    op = node.op
    assert isinstance(op, Scan)
    (region,) = node.regions
    kept = op.constants + op.carries
    carries = [scope.copy(value) for value in operands[op.constants : kept]]
    stacked = [scope.new(value.type) for value in node.outputs[op.carries :]]
    name, step = scope.symbol(0, max(0, bounds(op.length)[1] - 1))
    place = op.length - 1 - step if op.reverse else step
    with scope.inside(f"for {name} in range(", op.length, "):", loop=True):
        rows = [arrays.row(sequence, place) for sequence in operands[kept:]]
        results = scope.lower(region, [*operands[: op.constants], *carries, *rows])
        stop = _alone(scope, results.pop()) if op.until else None
        for target, value in zip(stacked, results[op.carries :], strict=True):
            scope.store(arrays.row(target, place), value)
        hand_on(scope, carries, results[: op.carries])
        if stop is not None:
            with scope.inside("if run.truth(", stop, "):", loop=False):
                for target in stacked:
                    _repeat_last(scope, target, step, op.length, op.reverse)
                scope.say("break")
    return [*carries, *stacked]


def _repeat_last(scope: Scope, target: Array, step: AnyDim, length: AnyDim, reverse: bool) -> None:
    """The rows that a loop did not reach become equal to the last that it made."""
    left = length - 1 - step
    shape = (left, *target.shape[1:])
    first, last = (0, left) if reverse else (step + 1, step)
    rest = arrays.cut(target, (first, *(0,) * (len(shape) - 1)), shape, (1,) * len(shape))
    scope.store(rest, arrays.broadcast(arrays.row(target, last), shape, range(1, len(shape))))


def _while(scope: Scope, node: Node, operands: Sequence[Array]) -> list[Array]:
    op = node.op
    assert isinstance(op, While)
    condition, body = node.regions
    carries = [scope.copy(value) for value in operands[op.constants :]]
    inner = [*operands[: op.constants], *carries]
    with scope.inside("while True:", loop=True):
        (going,) = scope.lower(condition, inner)
        with scope.inside("if not run.truth(", _alone(scope, going), "):", loop=False):
            scope.say("break")
        hand_on(scope, carries, scope.lower(body, inner))
    return carries


def _cond(scope: Scope, node: Node, condition: Array, operands: Sequence[Array]) -> list[Array]:
    then, otherwise = node.regions
    results = [scope.new(value.type) for value in node.outputs]
    for region, header in ((then, ("if run.truth(", _alone(scope, condition), "):")), (otherwise, ("else:",))):
        with scope.inside(*header, loop=False):
            for place, value in zip(results, scope.lower(region, operands), strict=True):
                scope.store(place, value)
            if not results:
                scope.say("pass")
    return results


LOWERINGS: dict[str, Lowering] = {"scan": _scan, "while": _while, "cond": _cond}
