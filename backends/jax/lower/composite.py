"""Lines for composites that JAX has by name, or that read best as one call. Their formula is the declared one."""

from __future__ import annotations

from collections.abc import Callable

from ....compiler.ir import Node, Op
from ....compiler.ops import activation_smooth, aggregate, attention, gating, normalize
from ..scope import Lowering, Scope, jnp_dtype


def _in_float32(scope: Scope, node: Node, call: Callable[[str], str]) -> None:
    """A call on the only operand; 16-bit floats are computed in float32."""
    text = scope.use(node.inputs[0])
    dtype = node.output.type.dtype
    if dtype.is_half:
        scope.assign(node, f"{call(f'{text}.astype(jnp.float32)')}.astype({jnp_dtype(dtype)})")
    else:
        scope.assign(node, call(text))


def _softmax(scope: Scope, node: Node, op: gating.Softmax | gating.LogSoftmax) -> None:
    _in_float32(scope, node, lambda x: f"jax.nn.{op.name}({x}, axis={op.axis})")


def _gelu(scope: Scope, node: Node, op: activation_smooth.Gelu) -> None:
    _in_float32(scope, node, lambda x: f"jax.nn.gelu({x}, approximate={op.approximate == 'tanh'})")


def _silu(scope: Scope, node: Node, op: activation_smooth.Silu) -> None:
    _in_float32(scope, node, lambda x: f"jax.nn.silu({x})")


def _mean(scope: Scope, node: Node, op: aggregate.ReduceMean) -> None:
    keep = ", keepdims=True" if op.keep else ""
    _in_float32(scope, node, lambda x: f"jnp.mean({x}, axis={op.found()}{keep})")


def _call(scope: Scope, node: Node, helper: str, **options: object) -> None:
    """A helper whose parameters bear the names of the operands; those that are left out are not written."""
    names = [operand.rstrip("?") for operand in node.op.operands]
    given = [(name, value) for name, value in zip(names, node.op.arguments(node.inputs), strict=True) if value]
    required = sum(not operand.endswith("?") for operand in node.op.operands)
    texts = [scope.use(value) for _, value in given[:required]]
    texts += [f"{name}={scope.use(value)}" for name, value in given[required:]]
    texts += [f"{name}={value!r}" for name, value in options.items()]
    scope.assign(node, f"{scope.module.helper(helper)}({', '.join(texts)})")


def _layer_norm(scope: Scope, node: Node, op: normalize.NormalizeLayer) -> None:
    _call(scope, node, "layer_norm", axis=op.axis, eps=op.eps)


def _rms_norm(scope: Scope, node: Node, op: normalize.NormalizeRms) -> None:
    _call(scope, node, "rms_norm", axis=op.axis, eps=op.eps)


def _attention(scope: Scope, node: Node, op: attention.Attention) -> None:
    options = {"causal": True} if op.causal else {}
    _call(scope, node, "attention", heads=op.heads, kv_heads=op.kv_heads, scale=op.scale, **options)


LOWERINGS: dict[type[Op], Lowering] = {
    gating.Softmax: _softmax,
    gating.LogSoftmax: _softmax,
    activation_smooth.Gelu: _gelu,
    activation_smooth.Silu: _silu,
    aggregate.ReduceMean: _mean,
    normalize.NormalizeLayer: _layer_norm,
    normalize.NormalizeRms: _rms_norm,
    attention.Attention: _attention,
}
