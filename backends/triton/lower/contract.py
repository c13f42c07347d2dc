"""dot and conv, each with what is fused around it, as kernels of the templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....compiler.fusion.space import ancestors, operand_space
from ....compiler.ir import Graph, Shape, TensorType
from ....compiler.ir.dims import floordiv, product
from ....compiler.ops.channels_last import ConvChannelsLast
from ....compiler.ops.contract import Convolution, Dot
from ..arrays import Array
from ..body import Body, Coordinate
from ..kernel import Draft, Tiles
from ..scope import Scope, Template
from ..templates.conv import Line, Windows, write_convolution
from ..templates.depthwise import depthwise_tiles, write_depthwise
from ..templates.epilogue import Index, Region
from ..templates.gemm import CONSTANTS, Computed, Names, Product, Stored, tile_order, write_product
from ..templates.index import coordinates, scaled, total
from ..templates.multiply import Multiply
from ..templates.tiles import adding, choose, interpreted, parts_of

Places = tuple[Sequence[int], Sequence[int], Sequence[int]]


def _dot(scope: Scope, graph: Graph, inputs: Sequence[Array]) -> Sequence[Array]:
    region = Region.of(scope, graph, inputs)
    op = region.anchor.op
    assert isinstance(op, Dot)
    lhs, rhs = (value.type for value in region.anchor.inputs)
    rows, columns = op.free(lhs.rank, rhs.rank)
    work = Product(
        _sizes(lhs, op.lhs_batch), _sizes(lhs, rows), _sizes(rhs, columns), _sizes(lhs, op.lhs_contract),
        _side(scope, region, 0, op.lhs_batch, rows, op.lhs_contract),
        _side(scope, region, 1, op.rhs_batch, columns, op.rhs_contract),
    )  # fmt: skip
    multiply = Multiply.of(lhs.dtype, op.accumulate, op.precision)
    first, second = len(op.lhs_batch), len(op.lhs_batch) + len(rows)
    places = (range(first), range(first, second), range(second, second + len(columns)))
    launch_product(scope, region, work, multiply, places)
    return region.outputs()


def _sizes(type: TensorType, axes: Sequence[int]) -> Shape:
    return tuple(type.shape[axis] for axis in axes)


def _side(
    scope: Scope, region: Region, operand: int, batch: Sequence[int], own: Sequence[int], depth: Sequence[int]
) -> Stored | Computed:
    value = region.anchor.inputs[operand]
    if value in region.arrays:
        array = scope.spelled(region.arrays[value])
        return Stored(array, *(tuple(array.strides[axis] for axis in axes) for axes in (batch, own, depth)))
    space = operand_space(region.graph, region.anchor, operand)
    before = ancestors(region.graph.nodes, [value])
    nodes = [node for node in region.before if node in before]
    found: dict[int, Coordinate] = {}

    def locate(draft: Draft, axes: Sequence[int], index: str, mask: str | None) -> None:
        parts = [part for axis in axes for part in space.views[value][axis]]
        texts = coordinates(draft, index, [space.axes[part].size for part in parts])
        for part, text in zip(parts, texts, strict=True):
            found[part] = Coordinate(text if text == index else draft.let(text, "c"), mask)

    def outside(draft: Draft, names: Names) -> None:
        locate(draft, batch, names.batch, None)
        locate(draft, own, names.own, names.own_in)

    def inside(draft: Draft, names: Names) -> str:
        locate(draft, depth, names.depth, names.depth_in)
        return Body(draft, space, nodes, region.arrays, found).value(value)

    return Computed(outside, inside)


def launch_product(scope: Scope, region: Region, work: Product, multiply: Multiply, places: Places) -> None:
    """Run a product and what follows it. ``places`` are the axes of the anchor's result that batch, rows and columns
    make up."""
    down, across, depth, count = (product(each) for each in (work.rows, work.columns, work.depth, work.batch))
    tiles = (count, Tiles(down, "BLOCK_M"), Tiles(across, "BLOCK_N"))
    configs = choose(multiply.shapes, down, across, count, depth, multiply.dtype.bytes, {"GROUP": 8})
    slow = interpreted(down, across, depth, {"GROUP": 8}, multiply.interpreted)
    parts = parts_of(down, across, count, depth)
    draft = Draft("dot", CONSTANTS)
    write_product(draft, work, multiply, parts)
    if parts == 1:
        _finish(draft, region, multiply, places)
        region.launch(scope, draft.launch((tiles,), configs, slow))
        return
    sums = scope.new(TensorType(multiply.sums, (parts, count, down, across)))
    draft.add("inside = row_in & column_in")
    part = "tl.program_id(1)" if count == 1 else f"({scaled(draft, 'tl.program_id(1)', count)} + batch)"
    draft.add(f"at = {total((scaled(draft, part, down * across), scaled(draft, 'row', across), 'column'))}")
    draft.add(f"tl.store({draft.write(sums)} + at, acc, mask=inside)")
    scope.launch(draft.launch((tiles, (parts,)), configs, slow), out=sums)
    _add_up(scope, region, multiply, sums, places)


def _finish(draft: Draft, region: Region, multiply: Multiply, places: Places) -> None:
    multiply.write_result(draft, region.anchor.output.type.dtype)
    batch, rows, columns = places
    indices = [Index("batch", batch), Index("row", rows, "row_in"), Index("column", columns, "column_in")]
    draft.add("inside = row_in & column_in")
    region.finish(draft, "acc", indices, "inside")


def _add_up(scope: Scope, region: Region, multiply: Multiply, sums: Array, places: Places) -> None:
    """The second kernel of a split product: the sum of the parts, and what follows."""
    parts, count, down, across = sums.shape
    assert isinstance(parts, int)
    draft = Draft("sum", ("BLOCK_M", "BLOCK_N", "GROUP"))
    tile_order(draft, down, across, count)
    first = "0" if count == 1 else scaled(draft, "batch", down * across)
    draft.add(f"at = {total((draft.pointer(sums), first, scaled(draft, 'row', across), 'column'))}")
    draft.add(f"acc = {multiply.zeros()}", f"for part in range({parts}):")
    stride = draft.size(count * down * across)
    draft.add(f"    acc += tl.load(at + part * {stride}, mask=row_in & column_in, other=0)")
    _finish(draft, region, multiply, places)
    tiles = (count, Tiles(down, "BLOCK_M"), Tiles(across, "BLOCK_N"))
    region.launch(scope, draft.launch((tiles,), *adding(down, across)))


@dataclass(frozen=True)
class Roles:
    """Which axes of x (and of the result) and of w are what."""

    channel: int
    over_x: tuple[int, ...]
    w_filter: int
    w_channel: int
    over_w: tuple[int, ...]

    @classmethod
    def of(cls, op: Convolution, rank: int) -> Roles:
        """Of an op whose operands have ``rank`` axes."""
        if isinstance(op, ConvChannelsLast):
            return cls(rank - 1, tuple(range(1, rank - 1)), rank - 1, rank - 2, tuple(range(rank - 2)))
        return cls(1, tuple(range(2, rank)), 0, 1, tuple(range(2, rank)))


def _conv(scope: Scope, graph: Graph, inputs: Sequence[Array]) -> Sequence[Array]:
    region = Region.of(scope, graph, inputs)
    op, result = region.anchor.op, region.anchor.output.type
    assert isinstance(op, Convolution)
    x, w = (scope.spelled(region.arrays[value]) for value in region.anchor.inputs)
    roles = Roles.of(op, result.rank)
    lines = tuple(
        Line(
            x.shape[a], result.shape[a], x.strides[a], w.strides[b], w.shape[b],
            op.stride[k], *op.padding[k], op.input_dilation[k], op.window_dilation[k],
        )
        for k, (a, b) in enumerate(zip(roles.over_x, roles.over_w, strict=True))
    )  # fmt: skip
    work = Windows(
        x, w, lines, x.shape[0], op.groups, w.shape[roles.w_channel], floordiv(w.shape[roles.w_filter], op.groups),
        x.strides[0], x.strides[roles.channel], w.strides[roles.w_channel], w.strides[roles.w_filter],
    )  # fmt: skip
    multiply = Multiply.of(x.dtype, op.accumulate, op.precision)
    if op.groups == 1 and all(line.pointwise for line in lines):
        launch_product(scope, region, work.as_product(), multiply, ((), (0, *roles.over_x), (roles.channel,)))
    else:
        _launch_windows(scope, region, work, multiply, roles)
    return region.outputs()


def _launch_windows(scope: Scope, region: Region, work: Windows, multiply: Multiply, roles: Roles) -> None:
    rows, columns, depth, count = work.rows, work.columns, work.depth, work.programs
    if work.single:
        draft = Draft("depthwise", ("BLOCK_M", "BLOCK_N", "GROUP"))
        names = write_depthwise(draft, work, multiply)
        configs, slow = depthwise_tiles(work)
    else:
        draft = Draft("conv", CONSTANTS)
        names = write_convolution(draft, work, multiply)
        configs = choose(multiply.shapes, rows, columns, count, depth, multiply.dtype.bytes, {"GROUP": 8})
        slow = interpreted(rows, columns, depth, {"GROUP": 8})
    multiply.write_result(draft, region.anchor.output.type.dtype)
    points = (0, *roles.over_x)
    if work.dense:
        indices = [Index("row", points, "row_in")]
    else:
        indices = [Index(name, (place,), "row_in", "row") for place, name in zip(points, names, strict=True)]
    indices.append(Index("channel", (roles.channel,), "column_in", "column"))
    draft.add("inside = row_in & column_in")
    region.finish(draft, "acc", indices, "inside")
    tiles = (count, Tiles(rows, "BLOCK_M"), Tiles(columns, "BLOCK_N"))
    region.launch(scope, draft.launch((tiles,), configs, slow))


TEMPLATES: dict[str, Template] = {"dot": _dot, "conv": _conv, "conv_channels_last": _conv}
