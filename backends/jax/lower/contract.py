"""Lines for dot and conv.

Every line says how float32 operands are multiplied: left alone, XLA rounds them to bfloat16 on a TPU.
"""

from __future__ import annotations

from typing import Any

from ....compiler.ir import DType, Node, Op
from ....compiler.ops import contract as ops
from ..scope import Lowering, Scope, jnp_dtype, padding_text

_PRECISION = {"highest": "highest", "tf32": "high", "bf16": "default"}
"""XLA's name: on a TPU "high" is three bfloat16 passes, on a GPU TF32; "default" is one bfloat16 pass on a TPU."""


def _options(node: Node, op: Any) -> str:
    dtype = node.output.type.dtype
    options = f', precision="{_PRECISION[op.precision]}"' if dtype.is_float else ""
    sums = _sums(dtype, op.accumulate)
    return f"{options}, preferred_element_type={jnp_dtype(sums)}" if sums is not dtype else options


def _sums(dtype: DType, accumulate: DType | None) -> DType:
    return accumulate or (DType.FLOAT32 if dtype.is_half else dtype)


def _back(node: Node, op: Any) -> str:
    """Sums that are wider than the result are rounded once, at the end."""
    dtype = node.output.type.dtype
    return "" if _sums(dtype, op.accumulate) is dtype else f".astype({jnp_dtype(dtype)})"


def _dot(scope: Scope, node: Node, op: ops.Dot) -> None:
    lhs, rhs = node.inputs
    product = _matrix_product(op, lhs.type.rank, rhs.type.rank)
    if product is not None:
        text = f"jnp.matmul({scope.use(lhs)}, {scope.use(rhs)}{product}{_options(node, op)})"
        scope.assign(node, text + _back(node, op))
        return
    axes = f"(({op.lhs_contract}, {op.rhs_contract}), ({op.lhs_batch}, {op.rhs_batch}))"
    text = f"lax.dot_general({scope.use_all(node.inputs)}, {axes}{_options(node, op)})"
    scope.assign(node, text + _back(node, op))


def _matrix_product(op: ops.Dot, lhs_rank: int, rhs_rank: int) -> str | None:
    """What stands behind the right operand if the dot is NumPy's matmul with it, as it is or transposed; else None."""
    if op.lhs_contract != (lhs_rank - 1,) or len(op.rhs_contract) != 1:
        return None
    batch = tuple(range(rhs_rank - 2))
    if (op.lhs_batch, op.rhs_batch) != (batch, batch) or (batch and lhs_rank != rhs_rank):
        return None
    if op.rhs_contract[0] == max(rhs_rank - 2, 0):
        return ""
    return ".T" if rhs_rank == 2 else ".mT"


def _conv(scope: Scope, node: Node, op: ops.Conv) -> None:
    options = f"{op.stride}, {padding_text(op.padding)}"
    if any(step != 1 for step in op.input_dilation):
        options += f", lhs_dilation={op.input_dilation}"
    if any(step != 1 for step in op.window_dilation):
        options += f", rhs_dilation={op.window_dilation}"
    if op.groups != 1:
        options += f", feature_group_count={op.groups}"
    text = f"lax.conv_general_dilated({scope.use_all(node.inputs)}, {options}{_options(node, op)})"
    scope.assign(node, text + _back(node, op))


LOWERINGS: dict[type[Op], Lowering] = {ops.Dot: _dot, ops.Conv: _conv}
