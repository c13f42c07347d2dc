"""Attention whole: its scores are the largest arrays of a network, and need never be in memory together."""

from __future__ import annotations

from ....compiler.ir import Node
from ....compiler.ir.dims import floordiv
from ....compiler.ops.attention import Attention
from ..code import Array, Buffer, Computed
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
    template = f"{scope.kernel('attention')}({{}}, {{}}, {{}}, {{}}, {{}}, {{}}, {op.heads}, {op.shared}, {op.causal}, "
    template += f"{op.scale!r}, {{}}, out={{}})"
    queries, keys, values = (_rows(scope, each) for each in (q, k, v))
    # A tile reads its queries whole before it writes there; what all tiles read must be elsewhere.
    shown = [each.buffer for each in (keys, values, bias) if each is not None]
    reuse = () if queries.buffer in shown else (queries,)
    return scope.fill(node.output.type, template, queries, keys, values, *others, scores, OUT, reuse=reuse)


def _rows(scope: Scope, array: Array) -> Array:
    """The array, copied unless each of its rows lies together."""
    array = scope.spelled(array)
    return array if array.strides[2] == 1 else scope.copy(array)


LOWERINGS: dict[str, Lowering] = {"attention": _attention}
