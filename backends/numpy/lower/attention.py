"""Attention whole: its scores are the largest arrays of a network, and need never be in memory together."""

from __future__ import annotations

from ....compiler.ir import Node
from ....compiler.ir.dims import floordiv
from ....compiler.ops.attention import Attention
from ..code import Array, Buffer, Computed
from ..layout import is_packed
from ..scope import OUT, Lowering, Scope, compact


def _attention(
    scope: Scope,
    node: Node,
    q: Array,
    k: Array,
    v: Array,
    start: Array | None,
    mask: Array | None,
    bias: Array | None,
) -> Array:
    op = node.op
    assert isinstance(op, Attention)
    facts = (op.shared, floordiv(op.heads, op.shared), q.shape[1], k.shape[1], q.shape[2])
    scores = Buffer(q.dtype, (Computed(scope.kernel("attention_scores"), facts),))
    others = [("None" if array is None else compact(array)) for array in (start, mask, bias)]
    (queries, of_q), (keys, of_k), (values, of_v) = (_readable(scope, each) for each in (q, k, v))
    template = f"{scope.kernel('attention')}({of_q}, {of_k}, {of_v}, {{}}, {{}}, {{}}, {op.heads}, {op.shared}, "
    template += f"{op.causal}, {op.scale!r}, {{}}, out={of_q})"
    # A tile reads its queries whole before it writes there; what all tiles read must be elsewhere.
    shown = [each.buffer for each in (keys, values, bias) if each is not None]
    reuse = () if queries.buffer in shown else (queries,)
    type = node.output.type
    if of_q == "{}":
        return scope.fill(type, template, queries, keys, values, *others, scores, OUT, reuse=reuse)
    # The result is as the queries are: features first in memory.
    type, template = type.with_shape((type.shape[2], *type.shape[:2])), template + ".transpose((2, 0, 1))"
    result = scope.fill(type, template, queries, keys, values, *others, scores, OUT, reuse=reuse)
    return scope.transpose(result, (1, 2, 0))


def _readable(scope: Scope, array: Array) -> tuple[Array, str]:
    """The array as [N, length, features], or features first if that is how it lies in memory, and how to name it."""
    array = scope.spelled(array)
    if array.strides[2] != 1 and is_packed(
        *(tuple(each[axis] for axis in (2, 0, 1)) for each in (array.shape, array.strides))
    ):
        return scope.transpose(array, (2, 0, 1)), "{}.transpose((1, 2, 0))"
    return (array if array.strides[2] == 1 else scope.copy(array)), "{}"


LOWERINGS: dict[str, Lowering] = {"attention": _attention}
