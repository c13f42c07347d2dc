"""Primitives that make tensors from attributes, and conversions."""

from __future__ import annotations

import numpy as np

from ....compiler.ir import DType, Node
from ..capabilities import DEFAULT_OPSET, Lowering
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


def _cast(e: Emitter, node: Node, x: str) -> str:
    return convert(e, dtype_of(node), node.output.type.dtype, x)


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
    if e.opset >= _BITCAST:
        return e.op("BitCast", x, to=ELEMENT_TYPES[target])
    return _float_of_bits(e, x if source is DType.UINT32 else e.cast(x, DType.UINT32))


_BITCAST = 26
"""The first opset with BitCast."""


def _bits_become_float(node: Node) -> bool:
    return dtype_of(node) in (DType.UINT32, DType.INT32) and node.output.type.dtype is DType.FLOAT32


def _old_bitcast(node: Node, opset: int) -> str | None:
    ints = dtype_of(node).kind == node.output.type.dtype.kind
    if opset >= _BITCAST or ints or _bits_become_float(node):
        return None
    return f"BitCast needs ONNX opset {_BITCAST}, this is opset {opset}"


def _wanted_for_bitcast(node: Node) -> int:
    return DEFAULT_OPSET if dtype_of(node).kind == node.output.type.dtype.kind else _BITCAST


def _float_of_bits(e: Emitter, bits: str) -> str:
    """The float32 that uint32 bits spell, put together from sign, exponent and fraction. NaN loses its payload."""

    def whole(value: int) -> str:
        return e.number(value, DType.UINT32)

    def real(value: float) -> str:
        return e.number(value, DType.FLOAT32)

    exponent = e.op("BitwiseAnd", e.op("BitShift", bits, whole(23), direction="RIGHT"), whole(0xFF))
    mantissa = e.op("BitwiseAnd", bits, whole(0x7FFFFF))
    fraction = e.op("Mul", e.cast(mantissa, DType.FLOAT32), real(2.0**-23))
    power = e.op("Pow", real(2), e.op("Sub", e.cast(exponent, DType.FLOAT32), real(127)))
    normal = e.op("Mul", power, e.op("Add", fraction, real(1)))
    tiny = e.op("Mul", fraction, real(2.0**-126))
    endless = e.op("Where", e.op("Equal", mantissa, whole(0)), real(float("inf")), real(float("nan")))
    size = e.op("Where", e.op("Equal", exponent, whole(0xFF)), endless, normal)
    size = e.op("Where", e.op("Equal", exponent, whole(0)), tiny, size)
    negative = e.op("Equal", e.op("BitShift", bits, whole(31), direction="RIGHT"), whole(1))
    return e.op("Where", negative, e.op("Neg", size), size)


def _stop_gradient(e: Emitter, node: Node) -> None:
    e.alias(node.output, e.form(node.inputs[0]))


LOWERINGS: dict[str, Lowering] = {
    "constant": Lowering(_constant),
    "iota": Lowering(_iota),
    "dimension": Lowering(_dimension),
    "cast": pointwise(_cast),
    "bitcast": pointwise(_bitcast, refuse=_old_bitcast, wants=_wanted_for_bitcast),
    "stop_gradient": Lowering(_stop_gradient),
}
