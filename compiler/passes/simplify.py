"""Algebraic simplification: the rules of arithmetic and of shapes, once over every graph."""

from __future__ import annotations

from ..ir.program import Program
from .context import Context
from .rewriting import rewrite
from .simplify_arithmetic import RULES as ARITHMETIC
from .simplify_shape import RULES as SHAPE
from .sweep import map_graphs


def simplify(program: Program, context: Context) -> Program:
    """The program with each rule applied where its guard lets it; what a rule gives is simplified again at once."""
    return map_graphs(program, lambda graph: rewrite(graph, (*ARITHMETIC, *SHAPE), context, "simplify"))
