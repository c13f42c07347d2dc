"""The text of functions that work on one tile of a fused region."""

from __future__ import annotations

from collections.abc import Iterator

from ...compiler.ir import Shape
from ...compiler.ir.dims import symbols
from ..source import origin
from .code import Stage
from .scope import Tile
from .text import Exports, Writer, table_rows, tuple_text, unpacking


def tile_functions(tile: Tile, load: Exports) -> Iterator[list[str]]:
    """The lines of ``tile_<number>``, and if it takes scratch memory those of ``scratch_`` and ``room_<number>``."""
    given = {symbol.name: f"d{index}" for index, symbol in enumerate(tile.symbols)}
    ranges = [
        (_name(tile.starts, axis), _name(tile.stops, axis), _name(tile.sizes, axis)) for axis in range(len(tile.sizes))
    ]
    inside = {size: f"t{axis}" for axis, (_, _, size) in enumerate(ranges)}
    ends = {
        name: f"{letter}{axis}" for axis, pair in enumerate(ranges) for name, letter in zip(pair, "ae", strict=False)
    }
    if tile.plan.buffers:
        writer = Writer(Stage.SIZES, {**given, **inside}, {}, frozenset())
        rows = table_rows(writer, tile.plan)
        yield [
            f"def scratch_{tile.number}(sizes, tile):",
            f'    """The buffers b of tile_{tile.number}: first use, last use, dtype, shape."""',
            *unpacking(list(given.values()), "sizes"),
            *unpacking(list(inside.values()), "tile"),
            *writer.compound(),
            *rows,
        ]
        axes, row = tile.whole
        writer = Writer(Stage.SIZES, given, {}, frozenset())
        whole = f"{writer.shape(axes)}, {writer.size(row)}, scratch_{tile.number}, {tuple_text(given.values())}"
        whole += "" if tile.most is None else f", {writer.size(tile.most)}"
        yield [
            f"def room_{tile.number}({', '.join(given.values())}):",
            f'    """The bytes of scratch memory of tile_{tile.number} for all who work at once."""',
            *writer.compound(),
            f"    return Tiles({whole}).room",
        ]
    names = frozenset(array.name for array in tile.parameters)
    writer = Writer(Stage.CALL, {**given, **inside, **ends}, {Stage.LOAD: load}, names)
    body = list(writer.block(tile.scope.call, "    "))
    place = origin(tile.scope.loc)
    yield [
        f"def tile_{tile.number}(tile, sizes, arrays, b, k):",
        f'    """One tile of {place or "a region"}."""',
        *unpacking([array.name for array in tile.parameters], "arrays"),
        *unpacking([f"({start}, {stop})" for start, stop in zip(*_pairs(len(ranges)), strict=True)], "tile"),
        f"    {', '.join(inside.values())} = {', '.join(f'e{axis} - a{axis}' for axis in range(len(ranges)))}",
        *unpacking(list(given.values()), "sizes"),
        *writer.compound(),
        *body,
    ]


def _pairs(count: int) -> tuple[list[str], list[str]]:
    return [f"a{axis}" for axis in range(count)], [f"e{axis}" for axis in range(count)]


def _name(sizes: Shape, axis: int) -> str:
    (symbol,) = symbols(sizes[axis])
    return symbol.name
