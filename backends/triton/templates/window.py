"""Windows that slide over all axes of a tensor: their sums, their largest elements, and where those stand.

A program makes a run of results in their order; the loop goes over the elements of a window, all at once for a small
one. Largest elements get their gradients in two steps that need no atomic additions: the place of each window's
largest element is written down, then each element of x adds up the windows that chose it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....compiler.ir import AnyDim
from ....compiler.ir.dims import decide, product
from ....compiler.ops.rules import lowest
from ....compiler.ops.window import Window
from ..arrays import Array
from ..body import load
from ..expressions import NAMES, plain, register
from ..kernel import Config, Draft
from .index import coordinates, offset, scaled, tiled, total
from .tiles import nominal, power

CONSTANTS = ("BLOCK",)
UNROLLED = 32
"""Elements of a window up to which the loop over them is unrolled."""


@dataclass(frozen=True)
class Slide:
    """A window over an array: for each axis the size of x, the number of windows, and the fields of the op."""

    sizes: tuple[AnyDim, ...]
    grid: tuple[AnyDim, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]

    @classmethod
    def of(cls, op: Window, sizes: Sequence[AnyDim], grid: Sequence[AnyDim]) -> Slide:
        """From a canonical op."""
        return cls(tuple(sizes), tuple(grid), op.kernel, op.stride, op.padding, op.dilation)

    @property
    def moved(self) -> list[int]:
        """The axes along which a window has more than one element."""
        return [axis for axis, size in enumerate(self.kernel) if size > 1]

    @property
    def taps(self) -> int:
        """The elements of a window."""
        count = 1
        for size in self.kernel:
            count *= size
        return count

    def over_edges(self, axis: int) -> tuple[bool, bool]:
        """Whether a window may begin before x, and end after it."""
        low, _ = self.padding[axis]
        last = (self.grid[axis] - 1) * self.stride[axis] - low + (self.kernel[axis] - 1) * self.dilation[axis]
        return low > 0, not decide(last, "<", self.sizes[axis])


def write_order(draft: Draft, count: AnyDim) -> None:
    """Write the indices of a program's run, ``at`` [BLOCK], and their mask ``inside``."""
    draft.wide("pid", "tl.program_id(0)")
    draft.add("at = pid * BLOCK + tl.arange(0, BLOCK)", f"inside = at < {draft.size(count)}")


def _tiles(draft: Draft, sizes: Sequence[AnyDim]) -> list[str]:
    """The coordinates of ``at``: tiles even where there is one element, for conditions on them are masks."""
    return ["at * 0" if text == "0" else text for text in coordinates(draft, "at", sizes)]


def _taps(draft: Draft, slide: Slide) -> None:
    """Open the loop over the elements of a window, with ``tap0``, ``tap1`` ... along the axes where it has several."""
    count = slide.taps
    draft.add(f"for tap in {'tl.static_range' if count <= UNROLLED else 'range'}({count}):")
    draft.deeper()
    texts = coordinates(draft, "tap", [slide.kernel[axis] for axis in slide.moved])
    draft.add(*(f"tap{axis} = {text}" for axis, text in zip(slide.moved, texts, strict=True)))


def _seen(draft: Draft, slide: Slide, x: Array) -> None:
    """Write ``first``, where in memory the window of each result begins, and ``at0`` ..., its first coordinates."""
    strides = tuple(a * b for a, b in zip(x.strides, slide.stride, strict=True))
    before: AnyDim = x.offset
    for (low, _), stride in zip(slide.padding, x.strides, strict=True):
        before = before - low * stride
    place = tiled((offset(draft, "at", slide.grid, strides),), "at")
    draft.add(f"first = {total((place, draft.size(before)))}")
    for axis, text in enumerate(_tiles(draft, slide.grid)):
        if any(slide.over_edges(axis)):
            low = slide.padding[axis][0]
            draft.add(f"at{axis} = {total((scaled(draft, text, slide.stride[axis]), f'({-low})' if low else '0'))}")


def _element(draft: Draft, slide: Slide, x: Array, fill: str) -> None:
    """Within the loop: ``x_in``, whether an element of a window is in x, and ``seen``, the element."""
    conditions = ["inside"]
    for axis in range(len(slide.sizes)):
        before, after = slide.over_edges(axis)
        step = scaled(draft, f"tap{axis}", slide.dilation[axis]) if axis in slide.moved else "0"
        place = total((f"at{axis}", step))
        if before:
            conditions.append(f"({place} >= 0)")
        if after:
            conditions.append(f"({place} < {draft.size(slide.sizes[axis])})")
    steps = [scaled(draft, f"tap{axis}", x.strides[axis] * slide.dilation[axis]) for axis in slide.moved]
    draft.add(f"x_in = {' & '.join(conditions)}")
    draft.add(f"seen = {load(draft, x, total(('first', *steps)), 'x_in', fill)}")


def write_sum(draft: Draft, slide: Slide, x: Array) -> None:
    """Write ``acc`` [BLOCK], the sum of each window."""
    write_order(draft, product(slide.grid))
    _seen(draft, slide, x)
    draft.add(f"acc = tl.zeros((BLOCK,), {NAMES[register(x.dtype)]})")
    _taps(draft, slide)
    _element(draft, slide, x, "0")
    draft.add("acc += seen")
    draft.deeper(-1)


def write_max(draft: Draft, slide: Slide, x: Array) -> None:
    """Write ``acc`` [BLOCK], the largest element of each window."""
    least = plain(lowest(register(x.dtype).numpy), x.dtype)
    write_order(draft, product(slide.grid))
    _seen(draft, slide, x)
    draft.add(f"acc = tl.full((BLOCK,), {least}, {NAMES[register(x.dtype)]})")
    _taps(draft, slide)
    _element(draft, slide, x, least)
    larger = draft.helper("larger") if x.dtype.is_float else "tl.maximum"
    draft.add(f"acc = {larger}(acc, seen)")
    draft.deeper(-1)


def write_choice(draft: Draft, slide: Slide, x: Array, chosen: Array) -> None:
    """Write, for each window, which of its elements is the first largest, -1 where it sees none, into ``chosen``."""
    write_order(draft, product(slide.grid))
    _seen(draft, slide, x)
    draft.add(f"best = tl.zeros((BLOCK,), {NAMES[register(x.dtype)]})", "choice = tl.full((BLOCK,), -1, tl.int32)")
    _taps(draft, slide)
    _element(draft, slide, x, "0")
    # NaN counts as the largest, and the first of them stays.
    better = "(seen > best) | ((seen != seen) & (best == best))" if x.dtype.is_float else "(seen > best)"
    draft.add(f"better = x_in & ((choice < 0) | {better})")
    draft.add("best = tl.where(better, seen, best)", "choice = tl.where(better, tap, choice)")
    draft.deeper(-1)
    draft.add(f"tl.store({draft.write(chosen)} + at, choice, mask=inside)")


def write_gradient(draft: Draft, slide: Slide, chosen: Array, dy: Array) -> None:
    """Write ``acc`` [BLOCK]: for each element of x, the sum of dy over the windows that chose it."""
    write_order(draft, product(slide.sizes))
    for axis, text in enumerate(_tiles(draft, slide.sizes)):
        draft.add(f"at{axis} = {total((text, str(slide.padding[axis][0])))}")
    draft.add(f"acc = tl.zeros((BLOCK,), {NAMES[register(dy.dtype)]})")
    _taps(draft, slide)
    conditions = ["inside"]
    for axis, stride in enumerate(slide.stride):
        step = scaled(draft, f"tap{axis}", slide.dilation[axis]) if axis in slide.moved else "0"
        draft.add(f"from{axis} = at{axis}" + (f" - {step}" if step != "0" else ""))
        draft.add(f"window{axis} = from{axis} // {stride}")
        conditions.append(f"(from{axis} >= 0) & (window{axis} < {draft.size(slide.grid[axis])})")
        if stride > 1:
            conditions.append(f"(from{axis} % {stride} == 0)")
    draft.add(f"met = {' & '.join(conditions)}")
    places = {}
    for array in (chosen, dy):
        terms = [scaled(draft, f"window{axis}", stride) for axis, stride in enumerate(array.strides)]
        places[array] = total((tiled(terms, "at"), draft.size(array.offset)))
    draft.add(f"choice = {load(draft, chosen, places[chosen], 'met', '-1')}")
    draft.add(f"share = {load(draft, dy, places[dy], 'met & (choice == tap)')}")
    draft.add("acc += tl.where(choice == tap, share, 0)")
    draft.deeper(-1)


def window_tiles(count: AnyDim) -> tuple[tuple[Config, ...], Config]:
    """Tiles on a device, the likely best first, and in the interpreter."""
    most = max(1, power(nominal(count)))
    blocks = dict.fromkeys(min(block, max(most, 32)) for block in (256, 512, 1024, 128))
    configs = tuple(Config({"BLOCK": block}, max(1, min(4, block // 64)), 2) for block in blocks)
    return configs, Config({"BLOCK": min(most, 2**16)})
