"""Fused regions as functions of one tile: rows that stay in the cache while the whole region works on them.

A region is lowered like an entry of its own, with the first sizes of its index space replaced by those of a tile. Its
operands and results are slices; what lies between is scratch memory. An anchor (a matrix product, a convolution) is
lowered as ever, and what stands behind it works in place on its result. A region that is one tile, or that cannot be
cut, is lowered in the text of the entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from ....compiler.fusion.space import Space, SpaceError, space, split
from ....compiler.ir import AnyDim, Dim, DType, Graph, Node, Value
from ....compiler.ir.dims import Symbol, product, symbols
from ....compiler.ops.channels_last import ConvChannelsLast
from ....compiler.ops.contract import Dot
from ....compiler.ops.shape import Broadcast, Reshape
from ..code import Array, Block, Buffer, Computed, Kind, Stage, Statement, line
from ..layout import packed
from ..plan import plan
from ..scope import Lowering, Recipe, Scope, Tile, compact
from .channels_last import conv_recipe
from .contract import dot_recipe
from .turned import LAST, without_turns

SMALL = 65536
"""Elements below which a region is no function of its own: calling it costs more than it saves."""
STRIDED = 4
"""As many times that size may be left whole if tiles would be no rows of the result, but parts of each row."""
ROW = 32768
"""Elements of a row at most, where the space has further axes to cut."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How a space is cut: its first ``count`` axes, ``space.axes[k]`` from ``starts[k]`` to ``stops[k]``.

    ``rows``: a tile is one piece of an array in row-major order (see `tile_sizes`).
    """

    space: Space
    count: int
    starts: tuple[AnyDim, ...]
    stops: tuple[AnyDim, ...]
    sizes: tuple[AnyDim, ...]
    rows: bool = True

    def size(self, axis: int) -> AnyDim:
        """The size of an axis of the space within a tile."""
        return self.sizes[axis] if axis < self.count else self.space.axes[axis].size

    def shape(self, value: Value) -> tuple[AnyDim, ...]:
        """The shape of a value within a tile."""
        return tuple(product(map(self.size, group)) for group in self.space.views[value])

    def range(self, group: tuple[int, ...]) -> tuple[AnyDim, AnyDim] | None:
        """Where a tile begins and ends along an axis of a value; None if it holds all of it."""
        if not any(axis < self.count for axis in group):
            return None
        if len(group) == 1:
            return self.starts[group[0]], self.stops[group[0]]
        begin: AnyDim = 0
        for axis in group:
            begin = begin * self.space.axes[axis].size + (self.starts[axis] if axis < self.count else 0)
        return begin, begin + product(map(self.size, group))


def _fused(scope: Scope, node: Node, operands: Sequence[Array]) -> Sequence[Array]:
    (region,) = node.regions
    turned = without_turns(region)
    if turned is not None:
        return [scope.transpose(_region(scope, turned, operands)[0], LAST)]
    return _region(scope, region, operands)


def _region(scope: Scope, region: Graph, operands: Sequence[Array]) -> Sequence[Array]:
    try:
        before, anchor, after = split(region)
    except SpaceError:
        return scope.lower(region, operands)
    if anchor is None:
        cut = _cut(scope, region, operands)
        return scope.lower(region, operands) if cut is None else _tiled(scope, region, operands, cut)
    scope.lower(Graph(region.inputs, before, ()), operands)
    read = {value for each in after for value in each.inputs}.union(region.outputs)
    known = [*region.inputs, *(value for each in before for value in each.outputs)]
    others = tuple(value for value in known if value in read)
    rest = Graph((*anchor.outputs, *others), after, region.outputs)
    factors = [scope.arrays[value] for value in anchor.inputs]
    given = [scope.arrays[value] for value in others]
    finish = _finish(scope, anchor, rest, factors, given)
    if finish is not None:
        return _tiled(scope, rest, given, finish.cut, finish)
    scope.lower(Graph(region.inputs, (anchor,), ()), operands)
    given = [scope.arrays[anchor.output], *given]
    cut = _cut(scope, rest, given)
    return scope.lower(rest, given) if cut is None else _tiled(scope, rest, given, cut)


@dataclass(frozen=True, slots=True)
class Finish:
    """A region behind an anchor: the anchor's call, and how its result is cut. ``spare``: see `_spare`."""

    anchor: Node
    recipe: Recipe
    cut: Cut
    spare: bool


def _finish(
    scope: Scope, anchor: Node, region: Graph, factors: Sequence[Array], operands: Sequence[Array]
) -> Finish | None:
    """How to do a region on each tile of its anchor's result; None if it has to wait for all of that."""
    if not isinstance(anchor.op, (Dot, ConvChannelsLast)):
        return None
    if isinstance(anchor.op, Dot):
        return _finished_product(scope, anchor, anchor.op, region, factors, operands)
    cut = _cut(scope, region, [*factors, *operands], anchor, 2)
    if cut is None:
        return None
    return Finish(anchor, conv_recipe(scope, anchor, factors[0], factors[1]), cut, _spare(region, operands, cut))


def _finished_product(
    scope: Scope, anchor: Node, op: Dot, region: Graph, factors: Sequence[Array], operands: Sequence[Array]
) -> Finish | None:
    """A product is not taken apart for the cache, as large ones are the fast ones, but for memory: where it reads more
    than it makes, and its result need not be whole in memory besides an operand of the region."""
    if op.lhs_batch or op.accumulate is not None:
        return None
    frees = op.free(len(factors[0].shape), len(factors[1].shape))
    sides = [prod(scope.typical(tuple(a.shape[k] for k in free))) for a, free in zip(factors, frees, strict=True)]
    known = [factor.home.stage is Stage.LOAD for factor in factors]
    # The side of the weights is cut, so that they are read once.
    rows, whole = len(frees[0]), known[0] if any(known) else sides[0] > sides[1]
    depth = prod(scope.typical(tuple(factors[0].shape[axis] for axis in op.lhs_contract)))
    more = depth > (sides[0] if whole else sides[1])
    cut = _cut(scope, region, [*factors, *operands], anchor, rows, whole) if more else None
    if cut is None or not _spare(region, operands, cut):
        return None
    axes = tuple(axis.size for axis in cut.space.axes[:rows])
    return Finish(anchor, dot_recipe(scope, anchor, factors[0], factors[1], axes, whole), cut, True)


def _spare(region: Graph, operands: Sequence[Array], cut: Cut) -> bool:
    """Whether the memory of an operand may do for the result."""
    result = region.outputs[0]
    return any(
        not (array.lazy or array.literal)
        and value.type == result.type
        and cut.space.views.get(value) == cut.space.views[result]
        for value, array in zip(region.inputs[1:], operands, strict=True)
    )


def _cut(
    scope: Scope,
    region: Graph,
    operands: Sequence[Array],
    anchor: Node | None = None,
    rows: int = 0,
    whole: bool = True,
) -> Cut | None:
    """How to cut a region; None if it stays whole.

    For an ``anchor`` along the first ``rows`` axes of its result, and along the next if not ``whole``.
    """
    if not region.nodes or scope.home(*operands).stage is not Stage.CALL:
        return None
    if set(region.outputs) & set(region.inputs) or len(set(region.outputs)) < len(region.outputs):
        return None
    try:
        walked = space(region)
    except SpaceError:
        return None
    sizes = scope.typical(tuple(axis.size for axis in walked.axes))
    if prod(sizes) < SMALL:
        return None
    count = 0
    while count < walked.parallel and (count == 0 or sizes[count - 1] == 1 or prod(sizes[count:]) > ROW):
        count += 1
    flat = [axis for group in walked.views[region.outputs[0]] for axis in group]
    if anchor is None and flat[:count] != list(range(count)) and prod(sizes) < STRIDED * SMALL:
        return None
    if anchor is not None:
        view = walked.views[anchor.output]
        first, rest = ([axis for group in part for axis in group] for part in (view[:rows], view[rows:]))
        # What makes tiles of the anchor's result knows its axes as they are.
        count = len(first) + (not whole)
        matrix = isinstance(anchor.op, Dot)
        alike = all(len(group) < 2 for group in view[:rows]) and (whole or len(rest) == 1)
        alike = alike and (matrix or len(view[1]) == 1)
        if not alike or [*first, *rest] != list(range(len(walked.axes))):
            return None
    names = [scope.shared.name("axis ") for _ in range(count)]
    starts, stops, inner = (tuple(_symbol(f"{what} of {name}") for name in names) for what in ("start", "stop", "size"))
    cut = Cut(walked, count, starts, stops, inner, whole)
    everywhere = all(walked.varies(value).issuperset(range(count)) for value in region.outputs)
    groups = [group for view in walked.views.values() for group in view]
    pieces = all(group == tuple(sorted(group)) for group in groups if any(axis < count for axis in group))
    pieces = pieces and (cut.rows or all(len(group) < 2 for group in groups))
    return cut if count and everywhere and pieces else None


def _symbol(name: str) -> Dim:
    return Dim((((Symbol(name),), 1),))


def _tiled(
    scope: Scope,
    region: Graph,
    operands: Sequence[Array],
    cut: Cut,
    finish: Finish | None = None,
) -> list[Array]:
    """The region as a function of a tile, and its call.

    With ``finish`` the first input of the region is the result of an anchor. Each tile of that is made, and taken, in
    scratch memory or where the function makes its own result.
    """
    inner = Scope(scope.shared, scope.batch)
    inner.sizes, inner.loc = inner.call, scope.loc
    outer: list[Array] = []
    tile = Tile(inner, cut.starts, cut.stops, cut.sizes)
    block = scope.home(*operands, *(finish.recipe.pieces if finish else ()))
    results: list[Array] = []
    targets: list[Array] = []
    inputs = region.inputs[len(region.inputs) - len(operands) :]
    given = [_operand(tile, cut, value, array, outer) for value, array in zip(inputs, operands, strict=True)]
    for value in region.outputs:
        buffer = scope.buffer(value.type.dtype, value.type.shape)
        scope.place(block, buffer)
        results.append(scope.array(value.type, buffer, block))
        groups, shape = cut.space.views[value], cut.shape(value)
        targets.append(_slice(tile, cut, _parameter(tile, results[-1], Kind.STATE), groups, shape))
    first = len(inner.call.items)
    apart: list[Buffer] = []
    if finish is not None:
        made = _made(tile, cut, finish.anchor)
        given = [made, *given]
        assert made.buffer is not None
        apart = [made.buffer] if finish.spare else []
    for target, array in zip(targets, inner.lower(_smaller(region, cut), given), strict=True):
        inner.store(target, array, inner.call)
    tile.plan = plan(inner.call, True, apart)
    tile.symbols = _symbols(region, cut)
    tile.number = len(scope.shared.tiles)
    scope.shared.tiles.append(tile)
    scope.tiles.append(tile)
    pairs = list(zip(inputs, given[len(given) - len(operands) :], operands, strict=True))
    # What the anchor reads, it reads beyond the tile, too.
    taken = {piece.buffer for piece in (finish.recipe.pieces if finish else ()) if isinstance(piece, Array)}
    pairs = [pair for pair in pairs if pair[2].buffer not in taken]
    over = _overwritten(tile, cut, first, region, pairs, targets[0])
    lines = [line("{} = {}", result, result.buffer) for result in results if result.buffer is not None]
    text, pieces = _running(scope, tile, cut, block, (*outer, *results), finish, given[0])
    scope.add(block, Statement((*lines, line(text, *pieces)), results[0].buffer, over))
    return results


def _made(tile: Tile, cut: Cut, anchor: Node) -> Array:
    """A tile of the anchor's result, as what runs before the function makes it."""
    shape = cut.shape(anchor.output)
    buffer = Buffer(anchor.output.type.dtype, shape)
    made = tile.scope.array(anchor.output.type.with_shape(shape), buffer, tile.scope.call)
    tile.scope.add(tile.scope.call, Statement((line("{} = {}", made, buffer),)))
    return made


def _parameter(tile: Tile, array: Array, kind: Kind) -> Array:
    """An array of the entry as the tile's function knows it."""
    buffer = Buffer(array.dtype, array.shape, kind)
    name = f"x{len(tile.parameters)}"
    tile.parameters.append(Array(name, array.dtype, array.shape, array.strides, buffer, tile.scope.call))
    return tile.parameters[-1]


def _operand(tile: Tile, cut: Cut, value: Value, array: Array, outer: list[Array]) -> Array:
    """What the region sees of an operand."""
    if array.literal or value not in cut.space.views:
        return array
    small, shape, groups = compact(array), cut.shape(value), cut.space.views[value]
    if small.literal:
        return tile.scope.lazy(small, shape)
    outer.append(small)
    inside = _parameter(tile, small, Kind.OUTSIDE)
    if not array.lazy:
        return _slice(tile, cut, inside, groups, shape)
    first = len(shape) - len(small.shape)
    kept = [(size == 1 and whole != 1) for size, whole in zip(small.shape, value.type.shape[first:], strict=True)]
    part = _slice(
        tile,
        cut,
        inside,
        tuple(() if lone else group for lone, group in zip(kept, groups[first:], strict=True)),
        tuple(1 if lone else size for lone, size in zip(kept, shape[first:], strict=True)),
    )
    return tile.scope.lazy(part, shape)


def _slice(tile: Tile, cut: Cut, array: Array, groups: tuple[tuple[int, ...], ...], shape: tuple[AnyDim, ...]) -> Array:
    """The part of a parameter that belongs to a tile."""
    ranges = [cut.range(group) for group in groups]
    if not any(ranges):
        return array
    while ranges[-1] is None:
        ranges.pop()
    items = ", ".join(":" if each is None else "{}:{}" for each in ranges)
    pieces = [end for each in ranges if each is not None for end in each]
    flat = [axis for group in groups for axis in group]
    strides = packed(shape) if cut.rows and array.packed and flat == sorted(flat) else array.strides
    return tile.scope.view(array, "{}[" + items + "]", *pieces, shape=shape, strides=strides)


def _smaller(region: Graph, cut: Cut) -> Graph:
    """The region with the sizes of a tile."""
    values: dict[Value, Value] = {}

    def inside(value: Value) -> Value:
        if value not in values:
            shape = cut.shape(value) if value in cut.space.views else value.type.shape
            values[value] = Value(value.type.with_shape(shape))
        return values[value]

    nodes = []
    for node in region.nodes:
        outputs = tuple(map(inside, node.outputs))
        op = node.op
        if isinstance(op, (Broadcast, Reshape)):
            op = op.model_copy(update={"shape": outputs[0].type.shape})
        nodes.append(Node(op, tuple(map(inside, node.inputs)), outputs, loc=node.loc))
    return Graph(tuple(map(inside, region.inputs)), tuple(nodes), tuple(map(inside, region.outputs)))


def _overwritten(
    tile: Tile, cut: Cut, first: int, region: Graph, operands: list[tuple[Value, Array, Array]], target: Array
) -> tuple[Array, ...]:
    """The operands in whose memory the first result can be made: each element is read before it is written."""
    statements = [each for each in tile.scope.call.items[first:] if isinstance(each, Statement) and not each.removed]
    assert target.buffer is not None
    write = next((each for each in statements if target.buffer in _roots(each)), None)
    views = cut.space.views
    found = []
    for value, inside, array in operands:
        if array.lazy or array.literal or inside.buffer is None or array.dtype is not target.dtype or write is None:
            continue
        if (
            views.get(value) != views[region.outputs[0]]
            or sum(other.buffer is array.buffer for _, _, other in operands) > 1
        ):
            continue
        reads = [each for each in statements if inside.buffer in _roots(each)]
        if (
            not reads
            or reads[-1].position < write.position
            or (reads[-1] is write and _in_place(write, inside, target))
        ):
            found.append(array)
    return tuple(found)


def _roots(statement: Statement) -> set[Buffer]:
    return {buffer.root for buffer in statement.touched()}


def _in_place(statement: Statement, operand: Array, target: Array) -> bool:
    """Whether a statement may write its result over an operand."""
    if statement.out is None or statement.out.root is not target.buffer:
        return False
    named = [array for array in statement.arrays() if array.buffer is operand.buffer]
    return any(array is operand for array in statement.reuse) and all(array is operand for array in named)


def _running(
    scope: Scope,
    tile: Tile,
    cut: Cut,
    block: Block,
    arrays: Sequence[Array],
    finish: Finish | None,
    made: Array,
) -> tuple[str, list[Any]]:
    """The line that runs the function on all tiles, behind its anchor if it has one, whose result is ``made``."""
    axes = cut.space.axes
    sizes = tuple(Dim((((symbol,), 1),)) for symbol in tile.symbols)
    tile.whole = tuple(axis.size for axis in axes[: cut.count]), product(axis.size for axis in axes[cut.count :])
    tile.most = None if finish is None else finish.recipe.most
    room: Buffer | str = "None"
    table = "None"
    if tile.plan.buffers:
        needed = Computed(f"room_{tile.number}", sizes)
        room, table = Buffer(DType.UINT8, (needed,)), f"scratch_{tile.number}"
        scope.place(block, room)
    cuts = Array(scope.shared.name(), DType.BOOL, (), (), None, scope.sizes)
    facts: list[Any] = [*tile.whole, sizes]
    text = f"{{}} = {scope.kernel('Tiles')}({{}}, {{}}, {table}, {{}}"
    if tile.most is not None:
        scope.kernel(tile.most.kernel)
        text, facts = text + ", {}", [*facts, tile.most]
    scope.add(scope.sizes, Statement((line(text + ")", cuts, *facts),)))
    listed = ", ".join(["{}"] * len(arrays)) + ("," if len(arrays) == 1 else "")
    if finish is None:
        name = scope.kernel("run_tiles")
        return f"{name}(tile_{tile.number}, {{}}, {{}}, ({listed}), k)", [cuts, room, *arrays]
    assert made.buffer is not None
    # Where the first tile that the function writes is the anchor's, that is made in the result itself.
    pairs = zip(arrays, tile.parameters, strict=True)
    direct = next((array for array, inside in pairs if made.buffer.root is inside.buffer), None)
    text = finish.recipe.text + ("" if isinstance(finish.anchor.op, Dot) else "None, ")
    text += f"{scope.kernel('Finish')}(tile_{tile.number}, {{}}, {{}}, ({listed}), k, {{}}, {{}}))"
    return text, [*finish.recipe.pieces, cuts, room, *arrays, finish.anchor.output.type.shape, direct or "None"]


def _symbols(region: Graph, cut: Cut) -> tuple[Symbol, ...]:
    """The symbols that the text of a region may name, in order."""
    sizes: list[object] = [axis.size for axis in cut.space.axes]
    sizes += [size for value in cut.space.views for size in value.type.shape]
    sizes += [field for node in region.nodes for field in node.op.fields().values()]
    needed = {symbol for size in _flat(sizes) if isinstance(size, Dim) for symbol in symbols(size)}
    return tuple(sorted(needed, key=lambda symbol: symbol.name))


def _flat(pieces: Iterable[object]) -> Iterator[object]:
    for piece in pieces:
        if isinstance(piece, tuple):
            yield from _flat(piece)
        else:
            yield piece


LOWERINGS: dict[str, Lowering] = {"fused": _fused}
