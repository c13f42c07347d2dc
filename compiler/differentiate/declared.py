"""What an op says about its gradient, in words: for the page of ops, and for the test that each one says something."""

from __future__ import annotations

from ..ir.op import Op
from ..ops.control import Call, Cond, Scan
from .reverse import REFUSED

REGIONAL = (Call, Cond, Scan)
"""Ops whose gradient is that of what they hold."""


def how_differentiated(op: type[Op]) -> str:
    """One of "declared", "of the decomposition", "of the region", "zero", and "refused: " with the reason.

    Raises `ValueError` for an op that claims to be differentiable without saying how.
    """
    if op.gradient == "zero" or op.gradient.startswith(REFUSED):
        return op.gradient
    if op.gradient != "differentiable":
        raise ValueError(f"{op.name}: its gradient is differentiable, zero or refused, not {op.gradient!r}")
    if issubclass(op, REGIONAL):
        return "of the region"
    if op.has_vjp():
        return "declared"
    if op.is_composite():
        return "of the decomposition"
    raise ValueError(f"{op.name}: is differentiable, but has neither a vjp nor a decomposition")
