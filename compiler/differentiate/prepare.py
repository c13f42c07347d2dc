"""A program in ops that say their gradients: calls become nodes, composites without one their decomposition."""

from __future__ import annotations

from ..ir.graph import Node
from ..ir.program import Program
from ..passes.context import Context
from ..passes.inline import inline
from ..passes.legalize import legalize


def differentiable(program: Program) -> Program:
    """The program as `gradients` takes it. Raises `InlineError`."""
    return legalize(inline(program, Context()), Context("the gradient", claims=_claims))


def _claims(node: Node) -> str | None:
    op = type(node.op)
    if op.is_composite() and not op.has_vjp() and op.gradient == "differentiable":
        return "its gradient is that of its decomposition"
    return None
