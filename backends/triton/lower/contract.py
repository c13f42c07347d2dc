"""dot and conv, each with what is fused around it, as kernels of the templates."""

from __future__ import annotations

from collections.abc import Sequence

from ....compiler.fusion.space import ancestors, operand_space
from ....compiler.ir import Graph, Shape, TensorType
from ....compiler.ir.dims import floordiv, product
from ....compiler.ops.channels_last import ConvChannelsLast
from ....compiler.ops.contract import Convolution, Dot
from ..arrays import Array, cut
from ..body import Body, Coordinate
from ..kernel import Draft, Tiles
from ..scope import Scope, Template
from ..templates.conv import Line, Windows, write_convolution
from ..templates.depthwise import depthwise_tiles, write_depthwise
from ..templates.epilogue import Region
from ..templates.gemm import CONSTANTS, Computed, Names, Product, Stored, tile_order, write_product
from ..templates.index import coordinates
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
    place = f"(tl.program_id(1) * {draft.size(count)} + batch) * {draft.size(down * across)}"
    draft.add(f"at = {place} + row * {draft.size(across)} + column")
    draft.add(f"tl.store({draft.write(sums)} + at, acc, mask=inside)")
    scope.launch(draft.launch((tiles, (parts,)), configs, slow), out=sums)
    _add_up(scope, region, multiply, sums, places)


def _finish(draft: Draft, region: Region, multiply: Multiply, places: Places) -> None:
    multiply.write_result(draft, region.anchor.output.type.dtype)
    batch, rows, columns = places
    indices = {
        "batch": region.spread(draft, batch, "batch"),
        "row": region.spread(draft, rows, "row", "row_in"),
        "column": region.spread(draft, columns, "column", "column_in"),
    }
    draft.add("inside = row_in & column_in")
    region.finish(draft, "acc", indices, "inside")


def _add_up(scope: Scope, region: Region, multiply: Multiply, sums: Array, places: Places) -> None:
    """The second kernel of a split product: the sum of the parts, and what follows."""
    parts, count, down, across = sums.shape
    assert isinstance(parts, int)
    draft = Draft("sum", ("BLOCK_M", "BLOCK_N", "GROUP"))
    tile_order(draft, draft.size(down), draft.size(across))
    draft.add(f"at = {draft.pointer(sums)} + batch * {draft.size(down * across)} + row * {draft.size(across)} + column")
    draft.add(f"acc = {multiply.zeros()}", f"for part in range({parts}):")
    stride = draft.size(count * down * across)
    draft.add(f"    acc += tl.load(at + part * {stride}, mask=row_in & column_in, other=0)")
    _finish(draft, region, multiply, places)
    tiles = (count, Tiles(down, "BLOCK_M"), Tiles(across, "BLOCK_N"))
    region.launch(scope, draft.launch((tiles,), *adding(down, across)))


def _conv(scope: Scope, graph: Graph, inputs: Sequence[Array]) -> Sequence[Array]:
    region = Region.of(scope, graph, inputs)
    op, result = region.anchor.op, region.anchor.output.type
    assert isinstance(op, Convolution)
    x, w = (scope.spelled(region.arrays[value]) for value in region.anchor.inputs)
    # The axes of images and channels, of filters and channels, and the spatial ones.
    rank = len(x.shape)
    last = isinstance(op, ConvChannelsLast)
    channel, over_x = (rank - 1, range(1, rank - 1)) if last else (1, range(2, rank))
    w_filter, w_channel, over_w = (rank - 1, rank - 2, range(rank - 2)) if last else (0, 1, range(2, rank))
    spatial = range(rank - 2)
    lines = tuple(
        Line(
            x.shape[over_x[k]], result.shape[over_x[k]], x.strides[over_x[k]], w.strides[over_w[k]],
            w.shape[over_w[k]], op.stride[k], *op.padding[k], op.input_dilation[k], op.window_dilation[k],
        )
        for k in spatial
    )  # fmt: skip
    multiply = Multiply.of(x.dtype, op.accumulate, op.precision)
    if op.groups == 1 and all(line.pointwise for line in lines):
        start = [0] * rank
        for axis, line in zip(over_x, lines, strict=True):
            start[axis] = -line.low
        x = cut(x, start, x.shape, [1] * rank)
        points = [result.shape[axis] for axis in over_x]
        steps = [line.x * line.stride for line in lines]
        work = Product(
            (), (x.shape[0], *points), (w.shape[w_filter],), (x.shape[channel],),
            Stored(x, (), (x.strides[0], *steps), (x.strides[channel],)),
            Stored(w, (), (w.strides[w_filter],), (w.strides[w_channel],)),
        )  # fmt: skip
        launch_product(scope, region, work, multiply, ((), (0, *over_x), (channel,)))
        return region.outputs()
    filters = floordiv(w.shape[w_filter], op.groups)
    work = Windows(
        x, w, lines, x.shape[0], op.groups, w.shape[w_channel], filters,
        x.strides[0], x.strides[channel], w.strides[w_channel], w.strides[w_filter],
    )  # fmt: skip
    tiles = (work.programs, Tiles(work.rows, "BLOCK_M"), Tiles(work.columns, "BLOCK_N"))
    if work.single:
        draft = Draft("depthwise", ("BLOCK_M", "BLOCK_N", "GROUP"))
        names = write_depthwise(draft, work, multiply)
        configs, slow = depthwise_tiles(work)
    else:
        draft = Draft("conv", CONSTANTS)
        names = write_convolution(draft, work, multiply)
        constants = {"GROUP": 8}
        configs = choose(
            multiply.shapes, work.rows, work.columns, work.programs, work.depth, x.dtype.bytes, constants
        )
        slow = interpreted(work.rows, work.columns, work.depth, constants)
    multiply.write_result(draft, result.dtype)
    row: dict[int, Coordinate] = {}
    for place, name in zip((0, *over_x), names, strict=True):
        row |= region.spread(draft, (place,), name, "row_in")
    column = region.spread(draft, (channel,), "channel", "column_in")
    draft.add("inside = row_in & column_in")
    region.finish(draft, "acc", {"row": row, "column": column}, "inside")
    region.launch(scope, draft.launch((tiles,), configs, slow))
    return region.outputs()


TEMPLATES: dict[str, Template] = {"dot": _dot, "conv": _conv, "conv_channels_last": _conv}
