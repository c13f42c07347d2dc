"""Convolution where each result sees one channel: shifted products, added up, with nothing for a matrix product."""

from __future__ import annotations

from ....compiler.ir.dims import product
from ..expressions import NAMES
from ..kernel import Config, Draft
from .conv import Windows, digits, window_sizes, window_terms, write_points
from .index import total
from .multiply import Multiply
from .tiles import nominal, power

UNROLLED = 64
"""Elements of a window up to which the loop over them is unrolled."""
LAST = ((16, 64), (8, 128), (32, 32), (4, 256), (16, 128), (64, 16))
"""Points and channels of a tile where channels are the last axis."""
FIRST = ((512, 1), (256, 1), (1024, 1), (256, 4), (128, 8), (64, 16))
"""The same where they are not."""


def write_depthwise(draft: Draft, work: Windows, multiply: Multiply) -> list[str]:
    """Write the sums of a tile, ``acc`` [BLOCK_M, BLOCK_N]; returns the names of `write_points`."""
    names = write_points(draft, work)
    draft.add(f"acc = {multiply.zeros()}")
    moved = [k for k, line in enumerate(work.lines) if line.moved]
    taps = window_sizes(draft, work, moved)
    count = product(line.kernel for line in work.lines)
    unrolled = work.dense and isinstance(count, int) and count <= UNROLLED
    if moved:
        draft.add(f"for tap in {'tl.static_range' if unrolled else 'range'}({' * '.join(taps)}):")
        draft.deeper()
    for k, text in zip(moved, digits("tap", taps), strict=True):
        draft.add(f"tap{k} = {text}")
    x_terms, w_terms, conditions = window_terms(draft, work, moved)
    seen = " & ".join(["row_in", "column_in", *conditions])
    name = NAMES[multiply.sums]
    draft.add(f"seen = tl.load({total(('x_at', *x_terms))}, mask={seen}, other=0).to({name})")
    draft.add(f"weight = tl.load({total(('w_at', *w_terms))}, mask=column_in, other=0).to({name})")
    draft.add("acc += seen * weight")
    if moved:
        draft.deeper(-1)
    return names


def depthwise_tiles(work: Windows) -> tuple[tuple[Config, ...], Config]:
    """Tiles on a device, the likely best first, and in the interpreter. The broad side is the one without gaps."""
    points, channels = power(nominal(work.rows)), power(nominal(work.columns))
    shapes = LAST if work.x_channel == 1 else FIRST
    kept = dict.fromkeys((min(down, points), min(across, channels)) for down, across in shapes)
    configs = tuple(
        Config({"BLOCK_M": down, "BLOCK_N": across, "GROUP": 1}, max(1, min(4, down * across // 128)), 2)
        for down, across in kept
    )
    return configs, Config({"BLOCK_M": min(points, 4096), "BLOCK_N": min(channels, 256), "GROUP": 1})
