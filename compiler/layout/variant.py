"""An op on operands that are stored in another form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..ir.graph import Builder, Value
from .form import Form

RESULT = -1
"""Stands for the result where operands are counted."""

Emit = Callable[[Builder, Sequence[Value]], Sequence[Value]]


@dataclass(frozen=True, slots=True)
class Variant:
    """An op on stored values: the form of each operand and result, and ``emit``, which makes it of the operands.

    ``turned`` tells whether it costs what the target says of the other form of the op; else it costs the same.
    """

    operands: tuple[Form, ...]
    results: tuple[Form, ...]
    emit: Emit
    turned: bool = True
