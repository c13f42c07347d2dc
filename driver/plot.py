"""Line charts as SVG text: enough for curves of losses and rates, and the same bytes for the same numbers."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 160, 36, 44
COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#7f7f7f")
"""The categorical colors of matplotlib (tab10), which are told apart by most."""
TICKS = 6
FEW = 50
"""So many points are drawn large."""
MOST_POINTS = 2000
"""Points of a line; of more, evenly spread ones are drawn."""

Points = Sequence[tuple[float, float]]


def line_chart(
    lines: Mapping[str, Points],
    title: str,
    x: str,
    y: str,
    *,
    log: bool = False,
    equal: bool = False,
    dots: Collection[str] = (),
    thin: Collection[str] = (),
) -> str:
    """An SVG document. What is no finite number is left out.

    ``log`` draws a logarithmic vertical axis (what is not above 0 is left out), ``equal`` both axes to one scale. Of
    the lines those named in ``dots`` are points without lines, those in ``thin`` are gray and not in the legend.
    """
    drawn = {name: _kept(points, log) for name, points in lines.items()}
    xs = [point[0] for points in drawn.values() for point in points] or [0.0, 1.0]
    ys = [point[1] for points in drawn.values() for point in points] or ([1.0, 10.0] if log else [0.0, 1.0])
    across = _Axis(min(xs), max(xs), LEFT, WIDTH - RIGHT, False)
    up = _Axis(min(ys), max(ys), HEIGHT - BOTTOM, TOP, log)
    if equal:
        unit = max(across.unit, up.unit)
        across.widen(unit)
        up.widen(unit)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12" fill="#333">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="15">{escape(title)}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:g}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>',
        f'<text transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2:g}) rotate(-90)" text-anchor="middle">'
        f"{escape(y)}</text>",
    ]
    for value in across.ticks():
        at = across.place(value)
        parts.append(f'<path d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:g}</text>')
    for value in up.ticks():
        at = up.place(value)
        parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{value:g}</text>')
    shown = [name for name in drawn if name not in thin]
    for name in [*(name for name in drawn if name in thin), *shown]:
        places = [(across.place(a), up.place(b)) for a, b in drawn[name]]
        path = "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
        if name in thin:
            parts += [f'<path d="M{path}" fill="none" stroke="#bbb"/>'] if path else []
            continue
        number = shown.index(name)
        color = COLORS[number % len(COLORS)]
        if name in dots:
            size = 2 if len(places) > FEW else 5
            parts += [
                f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{size}" fill="{color}" fill-opacity="0.6"/>' for a, b in places
            ]
        elif path:
            parts.append(f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="1.8"/>')
        row = TOP + 10 + 18 * number
        parts.append(f'<path d="M{WIDTH - RIGHT + 12} {row}h18" stroke="{color}" stroke-width="3"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 36}" y="{row + 4}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def panels(charts: Sequence[str], columns: int) -> str:
    """Charts beside and below each other, as one SVG document."""
    rows = -(-len(charts) // columns)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * columns} {HEIGHT * rows}">']
    for number, chart in enumerate(charts):
        row, column = divmod(number, columns)
        place = f'<svg x="{column * WIDTH}" y="{row * HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        parts.append(place + chart.removeprefix("<svg ").rstrip())
    return "\n".join([*parts, "</svg>", ""])


def _kept(points: Points, log: bool) -> list[tuple[float, float]]:
    kept = [(a, b) for a, b in points if math.isfinite(a) and math.isfinite(b) and (b > 0 or not log)]
    stride = -(-len(kept) // MOST_POINTS) or 1
    return kept[::stride]


class _Axis:
    """Numbers along a line of the picture."""

    def __init__(self, low: float, high: float, start: float, stop: float, log: bool) -> None:
        self.log, self.start, self.stop = log, start, stop
        if log:
            low, high = math.floor(math.log10(low)), math.ceil(math.log10(high))
        self.low, self.high = (low, high) if high > low else (low - 0.5, high + 0.5)

    @property
    def unit(self) -> float:
        """How much a pixel is."""
        return (self.high - self.low) / abs(self.stop - self.start)

    def widen(self, unit: float) -> None:
        """Make a pixel this much, around the same middle."""
        middle, half = (self.low + self.high) / 2, unit * abs(self.stop - self.start) / 2
        self.low, self.high = middle - half, middle + half

    def place(self, value: float) -> float:
        """Where a number stands, in pixels."""
        position = math.log10(value) if self.log else value
        return self.start + (self.stop - self.start) * (position - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round numbers along the axis."""
        if self.log:
            first, last = math.ceil(self.low), math.floor(self.high)
            return [10.0**power for power in range(first, last + 1, max(1, (last - first) // TICKS + 1))]
        rough = (self.high - self.low) / TICKS
        unit = 10 ** math.floor(math.log10(rough))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
        first = math.ceil(self.low / step)
        return [round(k * step, 12) for k in range(first, math.floor(self.high / step + 1e-9) + 1)]
