"""Lines for reductions, running sums and order, and for sliding windows."""

from __future__ import annotations

from ....compiler.ir import DType, Node, Op
from ....compiler.ops import reduce as ops
from ....compiler.ops import window
from ..scope import Lowering, Scope, jnp_dtype, padding_text

_REDUCTIONS: dict[type[Op], str] = {
    ops.ReduceSum: "sum",
    ops.ReduceProd: "prod",
    ops.ReduceMax: "max",
    ops.ReduceMin: "min",
}


def _reduction(scope: Scope, node: Node, op: ops.Reduction) -> None:
    # NumPy's sum of small integers is wider than they are; ours has their dtype.
    narrow = type(op) in (ops.ReduceSum, ops.ReduceProd) and not node.output.type.dtype.is_float
    dtype = f", dtype={jnp_dtype(node.output.type.dtype)}" if narrow else ""
    keep = ", keepdims=True" if op.keep else ""
    text = scope.use(node.inputs[0])
    scope.assign(node, f"jnp.{_REDUCTIONS[type(op)]}({text}, axis={op.axes}{keep}{dtype})")


def _arg_max(scope: Scope, node: Node, op: ops.ArgMax) -> None:
    keep = ", keepdims=True" if op.keep else ""
    scope.assign(node, f"jnp.argmax({scope.use(node.inputs[0])}, axis={op.axis}{keep}).astype(jnp.int64)")


def _cumulative_sum(scope: Scope, node: Node, op: ops.CumulativeSum) -> None:
    text = scope.use(node.inputs[0])
    options = f"axis={op.axis}" + (", reverse=True" if op.reverse else "")
    if op.exclusive:
        text = f"{scope.module.helper('shifted')}({text}, {options})"
    scope.assign(node, f"lax.cumsum({text}, {options})")


def _top_k(scope: Scope, node: Node, op: ops.TopK) -> None:
    call = scope.module.helper("top_k")
    text = f"{call}({scope.use(node.inputs[0])}, {scope.sizes.text(op.k)}, axis={op.axis})"
    scope.assign_all(node, text)


def _windows(scope: Scope, node: Node, op: window.Window, combine: str, start: str) -> None:
    """Windows combined from ``start`` on.

    What is padded along an axis without windows is padded afterwards: LLVM makes wrong code of small arrays where XLA's
    loops look for the edge of such an axis too (jaxlib 0.10, on CPUs).
    """
    later = [k == 1 and step == 1 for k, step in zip(op.kernel, op.stride, strict=True)]
    inside = tuple((0, 0) if put_off else sides for put_off, sides in zip(later, op.padding, strict=True))
    dilation = f", window_dilation={op.dilation}" if any(step != 1 for step in op.dilation) else ""
    options = f"{op.kernel}, {op.stride}, {padding_text(inside)}{dilation}"
    text = f"lax.reduce_window({scope.use(node.inputs[0])}, {start}, lax.{combine}, {options})"
    if inside != op.padding:
        edges = tuple((*(sides if put_off else (0, 0)), 0) for put_off, sides in zip(later, op.padding, strict=True))
        text = f"lax.pad({text}, {start}, {edges})"
    scope.assign(node, text)


def _window_sum(scope: Scope, node: Node, op: window.WindowSum) -> None:
    _windows(scope, node, op, "add", f"{jnp_dtype(node.output.type.dtype)}(0)")


def _window_max(scope: Scope, node: Node, op: window.WindowMax) -> None:
    _windows(scope, node, op, "max", _lowest(node.output.type.dtype))


def _lowest(dtype: DType) -> str:
    if dtype.is_float:
        return f"{jnp_dtype(dtype)}(-jnp.inf)"
    return f"{jnp_dtype(dtype)}(jnp.iinfo({jnp_dtype(dtype)}).min)"


def _window_max_grad(scope: Scope, node: Node, op: window.WindowMaxGrad) -> None:
    call = scope.module.helper("window_max_grad")
    options = f"{op.kernel}, {op.stride}, {op.padding}, {op.dilation}"
    scope.assign(node, f"{call}({scope.use_all(node.inputs)}, {options})")


LOWERINGS: dict[type[Op], Lowering] = {
    **dict.fromkeys(_REDUCTIONS, _reduction),
    ops.ArgMax: _arg_max,
    ops.CumulativeSum: _cumulative_sum,
    ops.TopK: _top_k,
    window.WindowSum: _window_sum,
    window.WindowMax: _window_max,
    window.WindowMaxGrad: _window_max_grad,
}
