"""Primitives that make arrays from attributes, or change what the bits stand for; random bits."""

from __future__ import annotations

from ....compiler.ir import DType, Node, TensorType
from ....compiler.ops.source import Bitcast, Cast, Constant, Dimension, Iota
from ..code import Array
from ..scope import OUT, Lowering, Scope, numpy_name
from .elementwise import apply


def _constant(scope: Scope, node: Node) -> Array:
    assert isinstance(node.op, Constant)
    return scope.constant(node.op.value)


def _iota(scope: Scope, node: Node) -> Array:
    assert isinstance(node.op, Iota)
    dtype = node.op.dtype
    if dtype.is_half:
        counts = scope.fill(node.output.type.with_dtype(DType.FLOAT32), "iota({}, {})", node.op.length, OUT)
        scope.kernel("iota")
        return cast(scope, counts, dtype)
    return scope.fill(node.output.type, scope.kernel("iota") + "({}, {})", node.op.length, OUT)


def _dimension(scope: Scope, node: Node) -> Array:
    assert isinstance(node.op, Dimension)
    return scope.fill(node.output.type, scope.kernel("number") + "({}, {})", node.op.size, OUT)


def cast(scope: Scope, x: Array, dtype: DType) -> Array:
    """The values in another dtype."""
    if dtype is x.dtype:
        return x
    type = TensorType(dtype, x.shape)
    if x.dtype is DType.BFLOAT16:
        wide = apply(scope, scope.kernel("from_bfloat16"), type.with_dtype(DType.FLOAT32), x)
        return cast(scope, wide, dtype)
    if dtype is DType.BFLOAT16:
        return apply(scope, scope.kernel("to_bfloat16"), type, cast(scope, x, DType.FLOAT32))
    if dtype is DType.BOOL:
        return apply(scope, scope.kernel("truth"), type, x)
    name = "saturate" if x.dtype.is_float and dtype.kind == "int" else "convert"
    return apply(scope, scope.kernel(name), type, x)


def _cast(scope: Scope, node: Node, x: Array) -> Array:
    assert isinstance(node.op, Cast)
    return cast(scope, x, node.op.dtype)


def _bitcast(scope: Scope, node: Node, x: Array) -> Array:
    assert isinstance(node.op, Bitcast)
    dtype = node.op.dtype
    if dtype is x.dtype:
        return x
    x = scope.spelled(x)
    return scope.view(x, "{}.view(" + numpy_name(dtype) + ")", shape=x.shape, strides=x.strides, dtype=dtype)


def _same(scope: Scope, node: Node, x: Array) -> Array:
    return x


def _random_bits(scope: Scope, node: Node, seed: Array, step: Array) -> Array:
    kernel = scope.kernel("random_bits")
    return scope.fill(node.output.type, kernel + "({}, {}, {})", scope.spelled(seed), scope.spelled(step), OUT)


LOWERINGS: dict[str, Lowering] = {
    "constant": _constant,
    "iota": _iota,
    "dimension": _dimension,
    "cast": _cast,
    "bitcast": _bitcast,
    "stop_gradient": _same,
    "random_bits": _random_bits,
}
