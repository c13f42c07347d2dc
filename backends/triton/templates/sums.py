"""The end of a kernel that sums products: what follows on its tile; or, for a part of a split depth, the tile itself,
which a second kernel adds to the others before it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ....compiler.ir import AnyDim, TensorType
from ..arrays import Array
from ..kernel import Config, Draft, Tiles
from ..scope import Scope
from .epilogue import Index, Region
from .gemm import tile_order
from .index import scaled, total
from .multiply import Multiply
from .tiles import adding


@dataclass(frozen=True)
class Extent:
    """How many batches, rows and columns are walked, and in how many parts the depth."""

    batch: AnyDim
    rows: AnyDim
    columns: AnyDim
    parts: int = 1

    @property
    def tiles(self) -> tuple[AnyDim | Tiles, ...]:
        """The programs of one part."""
        return self.batch, Tiles(self.rows, "BLOCK_M"), Tiles(self.columns, "BLOCK_N")


def launch_sums(
    scope: Scope,
    region: Region,
    draft: Draft,
    multiply: Multiply,
    extent: Extent,
    indices: Sequence[Index],
    tiles: tuple[Sequence[Config], Config],
    again: Callable[[Draft], None] = lambda draft: None,
) -> None:
    """Run a kernel, written up to ``acc``, and what follows it. ``again`` writes into a second kernel what the indices
    need besides the names of `tile_order`."""
    if extent.parts == 1:
        _finish(draft, region, multiply, indices)
        region.launch(scope, draft.launch((extent.tiles,), *tiles))
        return
    sums = scope.new(TensorType(multiply.sums, (extent.parts, extent.batch, extent.rows, extent.columns)))
    part = "tl.program_id(1)"
    if extent.batch != 1:
        part = f"({scaled(draft, part, extent.batch)} + batch)"
    place = (scaled(draft, part, extent.rows * extent.columns), scaled(draft, "row", extent.columns), "column")
    draft.add(f"tl.store({draft.write(sums)} + {total(place)}, acc, mask=row_in & column_in)")
    scope.launch(draft.launch((extent.tiles, (extent.parts,)), *tiles), out=sums)
    draft = _adding_up(multiply, extent, sums)
    again(draft)
    _finish(draft, region, multiply, indices)
    region.launch(scope, draft.launch((extent.tiles,), *adding(extent.rows, extent.columns)))


def _finish(draft: Draft, region: Region, multiply: Multiply, indices: Sequence[Index]) -> None:
    multiply.write_result(draft, region.anchor.output.type.dtype)
    draft.add("inside = row_in & column_in")
    region.finish(draft, "acc", indices, "inside")


def _adding_up(multiply: Multiply, extent: Extent, sums: Array) -> Draft:
    """The second kernel up to ``acc``, the sum of the parts."""
    draft = Draft("sum", ("BLOCK_M", "BLOCK_N", "GROUP"))
    tile_order(draft, extent.rows, extent.columns, extent.batch)
    matrix = extent.rows * extent.columns
    first = "0" if extent.batch == 1 else scaled(draft, "batch", matrix)
    draft.add(f"at = {total((draft.pointer(sums), first, scaled(draft, 'row', extent.columns), 'column'))}")
    draft.add(f"acc = {multiply.zeros()}", f"for part in range({extent.parts}):")
    step = scaled(draft, "part", extent.batch * matrix)
    draft.add(f"    acc += tl.load(at + {step}, mask=row_in & column_in, other=0)")
    return draft
