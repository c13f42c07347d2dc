"""The largest along an axis, the k largest, running sums."""

from __future__ import annotations

from ....compiler.ir import AnyDim, DType, Node, TensorType
from ....compiler.ir.dims import ceildiv
from ....compiler.ops.reduce import ArgMax, CumulativeSum, TopK
from ..arrays import Array
from ..scope import Lowering, Scope
from ..templates.order import Lines, Ranking, arg_max, ranking, running_sum

PART = 2048
"""Elements that are compared with one another at once, at least."""


def _cumulative_sum(scope: Scope, node: Node, x: Array) -> Array:
    op = node.op
    assert isinstance(op, CumulativeSum)
    out = scope.new(node.output.type)
    scope.launch(running_sum(x, out, op.axis, op.exclusive, op.reverse), out=out)
    return out


def _arg_max(scope: Scope, node: Node, x: Array) -> Array:
    op = node.op
    assert isinstance(op, ArgMax)
    out = scope.new(node.output.type)
    scope.launch(arg_max(x, out, op.axis), out=out)
    return out


def _top_k(scope: Scope, node: Node, x: Array) -> list[Array]:
    op = node.op
    assert isinstance(op, TopK)
    values, indices = (scope.new(value.type) for value in node.outputs)
    source, known = Lines.of(x, op.axis), None
    part = _part(op.k)
    while part is not None and isinstance(source.length, int) and source.length > 2 * part:
        # Of each part the k largest are left: a pass takes as many comparisons as there are elements, times a part.
        parts = ceildiv(source.length, part)
        best = [scope.new(TensorType(dtype, (source.count, parts * op.k))) for dtype in (x.dtype, DType.INT32)]
        left, places = (Lines.of(array, 1) for array in best)
        scope.launch(ranking(Ranking(source, known, part, parts, op.k, left, places)))
        source, known = left, places
    final = (Lines.of(array, op.axis) for array in (values, indices))
    scope.launch(ranking(Ranking(source, known, source.length, 1, op.k, *final)))
    return [values, indices]


def _part(k: AnyDim) -> int | None:
    """Elements of a part, so that each pass leaves a quarter of them or less; None if k is not known."""
    return max(PART, 4 * k) if isinstance(k, int) else None


LOWERINGS: dict[str, Lowering] = {"arg_max": _arg_max, "cumulative_sum": _cumulative_sum, "top_k": _top_k}
