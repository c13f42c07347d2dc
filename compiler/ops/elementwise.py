"""Primitives that work element by element on operands of one shape and one dtype."""

from __future__ import annotations

from ..ir.op import Op
from .elementwise_base import Elementwise, common_shape
from .elementwise_binary import (
    Add,
    And,
    Compare,
    Div,
    Max,
    Min,
    Mul,
    Or,
    Pow,
    Rem,
    ShiftLeft,
    ShiftRight,
    Sub,
    Where,
    Xor,
)
from .elementwise_unary import Abs, Cos, Erf, Exp, Floor, Log, Neg, Not, Round, Sigmoid, Sign, Sin, Sqrt, Tanh

OPS: tuple[type[Op], ...] = (
    Neg, Abs, Sign, Floor, Round, Exp, Log, Sqrt, Sin, Cos, Tanh, Erf, Sigmoid,
    Add, Sub, Mul, Div, Rem, Pow, Max, Min, And, Or, Xor, Not, ShiftLeft, ShiftRight, Compare, Where,
)  # fmt: skip

__all__ = [
    "OPS",
    "Abs",
    "Add",
    "And",
    "Compare",
    "Cos",
    "Div",
    "Elementwise",
    "Erf",
    "Exp",
    "Floor",
    "Log",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "Pow",
    "Rem",
    "Round",
    "ShiftLeft",
    "ShiftRight",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sqrt",
    "Sub",
    "Tanh",
    "Where",
    "Xor",
    "common_shape",
]
