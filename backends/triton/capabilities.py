"""What this target takes as it is."""

from __future__ import annotations

from ...compiler.fusion import Fusion
from ...compiler.ir import Node
from .lower import LOWERINGS, REFUSALS, TEMPLATES

FUSION = Fusion(
    anchors=frozenset({"dot", "conv", "conv_channels_last", "window_sum", "window_max"}),
    prologues=frozenset({"dot"}),
)
"""What the templates take around an anchor."""


def refusal(node: Node) -> str | None:
    """None if the emitter takes the node, else why not."""
    name = node.op.name
    if name in LOWERINGS or name in TEMPLATES:
        return REFUSALS[name](node) if name in REFUSALS else None
    return f"Triton has no form of {name} of its own" if node.op.is_composite() else "is not known to this target"
