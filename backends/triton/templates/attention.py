"""Attention in one pass over the keys, with the largest score so far kept beside the sums (Dao et al. 2022,
FlashAttention; Milakov, Gimelshein 2018, Online normalizer calculation for softmax).

Scores never reach memory. Few queries over a long cache are split along the keys (Dao et al. 2023, Flash-Decoding):
each part of the keys has programs of its own, the heads that share a key head are rows of one tile, and a second
kernel adds the parts up. Exponentials are powers of two, so scores are in units of log 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ....compiler.ir import AnyDim, DType, TensorType
from ....compiler.ir.dims import ceildiv, decide, floordiv
from ....compiler.ops.attention import Attention
from ..arrays import Array
from ..body import load
from ..body import store as write_store
from ..kernel import INTERPRETED, Config, Draft, Launch, Tiles
from .index import coordinates, scaled, total
from .tiles import nominal, power

TILES = ("BLOCK_M", "BLOCK_N")
FEW = 16
"""So many queries, or fewer, share a tile with those of the other heads of their key head."""
MOST = 8192
"""Sums of such a tile, so that they stay in registers."""
PART = 256
"""Keys of one part, where the keys are split."""
_LOG2 = 1 / math.log(2)

_Shapes = Mapping[int, Sequence[tuple[int, int, int, int]]]
"""By the lanes of a head: BLOCK_M, BLOCK_N, warps, stages. The first fit the registers of sm_80 to sm_100."""
_HALF: _Shapes = {
    64: [(128, 64, 4, 3), (128, 128, 8, 3), (64, 64, 4, 3), (128, 32, 4, 4), (64, 32, 4, 4), (32, 64, 4, 3)],
    128: [(128, 64, 8, 3), (64, 64, 4, 3), (128, 128, 8, 2), (64, 32, 4, 3), (128, 32, 8, 3), (32, 32, 4, 3)],
    256: [(64, 32, 8, 2), (64, 64, 8, 2), (32, 32, 4, 2), (128, 32, 8, 2)],
    512: [(32, 32, 8, 2), (16, 32, 8, 2), (32, 32, 8, 1)],
}
_SINGLE: _Shapes = {
    64: [(64, 32, 8, 2), (64, 64, 8, 2), (32, 32, 4, 3), (128, 32, 8, 2), (32, 64, 4, 2)],
    128: [(32, 32, 8, 2), (64, 32, 8, 2), (32, 32, 4, 2), (32, 16, 4, 2), (16, 32, 4, 2)],
    256: [(32, 32, 8, 1), (16, 32, 8, 2), (16, 32, 4, 2), (32, 32, 8, 2)],
    512: [(16, 32, 8, 1), (32, 16, 8, 1), (16, 16, 8, 2)],
}


@dataclass(frozen=True)
class Work:
    """The operands of `Attention`, in memory. ``start``, ``mask`` and ``bias`` may be imaginary."""

    op: Attention
    q: Array
    k: Array
    v: Array
    start: Array | None
    mask: Array | None
    bias: Array | None

    @property
    def queries(self) -> AnyDim:
        return self.q.shape[1]

    @property
    def keys(self) -> AnyDim:
        return self.k.shape[1]

    @property
    def group(self) -> int:
        """How many heads share a head of keys."""
        return self.op.heads // self.op.shared

    @property
    def width(self) -> AnyDim:
        """The width of a head of queries and keys."""
        return floordiv(self.q.shape[2], self.op.heads)

    @property
    def value_width(self) -> AnyDim:
        return floordiv(self.v.shape[2], self.op.shared)

    @property
    def few(self) -> bool:
        """Whether the queries are so few that the heads of a group are rows of one tile."""
        if not isinstance(self.queries, int) or self.queries > FEW:
            return False
        rows, lanes = power(self.queries * self.group), _padded(self.value_width)
        return rows <= 4 * FEW and max(16, rows) * lanes <= MOST

    @property
    def parts(self) -> AnyDim:
        """How many parts the keys are split into."""
        return ceildiv(self.keys, PART) if self.few else 1


@dataclass(frozen=True)
class Partial:
    """What each part of the keys gives for each query of each head: the sum of values weighted by 2^(score - top),
    [N, heads, T, parts, e]; that of the weights, and the top, [N, heads, T, parts]. All float32."""

    values: Array
    weights: Array
    tops: Array

    @staticmethod
    def types(work: Work) -> tuple[TensorType, TensorType, TensorType]:
        """The types of the three."""
        shape = (work.q.shape[0], work.op.heads, work.queries, work.parts)
        lone = TensorType(DType.FLOAT32, shape)
        return lone.with_shape((*shape, work.value_width)), lone, lone


def refusal(op: Attention, q: TensorType, v: TensorType) -> str | None:
    """None if the kernel takes this, else the reason why not."""
    if q.dtype is DType.FLOAT64:
        return "attention in float64 is decomposed"
    widths = (floordiv(q.shape[2], op.heads), floordiv(v.shape[2], op.shared))
    if not all(isinstance(width, int) and 1 <= width <= 512 for width in widths):
        return f"attention takes heads of 1 to 512 features, not of {widths[0]} and {widths[1]}"
    return None


def attention(work: Work, out: Array | Partial) -> Launch:
    """The kernel that fills ``out``: the result, or what each part of the keys gives."""
    draft = Draft("attention", TILES)
    draft.special.add(INTERPRETED)
    _rows(draft, work)
    _read_queries(draft, work)
    draft.add(
        'top = tl.full((BLOCK_M, 1), float("-inf"), tl.float32)',
        "weights = tl.zeros((BLOCK_M, 1), tl.float32)",
        f"acc = tl.zeros((BLOCK_M, {_padded(work.value_width)}), tl.float32)",
        "for at in range(begin, end, BLOCK_N):",
    )
    draft.deeper()
    _step(draft, work)
    draft.deeper(-1)
    _write(draft, out, work)
    images = work.q.shape[0]
    if work.few:
        grid: list[AnyDim | Tiles | str] = [work.parts, work.op.shared, images]
    else:
        grid = [Tiles(work.queries, "BLOCK_M"), work.op.heads, images]
    doc = "Softmax of scaled scores times values: a tile of queries, block after block of keys."
    return draft.launch([grid], _configs(work), _interpreted(work), doc)


def _rows(draft: Draft, work: Work) -> None:
    """Write which image, head and query each row of the tile is, and which keys the program walks over."""
    queries, keys = draft.size(work.queries), draft.size(work.keys)
    draft.wide("pid", "tl.program_id(0)")
    if work.few:
        parts, shared, group = draft.size(work.parts), work.op.shared, work.group
        draft.add(
            f"part = pid % {parts}",
            f"pair = pid // {parts} % {shared}",
            f"image = pid // {parts} // {shared}",
            "row = tl.arange(0, BLOCK_M)[:, None]",
            f"row_in = row < {group} * {queries}",
            f"head = pair * {group} + row // {queries}",
            f"query = row % {queries}",
        )
        begin = "0" if work.parts == 1 else f"part.to(tl.int32) * {PART}"
        end = keys if work.parts == 1 else f"tl.minimum(begin + {PART}, {keys})"
        seen = queries
    else:
        draft.add(
            f"tiles = tl.cdiv({queries}, BLOCK_M)",
            "tile = pid % tiles",
            f"head = pid // tiles % {work.op.heads}",
            f"pair = head // {work.group}",
            f"image = pid // tiles // {work.op.heads}",
            "query = (tile * BLOCK_M + tl.arange(0, BLOCK_M))[:, None]",
            f"row_in = query < {queries}",
        )
        begin, end = "0", keys
        seen = f"tl.minimum(tile.to(tl.int32) * BLOCK_M + BLOCK_M, {queries})"
    draft.add(f"begin = {begin}", f"end = {end}")
    if work.op.causal:
        start = "0" if work.start is None else load(draft, work.start, draft.size(work.start.offset), None)
        first = "0" if start == "0" else draft.let(f"{start}.to(tl.int32)", "start")
        draft.add(f"end = tl.minimum(end, {total((first, seen))})", f"last = {total((first, 'query'))}")


def _read_queries(draft: Draft, work: Work) -> None:
    q, width = work.q, work.width
    draft.add(f"lane = tl.arange(0, {_padded(width)})")
    if _partly(width):
        draft.add(f"lane_in = lane < {draft.size(width)}")
    _columns(draft, work)
    terms = _places(draft, q, ("image", "query"))
    where = total((*terms, *_feature(draft, q, "head", "lane[None, :]", width)))
    inside = "row_in & lane_in[None, :]" if _partly(width) else "row_in"
    draft.add(f"q = tl.load({draft.pointer(q)} + {where}, mask={inside}, other=0)")
    _widen(draft, q, "q")


def _step(draft: Draft, work: Work) -> None:
    """Write one block of keys: scores, the new top, and the sums brought to it."""
    k, v, op = work.k, work.v, work.op
    keys = draft.size(work.keys)
    draft.add("number = at + tl.arange(0, BLOCK_N)")
    draft.wide("key", "number")
    draft.add(f"key_in = number < {keys if work.parts == 1 else 'end'}")
    feature = _feature(draft, k, "pair", "lane[:, None]", work.width)
    where = total((*_places(draft, k, ("image", "key[None, :]")), *feature))
    inside = "lane_in[:, None] & key_in[None, :]" if _partly(work.width) else "key_in[None, :]"
    draft.add(f"k = tl.load({draft.pointer(k)} + {where}, mask={inside}, other=0)")
    _widen(draft, k, "k")
    assert op.scale is not None
    exact = ', input_precision="ieee"' if k.dtype is DType.FLOAT32 else ""
    draft.add(f"scores = tl.dot(q, k{exact}) * {op.scale * _LOG2!r}")
    near = ("image", "head", "query", "key[None, :]")
    if work.bias is not None:
        bias = load(draft, work.bias, _spread(draft, work.bias, near), "row_in & key_in[None, :]")
        draft.add(f"scores += {bias} * {_LOG2!r}")
    conditions = ["key_in[None, :]"]
    if op.causal:
        conditions.append("(number[None, :] <= last)")
    if work.mask is not None:
        draft.add(f"seen = {load(draft, work.mask, _spread(draft, work.mask, near), 'row_in & key_in[None, :]')}")
        conditions.append("seen")
    draft.add(
        f'scores = tl.where({" & ".join(conditions)}, scores, float("-inf"))',
        "higher = tl.maximum(top, tl.max(scores, 1, keep_dims=True))",
        'level = tl.where(higher == float("-inf"), 0.0, higher)',
        "p = tl.exp2(scores - level)",
        "shrink = tl.exp2(top - level)",
        "weights = weights * shrink + tl.sum(p, 1, keep_dims=True)",
        "top = higher",
    )
    feature = _feature(draft, v, "pair", "column", work.value_width)
    where = total((*_places(draft, v, ("image", "key[:, None]")), *feature))
    inside = "key_in[:, None] & column_in" if _partly(work.value_width) else "key_in[:, None]"
    draft.add(f"v = tl.load({draft.pointer(v)} + {where}, mask={inside}, other=0)")
    _widen(draft, v, "v")
    draft.add(f"acc = acc * shrink + tl.dot(p.to(v.dtype), v{exact})")


def _write(draft: Draft, out: Array | Partial, work: Work) -> None:
    inside = "row_in & column_in" if _partly(work.value_width) else "row_in"
    if isinstance(out, Array):
        # Weights of 0 are those of a query that sees no key.
        draft.add("result = acc / tl.where(weights == 0, 1.0, weights)")
        feature = _feature(draft, out, "head", "column", work.value_width)
        where = total((*_places(draft, out, ("image", "query")), *feature))
        write_store(draft, out, where, "result", inside)
        return
    near = ("image", "head", "query", "part", "column")
    for array, text in ((out.values, "acc"), (out.weights, "weights"), (out.tops, "top")):
        mask = inside if array is out.values else "row_in"
        write_store(draft, array, total(_places(draft, array, near[: len(array.shape)])), text, mask)


def joined(work: Work, partial: Partial, out: Array) -> Launch:
    """The kernel that adds up the parts: one program for each query of each head."""
    draft = Draft("attention_sum", ("PARTS",))
    images, heads, queries, parts = partial.tops.shape
    count, width = draft.size(parts), _padded(work.value_width)
    draft.wide("pid", "tl.program_id(0)")
    image, head, query = coordinates(draft, "pid", (images, heads, queries))
    draft.add(
        f"image = {image}",
        f"head = {head}",
        f"query = {query}",
    )
    _columns(draft, work)
    draft.add(
        'top = tl.full((1, 1), float("-inf"), tl.float32)',
        "weights = tl.zeros((1, 1), tl.float32)",
        f"acc = tl.zeros((1, {width}), tl.float32)",
        f"for at in range(0, {count}, PARTS):",
    )
    draft.deeper()
    draft.add("part = (at + tl.arange(0, PARTS))[:, None]", f"part_in = part < {count}")
    near = ("image", "head", "query", "part", "column")
    for name, array, mask, other in (
        ("tops", partial.tops, "part_in", 'float("-inf")'),
        ("shares", partial.weights, "part_in", "0"),
        ("values", partial.values, "part_in & column_in" if _partly(work.value_width) else "part_in", "0"),
    ):
        where = total(_places(draft, array, near[: len(array.shape)]))
        draft.add(f"{name} = {load(draft, array, where, mask, other)}")
    draft.add(
        "higher = tl.maximum(top, tl.max(tops, 0, keep_dims=True))",
        'level = tl.where(higher == float("-inf"), 0.0, higher)',
        "p = tl.exp2(tops - level)",
        "shrink = tl.exp2(top - level)",
        "weights = weights * shrink + tl.sum(p * shares, 0, keep_dims=True)",
        "acc = acc * shrink + tl.sum(p * values, 0, keep_dims=True)",
        "top = higher",
    )
    draft.deeper(-1)
    draft.add("result = acc / tl.where(weights == 0, 1.0, weights)")
    feature = _feature(draft, out, "head", "column", work.value_width)
    where = total((*_places(draft, out, ("image", "query")), *feature))
    write_store(draft, out, where, "result", "column_in" if _partly(work.value_width) else None)
    grid = [[images, heads, queries]]
    doc = "The sums of all parts of the keys, each brought to the top of all."
    return draft.launch(grid, [Config({"PARTS": 16}), Config({"PARTS": 4}, 1)], Config({"PARTS": 64}), doc)


def _padded(width: AnyDim) -> int:
    """The lanes of a tile that holds a head: a power of two, as `tl.dot` takes it."""
    assert isinstance(width, int)
    return max(16, power(width))


def _partly(width: AnyDim) -> bool:
    """Whether some lanes hold nothing. Where none do, loads have no mask for them."""
    return width != _padded(width)


def _columns(draft: Draft, work: Work) -> None:
    """Write the lanes of a head of values."""
    draft.add(f"column = tl.arange(0, {_padded(work.value_width)})[None, :]")
    if _partly(work.value_width):
        draft.add(f"column_in = column < {draft.size(work.value_width)}")


def _places(draft: Draft, array: Array, names: Sequence[str]) -> list[str]:
    """The terms of an address along the first axes of an array."""
    terms = [draft.size(array.offset)]
    return terms + [scaled(draft, name, stride) for name, stride in zip(names, array.strides, strict=False)]


def _feature(draft: Draft, array: Array, head: str, lane: str, width: AnyDim) -> list[str]:
    """The terms of an address along the last axis, in which heads lie side by side."""
    stride = array.strides[2]
    return [scaled(draft, head, stride * width), scaled(draft, lane, stride)]


def _spread(draft: Draft, array: Array, names: Sequence[str]) -> str:
    """The address of an operand that broadcasts to [N, heads, T, S]."""
    names = names[4 - len(array.shape) :]
    terms = [
        "0" if size == 1 else scaled(draft, name, stride)
        for name, size, stride in zip(names, array.shape, array.strides, strict=True)
    ]
    return total((draft.size(array.offset), *terms))


def _widen(draft: Draft, array: Array, name: str) -> None:
    """The interpreter multiplies 16-bit floats as whole numbers."""
    if array.dtype.is_half:
        draft.add(f"if {INTERPRETED}:", f"    {name} = {name}.to(tl.float32)")


def _configs(work: Work) -> list[Config]:
    """Tiles, the likely best first."""
    lanes = max(_padded(work.width), _padded(work.value_width))
    half = work.q.dtype.is_half
    if work.few:
        assert isinstance(work.queries, int)
        rows = max(16, power(work.group * work.queries))
        warps = 8 if rows * lanes > 4096 else 4
        blocks: tuple[int, ...] = (64, 32, 128) if lanes <= 128 else (32, 16) if half or lanes <= 256 else (16,)
        if warps == 8 and not half:
            blocks = tuple(block for block in blocks if block <= 32)
        stages = (2, 3) if lanes <= 256 else (1, 2)
        return [Config({"BLOCK_M": rows, "BLOCK_N": block}, warps, depth) for block in blocks for depth in stages]
    shapes = (_HALF if half else _SINGLE)[max(64, lanes)]
    most = max(16, power(nominal(work.queries)))
    fitting = [shape for shape in shapes if shape[0] <= most] or [(16, 32, 4, 2)]
    return [Config({"BLOCK_M": rows, "BLOCK_N": keys}, warps, stages) for rows, keys, warps, stages in fitting]


def _interpreted(work: Work) -> Config:
    keys = min(512, max(16, power(nominal(work.keys))))
    rows = max(16, power(work.group * nominal(work.queries) if work.few else min(512, nominal(work.queries))))
    return Config({"BLOCK_M": rows, "BLOCK_N": min(keys, PART) if work.few else keys})


def splits(work: Work) -> bool:
    """Whether the keys are split, or may be."""
    return decide(work.parts, "==", 1) is not True
