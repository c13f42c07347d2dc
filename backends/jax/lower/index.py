"""Lines for reads and writes at places found at run time.

An index outside is undefined; ``mode="clip"`` is what the hardware does anyway and spares a mask.
"""

from __future__ import annotations

from ....compiler.ir import Node, Op
from ....compiler.ops import index as ops
from ..scope import Lowering, Scope, tuple_text


def _gather(scope: Scope, node: Node, op: ops.Gather) -> None:
    scope.assign(node, f'jnp.take({scope.use_all(node.inputs)}, axis={op.axis}, mode="clip")')


def _gather_elements(scope: Scope, node: Node, op: ops.GatherElements) -> None:
    scope.assign(node, f'jnp.take_along_axis({scope.use_all(node.inputs)}, axis={op.axis}, mode="clip")')


def _scatter(scope: Scope, node: Node, op: ops.Scatter) -> None:
    x, indices, updates = map(scope.use, node.inputs)
    places = ", ".join([":"] * op.axis + [indices])
    scope.assign(node, f'{x}.at[{places}].{op.mode}({updates}, mode="drop")')


def _scatter_elements(scope: Scope, node: Node, op: ops.ScatterElements) -> None:
    x, indices, updates = map(scope.use, node.inputs)
    places = f"{scope.module.helper('along')}({indices}, {op.axis})"
    scope.assign(node, f'{x}.at[{places}].{op.mode}({updates}, mode="drop")')


def _dynamic_slice(scope: Scope, node: Node, op: ops.DynamicSlice) -> None:
    x, *starts = map(scope.use, node.inputs)
    sizes = scope.sizes.shape(op.sizes)
    scope.assign(node, f"lax.dynamic_slice({x}, {tuple_text(starts)}, {sizes}, allow_negative_indices=False)")


def _dynamic_update_slice(scope: Scope, node: Node, op: ops.DynamicUpdateSlice) -> None:
    x, update, *starts = map(scope.use, node.inputs)
    scope.assign(node, f"lax.dynamic_update_slice({x}, {update}, {tuple_text(starts)}, allow_negative_indices=False)")


LOWERINGS: dict[type[Op], Lowering] = {
    ops.Gather: _gather,
    ops.GatherElements: _gather_elements,
    ops.Scatter: _scatter,
    ops.ScatterElements: _scatter_elements,
    ops.DynamicSlice: _dynamic_slice,
    ops.DynamicUpdateSlice: _dynamic_update_slice,
}
