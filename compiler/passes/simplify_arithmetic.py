"""Rules on numbers: neutral elements, double negation, casts, constant conditions."""

from __future__ import annotations

import numpy as np

from ..ir.graph import Value
from ..ir.types import DType
from ..ops.elementwise import Add, And, Div, Max, Min, Mul, Neg, Not, Or, Pow, Sub, Where
from ..ops.source import Cast, Dimension, StopGradient
from .numbers import filled, scalar
from .rewriting import Is, Match, Number, Rule, Var

X, Y, C = Var("x"), Var("y"), Var("c")


def _x(match: Match) -> Value:
    return match.value("x")


def _chosen(match: Match) -> Value:
    return match.value("x" if match.number("condition") else "y")


def _same_cast(match: Match) -> str | None:
    return None if match.value("x").type == match.node.output.type else ""


_EXACT = {
    DType.BOOL: set(DType),
    DType.INT8: {DType.INT32, DType.INT64, DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32, DType.FLOAT64},
    DType.UINT8: {
        DType.INT32, DType.UINT32, DType.INT64, DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32, DType.FLOAT64
    },
    DType.INT32: {DType.INT64, DType.FLOAT64},
    DType.UINT32: {DType.INT64, DType.FLOAT64},
    DType.FLOAT16: {DType.FLOAT32, DType.FLOAT64},
    DType.BFLOAT16: {DType.FLOAT32, DType.FLOAT64},
    DType.FLOAT32: {DType.FLOAT64},
}  # fmt: skip
"""The dtypes that hold every value of a dtype."""


def _exact_between(match: Match) -> str | None:
    first = match.value("x").type.dtype
    between = match.nodes["inner"].output.type.dtype
    return None if between in _EXACT.get(first, ()) else f"{first} does not fit into {between}"


RULES: tuple[Rule, ...] = (
    Rule("x + 0 is x", Is(Add, X, Number(equals=0)), _x),
    Rule("x - 0 is x", Is(Sub, X, Number(equals=0)), _x),
    Rule("x * 1 is x", Is(Mul, X, Number(equals=1)), _x),
    Rule("x / 1 is x", Is(Div, X, Number(equals=1)), _x),
    Rule("x ** 1 is x", Is(Pow, X, Number(equals=1)), _x),
    Rule("x ** 2 is x * x", Is(Pow, X, Number(equals=2)), lambda m: m.emit(Mul(), m.value("x"), m.value("x"))),
    # Not for floats: 0 * NaN is NaN.
    Rule(
        "x * 0 is 0",
        Is(Mul, X, Number(equals=0)),
        lambda m: filled(m.build, m.node.output.type, 0),
        kinds=("int",),
    ),
    Rule("-(-x) is x", Is(Neg, Is(Neg, X)), _x),
    Rule("x + (-y) is x - y", Is(Add, X, Is(Neg, Y, once=True)), lambda m: m.emit(Sub(), m.value("x"), m.value("y"))),
    Rule("x - (-y) is x + y", Is(Sub, X, Is(Neg, Y, once=True)), lambda m: m.emit(Add(), m.value("x"), m.value("y"))),
    Rule("not not x is x", Is(Not, Is(Not, X)), _x),
    Rule("max(x, x) is x", Is(Max, X, X), _x),
    Rule("min(x, x) is x", Is(Min, X, X), _x),
    Rule("x and x is x", Is(And, X, X), _x),
    Rule("x or x is x", Is(Or, X, X), _x),
    Rule("x and true is x", Is(And, X, Number(equals=True)), _x, kinds=("bool",)),
    Rule("x or false is x", Is(Or, X, Number(equals=False)), _x),
    Rule("where(known, x, y)", Is(Where, Number("condition"), X, Y), _chosen),
    Rule("where(c, x, x) is x", Is(Where, C, X, X), _x),
    Rule(
        "where(not c, x, y) is where(c, y, x)",
        Is(Where, Is(Not, C, once=True), X, Y),
        lambda m: m.emit(Where(), m.value("c"), m.value("y"), m.value("x")),
    ),
    Rule("a cast to the same dtype", Is(Cast, X), _x, _same_cast),
    Rule(
        "a cast of an exact cast",
        Is(Cast, Is(Cast, X, name="inner")),
        lambda m: m.emit(m.op(), m.value("x")),
        _exact_between,
    ),
    Rule(
        "a cast of one number",
        Is(Cast, Number("c")),
        lambda m: filled(m.build, m.node.output.type, scalar(m.op().meaning(np.asarray(m.number("c"))))),
    ),
    Rule("stop_gradient(x) is x", Is(StopGradient, X), _x),
    Rule(
        "a dimension that is known",
        Is(Dimension),
        lambda m: filled(m.build, m.node.output.type, np.int64(m.op().fields()["size"])),
        lambda m: None if isinstance(m.op().fields()["size"], int) else "",
    ),
)
