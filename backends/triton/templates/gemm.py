"""Matrix products: sums over paired axes of two operands, whatever their strides.

Rows are the axes that only the left operand has, columns those of the right one, depth what is summed; each is any
number of axes under one index, so that no operand is copied into another order. Few results over a long depth are
split: each part of the depth is summed by programs of its own, and a second kernel adds the parts up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ....compiler.ir import AnyDim
from ....compiler.ir.dims import product
from ..arrays import Array
from ..expressions import narrowed
from ..kernel import Draft
from .index import offset, tiled, total
from .multiply import Multiply

Sizes = tuple[AnyDim, ...]
CONSTANTS = ("BLOCK_M", "BLOCK_N", "BLOCK_K", "GROUP")


@dataclass(frozen=True)
class Names:
    """The indices of an operand's axes in a kernel: batch, its own, depth; and the masks of the latter two."""

    batch: str
    own: str
    depth: str
    own_in: str
    depth_in: str


LEFT = Names("batch", "row", "k_row", "row_in", "k_row_in")
RIGHT = Names("batch", "column", "k_column", "column_in", "k_column_in")


@dataclass(frozen=True)
class Stored:
    """An operand in memory: its strides along the batch, along its own axes, and along the depth."""

    array: Array
    batch: Sizes
    own: Sizes
    depth: Sizes


@dataclass(frozen=True)
class Computed:
    """An operand that is computed on the way in. ``outside`` writes what the loop need not repeat; ``inside`` writes
    the value of a tile and returns its name, in the dtype of registers."""

    outside: Callable[[Draft, Names], None]
    inside: Callable[[Draft, Names], str]


@dataclass(frozen=True)
class Product:
    """The sizes of the axes of a product, and its operands."""

    batch: Sizes
    rows: Sizes
    columns: Sizes
    depth: Sizes
    left: Stored | Computed
    right: Stored | Computed


def tile_order(draft: Draft, rows: AnyDim, columns: AnyDim, batch: AnyDim) -> None:
    """Write the indices of a program's tile: ``batch`` (of more than one), ``row`` [BLOCK_M, 1], ``column``
    [1, BLOCK_N], and ``row_in`` and ``column_in`` for those that exist.

    Programs that run together share rows and columns: they walk GROUP tiles down before one across, so that operands
    are read from the cache.
    """
    down, across = draft.size(rows), draft.size(columns)
    name = "tile" if batch == 1 else "pid"
    draft.wide(name, "tl.program_id(0)")
    draft.add(f"down = tl.cdiv({down}, BLOCK_M)", f"across = tl.cdiv({across}, BLOCK_N)")
    if batch != 1:
        draft.add("batch = pid // (down * across)", "tile = pid % (down * across)")
    draft.add(
        "first = tile // (GROUP * across) * GROUP",
        "height = tl.minimum(down - first, GROUP)",
        "tile = tile % (GROUP * across)",
        "row = ((first + tile % height) * BLOCK_M + tl.arange(0, BLOCK_M))[:, None]",
        "column = (tile // height * BLOCK_N + tl.arange(0, BLOCK_N))[None, :]",
        f"row_in = row < {down}",
        f"column_in = column < {across}",
    )


def write_product(draft: Draft, work: Product, multiply: Multiply, parts: int = 1) -> None:
    """Write the sums of a tile, ``acc`` [BLOCK_M, BLOCK_N], with the names of `tile_order`.

    With ``parts`` above 1 the second axis of the grid counts parts of the depth.
    """
    depth = draft.size(product(work.depth))
    tile_order(draft, product(work.rows), product(work.columns), product(work.batch))
    _outside(draft, work, work.left, work.rows, "left", LEFT)
    _outside(draft, work, work.right, work.columns, "right", RIGHT)
    draft.add(f"acc = {multiply.zeros()}")
    if parts == 1:
        draft.add(f"for step in range(0, {depth}, BLOCK_K):")
    else:
        draft.add(
            f"each = tl.cdiv(tl.cdiv({depth}, BLOCK_K), {parts}) * BLOCK_K",
            "begin = tl.program_id(1) * each",
            f"for step in range(begin, tl.minimum(begin + each, {depth}), BLOCK_K):",
        )
    draft.deeper()
    draft.wide("k", "step + tl.arange(0, BLOCK_K)")
    draft.add("k_row = k[None, :]", "k_column = k[:, None]", f"k_row_in = k_row < {depth}")
    draft.add(f"k_column_in = k_column < {depth}")
    even = isinstance(product(work.depth), int)
    if even:
        # A whole number of steps: no mask along the depth.
        draft.add(f"if {depth} % BLOCK_K == 0:", "    left_in = row_in", "    right_in = column_in", "else:")
    indent = "    " if even else ""
    draft.add(f"{indent}left_in = row_in & k_row_in", f"{indent}right_in = column_in & k_column_in")
    left = _inside(draft, work, work.left, "left", LEFT, multiply)
    right = _inside(draft, work, work.right, "right", RIGHT, multiply)
    multiply.write(draft, left, right)
    draft.deeper(-1)


def _outside(draft: Draft, work: Product, side: Stored | Computed, sizes: Sizes, name: str, names: Names) -> None:
    if isinstance(side, Computed):
        side.outside(draft, names)
        return
    terms = (
        draft.size(side.array.offset),
        offset(draft, names.batch, work.batch, side.batch),
        tiled((offset(draft, names.own, sizes, side.own),), names.own),
    )
    draft.add(f"{name}_at = {total((draft.pointer(side.array), *terms))}")


def _inside(draft: Draft, work: Product, side: Stored | Computed, name: str, names: Names, multiply: Multiply) -> str:
    if isinstance(side, Computed):
        value = side.inside(draft, names)
        draft.add(f"{name} = {narrowed(draft, f'tl.where({names.depth_in}, {value}, 0)', multiply.dtype)}")
    else:
        where = total((f"{name}_at", tiled((offset(draft, names.depth, work.depth, side.depth),), names.depth)))
        draft.add(f"{name} = tl.load({where}, mask={name}_in, other=0)")
    return name
