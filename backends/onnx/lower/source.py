"""Primitives that make tensors from attributes, and conversions."""

from __future__ import annotations

import numpy as np

from ....compiler.ir import DType, Node
from ..capabilities import Lowering
from ..emit import ELEMENT_TYPES, Emitter
from .elementwise import dtype_of, pointwise, select

_LISTED = 1024
"""Longest count that is stored rather than computed."""


def _constant(e: Emitter, node: Node) -> None:
    e.set(node.output, e.constant(node.op.value.array()))  # type: ignore[attr-defined]


def _iota(e: Emitter, node: Node) -> None:
    length, dtype = node.op.length, node.output.type.dtype  # type: ignore[attr-defined]
    if isinstance(length, int) and length <= _LISTED:
        e.set(node.output, e.constant(np.arange(length).astype(dtype.numpy)))
        return
    zero, one = (e.number(value, DType.INT64) for value in (0, 1))
    # Counted in int64: steps of 1 in float32 would stop at 2^24.
    counted = e.op("Range", zero, e.sizes.scalar(length), one)
    e.set(node.output, counted if dtype is DType.INT64 else e.cast(counted, dtype))


def _dimension(e: Emitter, node: Node) -> None:
    e.set(node.output, e.sizes.scalar(node.op.size))  # type: ignore[attr-defined]


def _cast(e: Emitter, node: Node) -> None:
    source, target = dtype_of(node), node.output.type.dtype
    if target is DType.BFLOAT16:
        # Nothing repeats bfloat16, so the operand is repeated before.
        e.set(node.output, convert(e, source, target, e.full(node.inputs[0])))
    else:
        e.elementwise(node, lambda x: convert(e, source, target, x))


def convert(e: Emitter, source: DType, target: DType, x: str) -> str:
    """Cast by our rules: to int saturated and NaN as 0, to bool by comparison with 0."""
    if source is target:
        return x
    if target is DType.BOOL and source.is_float:
        wide = e.cast(x, DType.FLOAT32) if source.is_half else x
        zero = e.number(0, DType.FLOAT32 if source.is_half else source)
        return e.op("Not", e.op("Equal", wide, zero))
    if not source.is_float or target.kind != "int":
        return e.cast(x, target)
    # float64 holds every bound but 2^63 - 1, float32 those of 8 bits.
    wide = DType.FLOAT32 if target.bytes == 1 and source is not DType.FLOAT64 else DType.FLOAT64
    x = x if source is wide else e.cast(x, wide)
    bounds = np.iinfo(target.numpy)
    low, high = float(bounds.min), float(bounds.max)
    inside = e.op("Where", e.op("IsNaN", x), e.number(0, wide), x)
    if target is not DType.INT64:
        return e.cast(e.op("Clip", inside, e.number(low, wide), e.number(high, wide)), target)
    below = float(np.nextafter(high, 0))
    result = e.cast(e.op("Clip", inside, e.number(low, wide), e.number(below, wide)), target)
    return select(e, target, e.op("Less", inside, e.number(high, wide)), result, e.number(bounds.max, target))


def _bitcast(e: Emitter, node: Node, x: str) -> str:
    source, target = dtype_of(node), node.output.type.dtype
    if source is target:
        return x
    if source.kind == target.kind == "int":
        return e.cast(x, target)
    return e.op("BitCast", x, to=ELEMENT_TYPES[target])


def _stop_gradient(e: Emitter, node: Node) -> None:
    e.alias(node.output, e.form(node.inputs[0]))


LOWERINGS: dict[str, Lowering] = {
    "constant": Lowering(_constant),
    "iota": Lowering(_iota),
    "dimension": Lowering(_dimension),
    "cast": Lowering(_cast),
    "bitcast": pointwise(_bitcast, opset=26),
    "stop_gradient": Lowering(_stop_gradient),
}
