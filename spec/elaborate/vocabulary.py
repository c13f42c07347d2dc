"""The ops and layers that a spec can name."""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

from ...compiler.ir import Op
from ...compiler.ops import OPS
from ..layers import LAYERS
from ..layers.base import Layer

INTERNAL = frozenset({"constant", *(name for name, op in OPS.items() if op.family == "control")})
"""Ops that a spec has other words for: `constants`, blocks, `scan`, `when`."""

Declared: TypeAlias = type[Op] | type[Layer]


def find_op(name: str) -> Declared | None:
    """The layer or op of that name; None if a spec can name none such."""
    return LAYERS.get(name) or (None if name in INTERNAL else OPS.get(name))


@cache
def op_names() -> frozenset[str]:
    """Every name that `op:` takes."""
    return frozenset({*LAYERS, *OPS} - INTERNAL)
