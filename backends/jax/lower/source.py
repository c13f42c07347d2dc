"""Lines for constants, counters, sizes, casts and random bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....compiler.ir import Node, Op
from ....compiler.ops import random
from ....compiler.ops import source as ops
from ..scope import Lowering, Ref, Scope, jnp_dtype

_WRITTEN_OUT = 64
"""Elements of the largest array that is written into the source."""


def _constant(scope: Scope, node: Node, op: ops.Constant) -> None:
    array = op.value.array()
    dtype = jnp_dtype(op.value.type.dtype)
    if array.size and _uniform(array):
        # One number, whatever the shape: it broadcasts where it is read.
        scope.refs[node.output] = Ref("", number(array.reshape(-1)[0]), (), literal=True)
        return
    if not array.size:
        scope.assign(node, f"jnp.zeros({scope.sizes.shape(array.shape)}, {dtype})")
    elif array.size <= _WRITTEN_OUT:
        scope.assign(node, f"jnp.array({_nested(array)}, {dtype})")
    else:
        scope.assign(node, f"jnp.asarray({scope.module.constant(array)})")


def _uniform(array: np.ndarray) -> bool:
    """Whether all elements have the same bits."""
    rows = np.ascontiguousarray(array).reshape(-1, 1).view(np.uint8)
    return bool((rows == rows[0]).all())


def _nested(array: np.ndarray) -> str:
    if array.ndim == 0:
        return number(array)
    return f"[{', '.join(_nested(row) for row in array)}]"


def number(element: np.generic | np.ndarray) -> str:
    """Python for one element (or an array without axes), exactly; negative ones in parentheses."""
    value: Any = np.asarray(element)[()]
    if value.dtype.kind in "biu":
        text = repr(value.item())
    else:
        wide = float(value)
        if np.isnan(wide):
            return "jnp.nan"
        if np.isinf(wide):
            return "jnp.inf" if wide > 0 else "(-jnp.inf)"
        short = str(value)
        text = short if value.dtype.kind == "f" and _exact(short, value) else repr(wide)
    return f"({text})" if text.startswith("-") else text


def _exact(text: str, value: np.floating) -> bool:
    """Whether the number that Python reads becomes the value again."""
    return np.float64(text).astype(value.dtype).tobytes() == value.tobytes()


def _iota(scope: Scope, node: Node, op: ops.Iota) -> None:
    scope.assign(node, f"lax.iota({jnp_dtype(op.dtype)}, {scope.sizes.text(op.length)})")


def _dimension(scope: Scope, node: Node, op: ops.Dimension) -> None:
    if isinstance(op.size, int):
        scope.refs[node.output] = Ref("", number(np.int64(op.size)), (), literal=True)
    else:
        scope.assign(node, f"jnp.asarray({scope.sizes.text(op.size)}, jnp.int64)")


def _cast(scope: Scope, node: Node, op: ops.Cast) -> None:
    scope.assign(node, f"{scope.use(node.inputs[0])}.astype({jnp_dtype(op.dtype)})")


def _bitcast(scope: Scope, node: Node, op: ops.Bitcast) -> None:
    scope.assign(node, f"lax.bitcast_convert_type({scope.use(node.inputs[0])}, {jnp_dtype(op.dtype)})")


def _stop_gradient(scope: Scope, node: Node, op: ops.StopGradient) -> None:
    scope.assign(node, f"lax.stop_gradient({scope.use(node.inputs[0])})")


def _random_bits(scope: Scope, node: Node, op: random.RandomBits) -> None:
    call = scope.module.helper("random_bits")
    scope.assign(node, f"{call}({scope.use_all(node.inputs)}, {scope.sizes.shape(op.shape)})")


LOWERINGS: dict[type[Op], Lowering] = {
    ops.Constant: _constant,
    ops.Iota: _iota,
    ops.Dimension: _dimension,
    ops.Cast: _cast,
    ops.Bitcast: _bitcast,
    ops.StopGradient: _stop_gradient,
    random.RandomBits: _random_bits,
}
