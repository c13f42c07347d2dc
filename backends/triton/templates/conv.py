"""Convolution as a matrix product that never unrolls its windows: implicit GEMM, for 1 to 3 spatial axes.

Rows of a tile are points of the result (image and place), columns are output channels of one group, and the depth
goes over the elements of the window: channels in blocks, one element of the window after the other; or, where there
are few channels, over both at once. What a window sees beyond the edges is masked.

A dilated input (a transposed convolution) is many dense ones, one for each phase of the result: a phase meets every
``taps``-th element of the window only, and no inserted zero. Phases are programs of one kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd

from ....compiler.ir import AnyDim
from ....compiler.ir.dims import ceildiv, decide, product
from ..arrays import Array
from ..kernel import Draft
from .gemm import Product, Stored, tile_order
from .index import coordinates, offset, scaled, tiled, total
from .multiply import Multiply

FEW = 16
"""Channels below which window and channels are one depth."""
UNEVEN = 64
"""The same for channels that no block divides."""
SHARING = 4
"""Filters of one input channel up to which there is nothing to win from tensor cores."""


@dataclass(frozen=True)
class Line:
    """One spatial axis of a convolution: sizes of input and result, strides in x and in w, and the window."""

    size: AnyDim
    result: AnyDim
    x: AnyDim
    w: AnyDim
    kernel: AnyDim
    stride: int
    low: int
    high: int
    spread: int
    """Distance of neighbours of x in the dilated input."""
    dilation: int
    """Distance of neighbours in the window."""

    @property
    def phases(self) -> int:
        """After how many results the inserted zeros lie as at first."""
        return self.spread // gcd(self.stride, self.spread)

    @property
    def points(self) -> AnyDim:
        """The results of a phase, of the longest."""
        return ceildiv(self.result, self.phases)

    @property
    def common(self) -> int:
        return gcd(self.dilation, self.spread)

    @property
    def every(self) -> int:
        """A phase meets one in so many elements of the window."""
        return self.spread // self.common

    @property
    def pointwise(self) -> bool:
        """Whether each result sees one element of x, never one beyond the edges."""
        return self.kernel == 1 and self.spread == 1 and self.low <= 0 and self.high <= 0

    @property
    def moved(self) -> bool:
        """Whether a result may see another number of elements than one along this axis."""
        return self.kernel != 1 or self.spread > 1


@dataclass(frozen=True)
class Windows:
    """A convolution by strides. ``channels`` and ``filters`` are those of one group."""

    x: Array
    w: Array
    lines: tuple[Line, ...]
    images: AnyDim
    groups: int
    channels: AnyDim
    filters: AnyDim
    image: AnyDim
    """The stride of x from image to image."""
    x_channel: AnyDim
    w_channel: AnyDim
    w_filter: AnyDim

    @property
    def rows(self) -> AnyDim:
        """The points of the result in one phase."""
        return self.images * product(line.points for line in self.lines)

    @property
    def phases(self) -> int:
        """The number of phases, over all axes."""
        count = 1
        for line in self.lines:
            count *= line.phases
        return count

    @property
    def dense(self) -> bool:
        """Whether the input is not dilated."""
        return all(line.spread == 1 for line in self.lines)

    @property
    def flat(self) -> bool:
        """Whether window and channels are one depth."""
        channels = self.channels
        if not self.dense or not isinstance(channels, int):
            return False
        return channels < FEW or (channels < UNEVEN and channels % 8 != 0)

    @property
    def single(self) -> bool:
        """Whether a result sees one channel (a depthwise convolution), and few results share it."""
        return self.channels == 1 and bool(self.groups > 1 or decide(self.filters, "<=", SHARING))

    @property
    def columns(self) -> AnyDim:
        """The output channels that the columns of tiles count: those of a group, or all where each has one input."""
        return self.groups * self.filters if self.single else self.filters

    @property
    def programs(self) -> int:
        """How many times the tiles of rows and columns are walked."""
        return self.phases if self.single else self.phases * self.groups

    @property
    def depth(self) -> AnyDim:
        """What one block of the depth is taken from."""
        return self.channels * product(line.kernel for line in self.lines) if self.flat else self.channels

    def as_product(self) -> Product:
        """A convolution in one group whose windows have one element as a product of x, without what it skips, and w."""
        skipped: AnyDim = 0
        for line in self.lines:
            skipped = skipped - line.low * line.x
        x = replace(self.x, offset=self.x.offset + skipped)
        steps = tuple(line.x * line.stride for line in self.lines)
        return Product(
            (),
            (self.images, *(line.result for line in self.lines)),
            (self.filters,),
            (self.channels,),
            Stored(x, (), (self.image, *steps), (self.x_channel,)),
            Stored(self.w, (), (self.w_filter,), (self.w_channel,)),
        )


def write_points(draft: Draft, work: Windows) -> list[str]:
    """Write what a tile's rows and columns stand for; returns the indices of image and places in the result.

    Besides the names of `tile_order`: ``x_at`` [BLOCK_M, 1] (for single channels [BLOCK_M, BLOCK_N]) is where a window
    begins in x, ``w_at`` [1, BLOCK_N] where a filter does in w; ``at0``, ``at1`` ... [BLOCK_M, 1] are the coordinates
    in x of the first element that the window sees, ``taps0`` ... how many it sees along an axis of dilated input, and
    ``channel`` is that of `write_channel`. ``row_in`` holds for points of the result only.
    """
    tile_order(draft, work.rows, work.columns, work.programs)
    write_channel(draft, work)
    group = "0"
    if work.single:
        group = "channel" if work.filters == 1 else f"channel // {draft.size(work.filters)}"
    elif work.groups > 1:
        group = "group"
    if work.phases > 1:
        draft.add(f"phase = batch // {work.groups}" if group == "group" else "phase = batch")
    lines = work.lines
    image, *points = coordinates(draft, "row", (work.images, *(line.points for line in lines)))
    draft.add(f"image = {image}")
    starts: list[str] = []
    names = ["image"]
    phases = coordinates(draft, "phase", [line.phases for line in lines])
    for k, (line, point) in enumerate(zip(lines, points, strict=True)):
        # A tile even where there is one point: conditions on it are masks.
        draft.add(f"point{k} = {'row * 0' if point == '0' else point}")
        if line.spread == 1:
            draft.add(f"at{k} = {total((scaled(draft, f'point{k}', line.stride), _signed(-line.low)))}")
        else:
            starts.append(_phase(draft, line, k, phases[k]))
        names.append(f"point{k}")
    x_terms = [tiled([scaled(draft, f"at{k}", line.x) for k, line in enumerate(lines)], "row")]
    x_terms += [scaled(draft, "image", work.image), scaled(draft, group, work.channels * work.x_channel)]
    draft.add(f"x_at = {total((draft.pointer(work.x), draft.size(work.x.offset), *x_terms))}")
    w_terms = (tiled((scaled(draft, "channel", work.w_filter),), "column"), *starts, draft.size(work.w.offset))
    draft.add(f"w_at = {total((draft.pointer(work.w), *w_terms))}")
    return names


def write_channel(draft: Draft, work: Windows) -> None:
    """Write ``channel`` [1, BLOCK_N], the channel of the result; and ``group``, unless columns count all channels."""
    if work.single or work.groups == 1:
        draft.add("channel = column")
    else:
        draft.add(f"group = batch % {work.groups}", f"channel = {scaled(draft, 'group', work.filters)} + column")


def _signed(number: int) -> str:
    return str(number) if number >= 0 else f"({number})"


def _phase(draft: Draft, line: Line, k: int, phase: str) -> str:
    """Write the first element of the window that a phase sees, and where; returns the offset of that element in w.

    Point p of the result sees element q of the window at ``p * stride - low + q * dilation`` of the dilated input,
    which must be a multiple of ``spread``. With ``common`` the greatest common divisor of spread and dilation, that has
    a solution where ``common`` divides ``p * stride - low``; then q is known modulo ``every``.
    """
    every, common, kernel = line.every, line.common, draft.size(line.kernel)
    draft.add(f"phase{k} = {phase}")
    draft.add(f"base{k} = {total((scaled(draft, f'phase{k}', line.stride), _signed(-line.low)))}")
    inverse = pow(line.dilation // common, -1, every) if every > 1 else 0
    most = (line.phases - 1) * line.stride - line.low
    # A multiple of `every` keeps what is divided positive: the remainder of a negative number has its sign.
    above = max(0, -(-most // (common * every))) * every
    divided = f"base{k}" if common == 1 else f"base{k} // {common}"
    draft.add(f"q{k} = ({above} - {divided}) * {inverse} % {every}")
    taps = f"({kernel} + {every - 1} - q{k}) // {every}"
    if common > 1:
        lift = max(0, -(-line.low // common)) * common
        taps = f"tl.where((base{k} + {lift}) % {common} == 0, {taps}, 0)"
    draft.add(f"taps{k} = {taps}")
    step = line.phases * line.stride // line.spread
    draft.add(f"at{k} = {scaled(draft, f'point{k}', step)} + (base{k} + q{k} * {line.dilation}) // {line.spread}")
    draft.add(f"point{k} = {scaled(draft, f'point{k}', line.phases)} + phase{k}")
    draft.add(f"row_in = row_in & (point{k} < {draft.size(line.result)})")
    return scaled(draft, f"q{k}", line.w)


def inside(draft: Draft, line: Line, at: str, k: int) -> list[str]:
    """The conditions for an element of a window to lie in x, as far as they can fail."""
    conditions = []
    if line.spread > 1 or line.low > 0:
        conditions.append(f"({at} >= 0)")
    if line.spread > 1 or not reaches(line):
        conditions.append(f"({at} < {draft.size(line.size)})")
    return conditions


def reaches(line: Line) -> bool:
    """Whether no window of a dense axis goes beyond the end of x."""
    last = (line.result - 1) * line.stride - line.low + (line.kernel - 1) * line.dilation
    return bool(decide(last, "<", line.size))


def write_convolution(draft: Draft, work: Windows, multiply: Multiply, parts: int = 1) -> list[str]:
    """Write the sums of a tile, ``acc`` [BLOCK_M, BLOCK_N]; returns the names of `write_points`.

    With ``parts`` above 1 (for a dense input whose window and channels are not one depth) the second axis of the grid
    counts parts of the depth.
    """
    names = write_points(draft, work)
    draft.add(f"acc = {multiply.zeros()}")
    if work.flat:
        _flat_steps(draft, work)
    else:
        _steps(draft, work, parts)
    draft.add("left = tl.load(x_here, mask=x_in, other=0)", "right = tl.load(w_here, mask=w_in, other=0)")
    multiply.write(draft, "left", "right")
    draft.deeper(-1)
    return names


def _steps(draft: Draft, work: Windows, parts: int) -> None:
    """A block of channels of one element of the window at a time."""
    moved = [k for k, line in enumerate(work.lines) if line.moved]
    taps = window_sizes(draft, work, moved)
    channels = draft.size(work.channels)
    draft.add(f"blocks = tl.cdiv({channels}, BLOCK_K)")
    steps = " * ".join([*taps, "blocks"])
    if parts == 1:
        draft.add(f"for step in range(0, {steps}):")
    else:
        draft.add(
            f"each = tl.cdiv({steps}, {parts})",
            "begin = tl.program_id(1) * each",
            f"for step in range(begin, tl.minimum(begin + each, {steps})):",
        )
    draft.deeper()
    draft.wide("k", "step % blocks * BLOCK_K + tl.arange(0, BLOCK_K)")
    draft.add("k_row = k[None, :]", "k_column = k[:, None]")
    if moved:
        draft.add("tap = step // blocks")
    found = digits("tap", taps)
    for k, text in zip(moved, found, strict=True):
        draft.add(f"tap{k} = {text}")
    x_terms, w_terms, conditions = window_terms(draft, work, moved)
    draft.add(f"x_here = {total(('x_at', *x_terms, scaled(draft, 'k_row', work.x_channel)))}")
    draft.add(f"w_here = {total(('w_at', *w_terms, scaled(draft, 'k_column', work.w_channel)))}")
    draft.add(f"x_in = {' & '.join(['row_in', *conditions])}", "w_in = column_in")
    masks = (f"x_in = x_in & (k_row < {channels})", f"w_in = w_in & (k_column < {channels})")
    if isinstance(work.channels, int):
        draft.add(f"if {channels} % BLOCK_K != 0:", *("    " + mask for mask in masks))
    else:
        draft.add(*masks)


def window_sizes(draft: Draft, work: Windows, moved: list[int]) -> list[str]:
    """How many elements of the window a phase sees, along the axes where the window moves."""
    return [f"taps{k}" if work.lines[k].spread > 1 else draft.size(work.lines[k].kernel) for k in moved]


def window_terms(draft: Draft, work: Windows, moved: list[int]) -> tuple[list[str], list[str], list[str]]:
    """The offsets in x and in w of element ``tap0``, ``tap1`` ... of the window, and the conditions that it is in x."""
    x_terms, w_terms, conditions = [], [], []
    for k, line in enumerate(work.lines):
        at = f"at{k}"
        if k in moved:
            step = line.dilation // line.common
            at = total((at, scaled(draft, f"tap{k}", step)))
            x_terms.append(scaled(draft, f"tap{k}", line.x * step))
            w_terms.append(scaled(draft, f"tap{k}", line.w * line.every))
        conditions += inside(draft, line, at, k)
    return x_terms, w_terms, conditions


def digits(index: str, sizes: list[str]) -> list[str]:
    """The digits of an index to bases that are texts, the first counting slowest."""
    found = []
    for place, size in enumerate(sizes):
        inner = " * ".join(sizes[place + 1 :])
        text = f"{index} // ({inner})" if inner else index
        found.append(text if place == 0 else f"{text} % {size}")
    return found


def _flat_steps(draft: Draft, work: Windows) -> None:
    """Elements of the window and channels as one depth, in the order in which the weights lie."""
    axes: list[tuple[AnyDim, AnyDim, AnyDim, int]] = [
        (line.kernel, line.x * line.dilation, line.w, k) for k, line in enumerate(work.lines)
    ]
    channels = (work.channels, work.x_channel, work.w_channel, -1)
    last = all(decide(work.w_channel, "<=", line.w) for line in work.lines if line.moved)
    axes = [*axes, channels] if last else [channels, *axes]
    sizes = [size for size, *_ in axes]
    depth = draft.size(product(sizes))
    draft.add(f"for step in range(0, {depth}, BLOCK_K):")
    draft.deeper()
    draft.wide("k", "step + tl.arange(0, BLOCK_K)")
    draft.add("k_row = k[None, :]", "k_column = k[:, None]")
    conditions = ["row_in", f"(k_row < {depth})"]
    x_terms = []
    for (_, stride, _, k), text in zip(axes, coordinates(draft, "k_row", sizes), strict=True):
        name = "part" if k < 0 else f"tap{k}"
        if text != "0":
            draft.add(f"{name} = {text}")
            x_terms.append(scaled(draft, name, stride))
        if k >= 0:
            line = work.lines[k]
            at = total((f"at{k}", scaled(draft, name, line.dilation) if text != "0" else "0"))
            conditions += inside(draft, line, at, k)
    draft.add(f"x_here = {total(('x_at', *x_terms))}")
    draft.add(f"w_here = {total(('w_at', offset(draft, 'k_column', sizes, [w for _, _, w, _ in axes])))}")
    draft.add(f"x_in = {' & '.join(conditions)}", f"w_in = column_in & (k_column < {depth})")
