"""dot and conv, each with what is fused around it, as kernels of the templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ....compiler.fusion.space import ancestors, operand_space
from ....compiler.ir import Graph, Shape, TensorType
from ....compiler.ir.dims import ceildiv, floordiv, product
from ....compiler.ops.channels_last import ConvChannelsLast
from ....compiler.ops.contract import Convolution, Dot
from ..arrays import Array
from ..body import Body, Coordinate
from ..kernel import Draft
from ..scope import Scope, Template
from ..templates.conv import Line, Windows, write_channel, write_convolution
from ..templates.depthwise import depthwise_tiles, write_depthwise
from ..templates.epilogue import Index, Region
from ..templates.gemm import CONSTANTS, Computed, Names, Product, Stored, write_product
from ..templates.index import coordinates
from ..templates.multiply import Multiply
from ..templates.sums import Extent, launch_sums
from ..templates.tiles import choose, interpreted, parts_of

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
    batch, rows, columns = places
    indices = [Index("batch", batch), Index("row", rows, "row_in"), Index("column", columns, "column_in")]
    extent = Extent(count, down, across, parts_of(down, across, count, depth))
    draft = Draft("dot", CONSTANTS)
    write_product(draft, work, multiply, extent.parts)
    configs = choose(
        multiply.shapes, down, across, count * extent.parts, ceildiv(depth, extent.parts), multiply.dtype.bytes,
        {"GROUP": 8}, rich=region.rich and extent.parts == 1,
    )  # fmt: skip
    slow = interpreted(down, across, depth, {"GROUP": 8}, multiply.interpreted)
    launch_sums(scope, region, draft, multiply, extent, indices, (configs, slow))


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
    extent = Extent(count, rows, columns)
    if work.single:
        draft = Draft("depthwise", ("BLOCK_M", "BLOCK_N", "GROUP"))
        names = write_depthwise(draft, work, multiply)
        configs, slow = depthwise_tiles(work)
    else:
        if work.dense and not work.flat:
            taps = product(line.kernel for line in work.lines)
            extent = replace(extent, parts=parts_of(rows, columns, count, depth * taps))
        draft = Draft("conv", CONSTANTS)
        names = write_convolution(draft, work, multiply, extent.parts)
        configs = choose(
            multiply.shapes, rows, columns, count * extent.parts, depth, multiply.dtype.bytes, {"GROUP": 8},
            rich=region.rich and extent.parts == 1, scattered=work.x_channel != 1 or work.flat,
        )  # fmt: skip
        slow = interpreted(rows, columns, depth, {"GROUP": 8})
    points = (0, *roles.over_x)
    if work.dense:
        indices = [Index("row", points, "row_in")]
    else:
        indices = [Index(name, (place,), "row_in", "row") for place, name in zip(points, names, strict=True)]
    indices.append(Index("channel", (roles.channel,), "column_in", "column"))

    def again(draft: Draft) -> None:
        write_channel(draft, work)

    launch_sums(scope, region, draft, multiply, extent, indices, (configs, slow), again)


TEMPLATES: dict[str, Template] = {"dot": _dot, "conv": _conv, "conv_channels_last": _conv}
