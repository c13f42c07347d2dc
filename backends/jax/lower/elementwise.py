"""Lines for primitives that work element by element: operators where Python has one, else `jnp` and `lax`."""

from __future__ import annotations

from ....compiler.ir import Node, Op
from ....compiler.ops import elementwise as ops
from ..scope import Lowering, Scope, jnp_dtype

_TEMPLATES: dict[type[Op], str] = {
    ops.Neg: "-{}",
    ops.Abs: "jnp.abs({})",
    ops.Sign: "jnp.sign({})",
    ops.Floor: "jnp.floor({})",
    ops.Round: "jnp.round({})",
    ops.Exp: "jnp.exp({})",
    ops.Log: "jnp.log({})",
    ops.Sqrt: "jnp.sqrt({})",
    ops.Sin: "jnp.sin({})",
    ops.Cos: "jnp.cos({})",
    ops.Tanh: "jnp.tanh({})",
    ops.Erf: "lax.erf({})",
    ops.Sigmoid: "jax.nn.sigmoid({})",
    ops.Add: "{} + {}",
    ops.Sub: "{} - {}",
    ops.Mul: "{} * {}",
    ops.Pow: "jnp.power({}, {})",
    ops.Max: "jnp.maximum({}, {})",
    ops.Min: "jnp.minimum({}, {})",
    ops.And: "{} & {}",
    ops.Or: "{} | {}",
    ops.Xor: "{} ^ {}",
    ops.Not: "~{}",
    ops.ShiftLeft: "{} << {}",
    ops.ShiftRight: "{} >> {}",
}
_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def _template(scope: Scope, node: Node, op: Op) -> None:
    scope.assign(node, _TEMPLATES[type(op)].format(*_operands(scope, node)))


def _operands(scope: Scope, node: Node) -> list[str]:
    return scope.loose(node.inputs, node.output.type.shape)


def _div(scope: Scope, node: Node, op: ops.Div) -> None:
    if node.output.type.dtype.is_float:
        scope.assign(node, "{} / {}".format(*_operands(scope, node)))
    else:
        scope.assign(node, f"lax.div({scope.strict(node.inputs)})")


def _rem(scope: Scope, node: Node, op: ops.Rem) -> None:
    scope.assign(node, f"lax.rem({scope.strict(node.inputs)})")


def _compare(scope: Scope, node: Node, op: ops.Compare) -> None:
    left, right = _operands(scope, node)
    scope.assign(node, f"{left} {_COMPARISONS[op.direction]} {right}")


def _where(scope: Scope, node: Node, op: ops.Where) -> None:
    condition, x, y = _operands(scope, node)
    if all(scope.ref(value).literal for value in node.inputs[1:]) and x == scope.ref(node.inputs[1]).loose:
        # Two plain numbers would take Python's dtype.
        x = f"{jnp_dtype(node.output.type.dtype)}({x})"
    scope.assign(node, f"jnp.where({condition}, {x}, {y})")


LOWERINGS: dict[type[Op], Lowering] = {
    **dict.fromkeys(_TEMPLATES, _template),
    ops.Div: _div,
    ops.Rem: _rem,
    ops.Compare: _compare,
    ops.Where: _where,
}
