"""What passes are told, and where they report: no pass reads anything global."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal as OneOf

from ..fusion.rules import Fusion
from ..ir.graph import Loc, Node
from ..ir.types import DType, TensorType


@dataclass(frozen=True, slots=True)
class Event:
    """What a pass did, or declined to do, at one place."""

    pass_name: str
    kind: OneOf["rewritten", "refused"]
    what: str
    why: str = ""
    loc: Loc | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """Which float dtype parameters are stored in and ops compute in; None leaves what the program declares.

    Ops named in ``keep_float32`` compute in float32, beside those that do so by their class.
    """

    params: DType | None = None
    compute: DType | None = None
    keep_float32: tuple[str, ...] = ()


def claim_all(node: Node) -> str | None:
    """A target that takes every op."""
    return None


@dataclass(frozen=True, slots=True)
class LayoutCosts:
    """What a target says of layouts: see `backends.api.Backend`. Both speak one unit; sizes are whole numbers."""

    of_node: Callable[[Node], tuple[float, float] | None]
    of_conversion: Callable[[TensorType], float]
    whole_axes: bool = False


@dataclass(slots=True)
class Context:
    """One compilation.

    ``target`` names the backend in messages; ``claims``, ``requires`` and ``forbids`` are the backend's (see
    `backends.api.Backend`), ``fusion`` says what its kernels can hold (None: nothing is fused). ``roll`` is how
    many equal blocks in a row become a loop (0: never). ``debug`` verifies after each pass; ``dump_dir`` gets the
    program's text after each.
    """

    target: str = "the target"
    claims: Callable[[Node], str | None] = claim_all
    requires: frozenset[str] = frozenset()
    forbids: frozenset[str] = frozenset()
    fusion: Fusion | None = None
    precision: Policy | None = None
    layout: LayoutCosts | None = None
    roll: int = 0
    debug: bool = False
    dump_dir: Path | None = None
    log: list[Event] = field(default_factory=list)

    def rewritten(self, pass_name: str, what: str, loc: Loc | None = None, why: str = "") -> None:
        """Report a rewrite."""
        self.log.append(Event(pass_name, "rewritten", what, why, loc))

    def refused(self, pass_name: str, what: str, why: str, loc: Loc | None = None) -> None:
        """Report a rewrite that a guard declined, and the reason."""
        self.log.append(Event(pass_name, "refused", what, why, loc))
