"""What a target can put into one kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..ir.graph import Node


def refuse_nothing(node: Node) -> str | None:
    """A target that fuses whatever may be fused."""
    return None


@dataclass(frozen=True, slots=True)
class Fusion:
    """What a target fuses.

    ``anchors`` are the ops that take an epilogue, ``prologues`` those of them whose operands may be computed on the
    way in; ``rows`` says whether reductions join their neighbours. A region has at most ``nodes`` computing nodes and
    ``operands`` operands. ``refuse`` gives a target's own reason against a node, or None.
    """

    anchors: frozenset[str] = frozenset()
    prologues: frozenset[str] = frozenset()
    rows: bool = True
    nodes: int = 256
    operands: int = 24
    refuse: Callable[[Node], str | None] = refuse_nothing
