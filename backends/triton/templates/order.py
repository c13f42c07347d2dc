"""What depends on the order of elements along an axis: the largest, the k largest, running sums.

Order is that of whole numbers: each element gets a key that rises with it, so that NaN is the largest and -0 equals 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from ....compiler.ir import AnyDim, DType
from ....compiler.ir.dims import product
from ..arrays import Array
from ..body import load
from ..body import store as write_store
from ..expressions import NAMES, register
from ..kernel import Config, Draft, Launch, Tiles
from .index import offset, scaled, total
from .tiles import nominal, power

DOWN = ("ROWS", "BLOCK")
_KEYS = {DType.UINT32: DType.INT64, DType.INT64: DType.INT64, DType.FLOAT64: DType.INT64}
_LOWEST = {DType.INT32: -(2**31), DType.INT64: -(2**63)}


@dataclass(frozen=True)
class Lines:
    """The lines of an array along an axis: the sizes and strides of the other axes, and those of the axis."""

    array: Array
    sizes: tuple[AnyDim, ...]
    strides: tuple[AnyDim, ...]
    length: AnyDim
    step: AnyDim

    @classmethod
    def of(cls, array: Array, axis: int) -> Lines:
        """The lines along ``axis``."""
        sizes, strides = (each[:axis] + each[axis + 1 :] for each in (array.shape, array.strides))
        return cls(array, sizes, strides, array.shape[axis], array.strides[axis])

    @property
    def count(self) -> AnyDim:
        """How many lines there are."""
        return product(self.sizes)

    def at(self, draft: Draft, line: str, place: str) -> str:
        """The address of elements: ``line`` and ``place`` are names of indices."""
        first = draft.size(self.array.offset)
        return total((first, offset(draft, line, self.sizes, self.strides), scaled(draft, place, self.step)))


def key_type(dtype: DType) -> DType:
    """The dtype of the keys of elements."""
    return _KEYS.get(dtype, DType.INT32)


def key(draft: Draft, dtype: DType, text: str) -> str:
    """A key for each element, of the type `key_type`."""
    if dtype.is_float:
        return f"{draft.helper('ordered_double' if dtype is DType.FLOAT64 else 'ordered')}({text})"
    return f"{text}.to({NAMES[key_type(dtype)]})"


def running_sum(x: Array, out: Array, axis: int, exclusive: bool, reverse: bool) -> Launch:
    """Running sums along an axis, a block of places after another."""
    source, target = Lines.of(x, axis), Lines.of(out, axis)
    draft = _lines_of_tiles("running_sum", source)
    size = draft.size(source.length)
    sums = DType.INT32 if x.dtype in (DType.INT8, DType.UINT8) else register(x.dtype)
    draft.add(f"total = tl.zeros((ROWS, 1), {NAMES[sums]})", f"for begin in range(0, {size}, BLOCK):")
    draft.deeper()
    draft.wide("step", "(begin + tl.arange(0, BLOCK))[None, :]")
    draft.add(f"place = {size} - 1 - step" if reverse else "place = step")
    if exclusive:
        # What is added is the element before, so that no sum has to be taken back.
        draft.add("before = place + 1" if reverse else "before = place - 1", f"inside = (step > 0) & (step < {size})")
    else:
        draft.add("before = place", f"inside = step < {size}")
    value = load(draft, x, source.at(draft, "line", "before"), "line_in & inside", "0")
    draft.add(f"value = {value}.to({NAMES[sums]})", "sums = tl.cumsum(value, 1) + total")
    where = target.at(draft, "line", "place")
    write_store(draft, out, where, f"sums.to({NAMES[register(x.dtype)]})", f"line_in & (step < {size})")
    draft.add("total += tl.sum(value, 1, keep_dims=True).to(total.dtype)")
    draft.deeper(-1)
    return draft.launch([[Tiles(source.count, "ROWS")]], *_tiles(source), doc="Running sums, block after block.")


def arg_max(x: Array, out: Array, axis: int) -> Launch:
    """Where along the axis the largest element stands; ``out`` (int64) has the other axes, in order."""
    source = Lines.of(x, axis)
    draft = _lines_of_tiles("arg_max", source)
    size = draft.size(source.length)
    keys = key_type(x.dtype)
    draft.add(
        f"best = tl.full((ROWS, 1), {_LOWEST[keys]}, {NAMES[keys]})",
        "found = tl.zeros((ROWS, 1), tl.int32)",
        f"for begin in range(0, {size}, BLOCK):",
    )
    draft.deeper()
    draft.add("place = (begin + tl.arange(0, BLOCK))[None, :]", f"inside = place < {size}")
    draft.wide("far", "place")
    draft.add(f"value = {load(draft, x, source.at(draft, 'line', 'far'), 'line_in & inside')}")
    draft.add(
        f"keys = tl.where(inside, {_broadcast(source, key(draft, x.dtype, 'value'))}, {_LOWEST[keys]})",
        "top = tl.max(keys, 1, keep_dims=True)",
        f"first = tl.min(tl.where(keys == top, place, {size}), 1, keep_dims=True)",
        "found = tl.where(top > best, first, found)",
        "best = tl.maximum(best, top)",
    )
    draft.deeper(-1)
    draft.add(f"tl.store({draft.write(out)} + line, found.to(tl.int64), mask=line_in)")
    return draft.launch([[Tiles(source.count, "ROWS")]], *_tiles(source), doc="The first of the largest elements.")


def _broadcast(source: Lines, text: str) -> str:
    return f"({text} + tl.zeros((ROWS, BLOCK), {NAMES[key_type(source.array.dtype)]}))"


def _lines_of_tiles(label: str, source: Lines) -> Draft:
    """A kernel whose programs walk along ROWS lines each."""
    draft = Draft(label, DOWN)
    draft.wide("pid", "tl.program_id(0)")
    draft.add(
        "line = (pid * ROWS + tl.arange(0, ROWS))[:, None]",
        f"line_in = line < {draft.size(source.count)}",
    )
    return draft


def _tiles(source: Lines) -> tuple[list[Config], Config]:
    """Tiles for lines that lie along memory or across it, and for the interpreter."""
    length, lines = nominal(source.length), nominal(source.count)
    if source.step == 1 or lines == 1:
        block = min(2048, max(32, power(length)))
        shapes = [(max(1, 1024 // block), block), (1, block), (max(1, 4096 // block), block)]
    else:
        shapes = [(64, 16), (32, 32), (128, 8)]
    configs = {shape: Config(dict(zip(DOWN, shape, strict=True))) for shape in shapes}
    block = min(4096, max(16, power(length)))
    rows = min(power(lines), max(1, 2**18 // block))
    return list(configs.values()), Config({"ROWS": rows, "BLOCK": block})


@dataclass(frozen=True)
class Ranking:
    """One pass over lines: of each ``part`` elements the k largest, in order, with their places.

    ``known`` are the places of the elements in the first array (int32; -1 where nothing stands), None in the first
    pass, where an element's place is its own. Parts stand side by side in the results.
    """

    source: Lines
    known: Lines | None
    part: AnyDim
    parts: AnyDim
    k: AnyDim
    values: Lines
    places: Lines


def ranking(work: Ranking) -> Launch:
    """An element's rank is how many stand before it: larger ones, and equal ones at lower places.

    Every element is compared with all of its part: no order of steps, no exchange.
    """
    draft = Draft("rank", ("MINE", "THEIRS"))
    source, dtype = work.source, work.source.array.dtype
    part, parts, size, k = (draft.size(each) for each in (work.part, work.parts, source.length, work.k))
    draft.wide("pid", "tl.program_id(0)")
    draft.add(
        f"tiles = tl.cdiv({part}, MINE)",
        f"begin = pid // tiles % {parts} * {part}",
        f"line = pid // tiles // {parts}",
        "mine = (pid % tiles * MINE + tl.arange(0, MINE))[:, None]",
        "place = begin + mine",
        f"inside = (mine < {part}) & (place < {size})",
    )
    _keys(draft, work, "place", "inside", "value", "key")
    draft.add(
        "rank = tl.zeros((MINE, 1), tl.int32)",
        f"for at in range(0, {part}, THEIRS):",
    )
    draft.deeper()
    draft.add(
        "other = (at + tl.arange(0, THEIRS))[None, :]",
        "there = begin + other",
        f"there_in = (other < {part}) & (there < {size})",
    )
    _keys(draft, work, "there", "there_in", "rival", "rivals")
    draft.add(
        "before = (rivals > key) | ((rivals == key) & (other < mine))",
        "rank += tl.sum(before.to(tl.int32), 1, keep_dims=True)",
    )
    draft.deeper(-1)
    known = "place_known" if work.known is not None else "place"
    draft.add(
        f"slot = begin // {part} * {k} + rank",
        f"kept = (mine < {part}) & (rank < {k})",
        f"found = tl.where(inside, {known}, -1)",
    )
    write_store(draft, work.values.array, work.values.at(draft, "line", "slot"), "value", "kept")
    places = work.places.array
    where = work.places.at(draft, "line", "slot")
    draft.add(f"tl.store({draft.write(places)} + {where}, found.to({NAMES[places.dtype]}), mask=kept)")
    grid = [[Tiles(work.part, "MINE"), work.parts, source.count]]
    configs = [Config({"MINE": mine, "THEIRS": 64}) for mine in (128, 64, 32)]
    most = min(1024, max(16, power(nominal(work.part))))
    assert dtype is not DType.BOOL
    return draft.launch(grid, configs, Config({"MINE": most, "THEIRS": most}), "The k largest of each part, in order.")


def _keys(draft: Draft, work: Ranking, place: str, inside: str, value: str, keys: str) -> None:
    """Write the elements at places of the line and their keys; what stands outside comes last."""
    source, known = work.source, work.known
    dtype = source.array.dtype
    draft.add(f"{value} = {load(draft, source.array, source.at(draft, 'line', place), inside)}")
    there = inside
    if known is not None:
        text = load(draft, known.array, known.at(draft, "line", place), inside, "-1")
        draft.add(f"{place}_known = {text}")
        there = f"{place}_known >= 0"
    draft.add(f"{keys} = tl.where({there}, {key(draft, dtype, value)}, {_LOWEST[key_type(dtype)]})")
