"""How many kernels a program launches, of which ops, and for which of its blocks: for `explain` and for manifests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...compiler.ir import Loc, Node
from ..api import Launched
from .kernel import Launch
from .plan import Block

_SILENT = frozenset({"broadcast", "constant", "reshape", "transpose"})
"""Ops of a region that are no work: they say where operands lie."""


def computed(node: Node) -> str:
    """The ops that a node stands for: those of the region if it is a fused one."""
    if node.op.name != "fused":
        return node.op.name
    return ", ".join(inner.op.name for inner in node.regions[0].nodes if inner.op.name not in _SILENT)


def launched(block: Block, loops: int = 0) -> Iterator[Launched]:
    """The launches of a planned block, in order."""
    for item in block.items:
        if isinstance(item, Block):
            yield from launched(item, loops + item.loop)
        elif isinstance(item.work, Launch) and not item.removed:
            label = item.loc.label if item.loc is not None else ""
            yield Launched(item.work.kernel.name, item.what, label, block_of(item.loc), loops > 0)


def block_of(loc: Loc | None) -> str:
    """The block of the spec that a place belongs to: its label as far as the last number, else its first name.

    ``encoder.layer.3.attention.q`` belongs to ``encoder.layer.3``.
    """
    if loc is None or not loc.label:
        return ""
    names = loc.label.split(".")
    numbers = [place for place, name in enumerate(names) if name.isdigit()]
    return ".".join(names[: numbers[-1] + 1]) if numbers else names[0]


def account(entries: Mapping[str, Sequence[Launched]]) -> dict[str, Any]:
    """Of each entry, as JSON data: how many launches there are (each once), how many of them run in every round of a
    loop of the host, and how many kernels differ."""
    return {
        name: {
            "launches": len(runs),
            "in_loops": sum(each.looped for each in runs),
            "kernels": len({each.kernel for each in runs}),
        }
        for name, runs in entries.items()
    }
