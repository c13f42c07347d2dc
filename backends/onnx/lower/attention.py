"""Attention as the standard operator. Which keys a query sees is a mask, but for the plain causal square.

What onnxruntime wants of a mask: two to four axes, the last two of them queries and keys, not repeated. 16-bit floats
are attended to in float32.
"""

from __future__ import annotations

from typing import Any

from ....compiler.ir import AnyDim, DType, Node, TensorType, Value
from ..capabilities import Lowering
from ..emit import Emitter
from ..forms import Family, Form, stripped, union

_DTYPES = frozenset({DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32})


def _attention(e: Emitter, node: Node) -> None:
    op: Any = node.op
    q, k, v, start, mask, bias = op.arguments(node.inputs)
    queries, keys = q.type.shape[1], k.type.shape[1]
    square = op.causal and start is None and queries == keys
    before = op.causal and not square
    key = ("attention", queries, keys, before, start, mask, bias)
    if key not in e.memo:
        e.memo[key] = _mask(e, queries, keys, before, start, mask, bias)
    half = q.type.dtype.is_half
    operands = [e.cast(e.full(value), DType.FLOAT32) if half else e.full(value) for value in (q, k, v)]
    result = e.op(
        "Attention",
        *operands,
        e.memo[key],
        q_num_heads=op.heads,
        kv_num_heads=op.shared,
        is_causal=int(square),
        scale=float(op.scale),
    )
    e.set(node.output, e.cast(result, q.type.dtype) if half else result)


def _mask(
    e: Emitter, queries: AnyDim, keys: AnyDim, before: bool, start: Value | None, mask: Value | None, bias: Value | None
) -> str:
    """Everything that keeps queries from keys, as one operand; "" if there is nothing."""
    flags = [_operand(e, mask)] if mask is not None else []
    if before:
        flags.append((_not_after(e, queries, keys, start), (queries, keys)))
    parts = [*flags, *([_operand(e, bias)] if bias is not None else [])]
    if not parts:
        return ""
    name = flags[0][0] if flags else parts[0][0]
    if len(flags) == 2:
        name = e.op("And", name, flags[1][0])
    if bias is not None and flags:
        name = e.op("Where", name, parts[-1][0], e.number(float("-inf"), DType.FLOAT32))
    shape = union([shape for _, shape in parts])
    lead = shape[:-2]
    whole = (*((1,) * (2 - len(lead)) if lead else ()), *lead, queries, keys)
    made = Family({shape: name})
    if stripped(shape) == stripped(whole):
        return e.reshaped(made, whole)
    dtype = DType.BOOL if bias is None else DType.FLOAT32
    return e.at(Form(TensorType(dtype, whole), None, (shape, made)), whole)


def _operand(e: Emitter, value: Value) -> tuple[str, tuple[AnyDim, ...]]:
    """The name of a mask or bias under its smallest shape, and that shape."""
    form = e.form(value)
    shape, family = form.thin if form.family is None and form.thin is not None else (form.shape, e.family(form))
    shape = stripped(shape)
    name = e.reshaped(family, shape)
    return e.cast(name, DType.FLOAT32) if value.type.dtype.is_half else name, shape


def _not_after(e: Emitter, queries: AnyDim, keys: AnyDim, start: Value | None) -> str:
    """[T, S] bool: whether the key stands at the query's position or before."""
    zero, one = (e.number(value, DType.INT64) for value in (0, 1))
    at, places = (e.op("Range", zero, e.sizes.scalar(size), one) for size in (queries, keys))
    if start is not None:
        at = e.op("Add", at, e.full(start))
    return e.op("LessOrEqual", places, e.op("Unsqueeze", at, e.ints([1])))


LOWERINGS: dict[str, Lowering] = {"attention": Lowering(_attention, dtypes=_DTYPES, opset=23)}
