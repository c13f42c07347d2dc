"""Attention whole: one kernel, or two where few queries meet many keys."""

from __future__ import annotations

from ....compiler.ir import Node
from ....compiler.ops.attention import Attention
from ..arrays import Array
from ..scope import Lowering, Refusal, Scope
from ..templates.attention import Partial, Work, attention, joined, refusal, splits


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
    assert isinstance(node.op, Attention)
    work = Work(node.op, scope.spelled(q), scope.spelled(k), scope.spelled(v), start, mask, bias)
    out = scope.new(node.output.type)
    if not splits(work):
        # Each program reads its queries whole before it writes where they were, and nobody else reads them.
        others = (each for each in (work.k, work.v, bias) if each is not None)
        alone = all(each.buffer.root is not work.q.buffer.root for each in others)
        scope.launch(attention(work, out), out=out, reuse=(work.q,) if alone else ())
        return out
    partial = Partial(*map(scope.new, Partial.types(work)))
    scope.launch(attention(work, partial))
    scope.launch(joined(work, partial, out), out=out)
    return out


def _refusal(node: Node) -> str | None:
    assert isinstance(node.op, Attention)
    return refusal(node.op, node.inputs[0].type, node.inputs[2].type)


REFUSALS: dict[str, Refusal] = {"attention": _refusal}
LOWERINGS: dict[str, Lowering] = {"attention": _attention}
