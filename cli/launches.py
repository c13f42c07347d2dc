"""The kernels that an entry starts, block by block, as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from ..backends.api import Launched
from .console import cell, say, show, table

_MOST_ROWS = 40


def show_launches(entry: str, runs: Sequence[Launched], everything: bool) -> None:
    """How many kernels an entry starts and what each block has of them; with ``everything`` each kernel."""
    kernels = len({each.kernel for each in runs})
    looped = sum(each.looped for each in runs)
    rounds = f", {looped:,} of them in each round of a loop" if looped else ""
    say(f"{entry}: {len(runs):,} launches of {kernels:,} kernels{rounds}", style="bold")
    if everything:
        shown = table("kernel", "of", "computes")
        for each in runs:
            shown.add_row(cell(each.kernel), cell(each.label), cell(each.what))
    else:
        shown = table("block", "times", "launches", "each computes", right=("times", "launches"))
        rows = blocks(runs)
        for name, times, parts in rows[:_MOST_ROWS]:
            shown.add_row(cell(name), str(times), str(len(parts)), cell("\n".join(parts)))
    show(shown)
    if not everything and len(rows) > _MOST_ROWS:
        say(f"  ... and {len(rows) - _MOST_ROWS:,} more (--all)", style="dim")
    say()


def blocks(runs: Sequence[Launched]) -> list[tuple[str, int, list[str]]]:
    """Neighbouring blocks with the same work as one: the name of the first, how many, and what each launch computes."""
    found: list[tuple[str, int, list[str]]] = []
    for name, group in groupby(runs, key=lambda each: each.block):
        parts = [each.what for each in group]
        if found and found[-1][2] == parts:
            found[-1] = (found[-1][0], found[-1][1] + 1, parts)
        else:
            found.append((name, 1, parts))
    return found
