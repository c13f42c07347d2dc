"""Elementwise ops, casts, reductions, and regions of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ....compiler.ir import DType, Graph, Node
from ....compiler.ops.source import Cast
from .. import arrays
from ..arrays import Array, Buffer, Kind
from ..expressions import EXPRESSIONS, bitcast
from ..scope import Lowering, Scope, Template
from ..templates.moves import Move, by_axis
from ..templates.pointwise import given, pointwise
from ..templates.rows import rows

_COUNTED = (DType.INT32, DType.UINT32, DType.INT64, DType.FLOAT32, DType.FLOAT64)
"""Dtypes in which a count is what its address says."""


def _pointwise(scope: Scope, region: Graph, operands: Sequence[Array]) -> Sequence[Array]:
    return _launched(scope, region, operands, "map")


def _rows(scope: Scope, region: Graph, operands: Sequence[Array]) -> Sequence[Array]:
    return _launched(scope, region, operands, "rows")


def _launched(scope: Scope, region: Graph, operands: Sequence[Array], label: str) -> Sequence[Array]:
    outputs = {value: scope.result(value) for value in region.outputs}
    write = pointwise if label == "map" else rows
    launch, reuse = write(region, given(region, operands), outputs, label)
    first, *others = outputs.values()
    scope.launch(launch, out=first if not others else None, reuse=reuse)
    return list(outputs.values())


def _cast(scope: Scope, node: Node, x: Array) -> Array:
    op = node.op
    assert isinstance(op, Cast)
    if x.dtype is op.dtype:
        return x
    known = x.number
    whole = op.dtype.kind == "int" and op.dtype.bytes >= 4 and x.dtype.kind == "int"
    if known is not None and whole and (not isinstance(known, int) or 0 <= known < 2**31):
        return replace(x, dtype=op.dtype, buffer=Buffer(op.dtype, 1, Kind.NUMBER, value=known))
    if x.buffer.kind is Kind.COUNT and op.dtype in _COUNTED and x.dtype.kind == "int":
        return replace(x, dtype=op.dtype, buffer=Buffer(op.dtype, x.buffer.elements, Kind.COUNT))
    return scope.template("pointwise", node, [x])[0]


def _bitcast(scope: Scope, node: Node, x: Array) -> Array:
    out = scope.result(node.output)
    move = Move("bitcast", out.shape, [by_axis(x), by_axis(out)])
    value = move.read(x, move.strides[0])
    move.store(out, move.address(out, move.strides[1]), bitcast(value, x.dtype, out.dtype))
    scope.launch(move.launch(), out=out)
    return out


def _same(scope: Scope, node: Node, x: Array) -> Array:
    return x


def _fused(scope: Scope, node: Node, operands: Sequence[Array]) -> Sequence[Array]:
    (region,) = node.regions
    for outside, inside in zip(node.outputs, region.outputs, strict=True):
        if outside in scope.places:
            scope.places[inside] = scope.places[outside]
    return scope.shared.templates[node.op.kind](scope, region, operands)  # type: ignore[attr-defined]


def _constant(scope: Scope, node: Node) -> Array:
    return scope.constant(node.op.value)  # type: ignore[attr-defined]


def _iota(scope: Scope, node: Node) -> Array:
    dtype = node.output.type.dtype
    (length,) = node.output.type.shape
    if dtype in _COUNTED:
        return arrays.count(length, dtype)
    # Smaller dtypes wrap or round, which is what a cast does.
    counted = arrays.count(length, DType.INT64)
    wide = replace(node.output, type=counted.type)
    return scope.template("pointwise", Node(Cast(dtype=dtype), (wide,), node.outputs), [counted])[0]


def _dimension(scope: Scope, node: Node) -> Array:
    return arrays.number(node.op.size, node.output.type)  # type: ignore[attr-defined]


LOWERINGS: dict[str, Lowering] = {
    "cast": _cast,
    "bitcast": _bitcast,
    "stop_gradient": _same,
    "fused": _fused,
    "constant": _constant,
    "iota": _iota,
    "dimension": _dimension,
}
WRITERS = frozenset({"fused", "bitcast"})
_REDUCTIONS = ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min")
TEMPLATES: dict[str, Template] = {
    "pointwise": _pointwise,
    "rows": _rows,
    **{name: _pointwise for name in EXPRESSIONS if name not in LOWERINGS},
    **dict.fromkeys(_REDUCTIONS, _rows),
}
