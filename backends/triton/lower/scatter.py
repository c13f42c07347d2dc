"""Writing at places found at run time."""

from __future__ import annotations

from ....compiler.ir import DType, Node, TensorType, Value
from ....compiler.ops.index import Scatter, ScatterElements
from ....compiler.ops.source import Cast
from ..arrays import Array
from ..scope import Lowering, Scope
from ..templates.scatter import scatter

_SUMS = {
    DType.INT8: DType.INT32,
    DType.UINT8: DType.INT32,
    DType.FLOAT16: DType.FLOAT32,
    DType.BFLOAT16: DType.FLOAT32,
}
"""In what elements are summed that no atomic addition takes, or that would be rounded each time."""


def _scatter(scope: Scope, node: Node, x: Array, indices: Array, updates: Array) -> Array:
    op = node.op
    assert isinstance(op, (Scatter, ScatterElements))
    adds = op.mode == "add"
    sums = _SUMS.get(x.dtype) if adds else None
    result = _cast(scope, x, sums) if sums else scope.copy(x)
    given = _cast(scope, updates, sums) if sums else updates
    scope.launch(scatter(result, indices, given, op.axis, adds, isinstance(op, ScatterElements)))
    return _cast(scope, result, x.dtype) if sums else result


def _cast(scope: Scope, x: Array, dtype: DType) -> Array:
    (made,) = scope.node(cast_node(x.type, dtype), [x])
    return made


def cast_node(type: TensorType, dtype: DType) -> Node:
    """A node that casts."""
    return Node(Cast(dtype=dtype), (Value(type),), (Value(type.with_dtype(dtype)),))


LOWERINGS: dict[str, Lowering] = {"scatter": _scatter, "scatter_elements": _scatter}
