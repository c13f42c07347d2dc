"""How many kernels a program launches, and for which of its blocks, as data for `explain` and for manifests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...compiler.ir import Loc
from .kernel import Launch
from .plan import Block


@dataclass(frozen=True, slots=True)
class Launched:
    """One launch of a plan. ``loops`` is how many loops of the host it stands in: it runs once for each round."""

    kernel: str
    loc: Loc | None
    loops: int


def launched(block: Block, loops: int = 0) -> Iterator[Launched]:
    """The launches of a planned block, in order."""
    for item in block.items:
        if isinstance(item, Block):
            yield from launched(item, loops + item.loop)
        elif isinstance(item.work, Launch) and not item.removed:
            yield Launched(item.work.kernel.name, item.loc, loops)


def block_of(loc: Loc | None) -> str:
    """The block of the spec that a place belongs to: its label as far as the first number, else its first name.

    ``bert.encoder.layer.3.attention.q`` belongs to ``bert.encoder.layer.3``.
    """
    if loc is None or not loc.label:
        return ""
    names = loc.label.split(".")
    for place, name in enumerate(names):
        if name.isdigit():
            return ".".join(names[: place + 1])
    return names[0]


def account(blocks: Mapping[str, Block]) -> dict[str, Any]:
    """The launches of each entry, given its planned block, as JSON data.

    ``launches`` counts each launch of the plan once, ``in_loops`` those that run in each round of a loop of the host,
    ``kernels`` different ones, and ``blocks`` the launches of each block of the spec, in the order of the program.
    """
    found: dict[str, Any] = {}
    for name, block in blocks.items():
        runs = list(launched(block))
        parts: dict[str, int] = {}
        for each in runs:
            part = block_of(each.loc)
            parts[part] = parts.get(part, 0) + 1
        found[name] = {
            "launches": len(runs),
            "in_loops": sum(each.loops > 0 for each in runs),
            "kernels": len({each.kernel for each in runs}),
            "blocks": [[part, count] for part, count in parts.items()],
        }
    return found
