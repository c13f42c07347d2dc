"""Scaled dot-product attention with heads, and rotary positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from ..ir.dims import AnyDim, decide, floordiv
from ..ir.graph import Builder
from ..ir.op import Access, ErrorSample, Op, OpError, Precision, Sample, Shapes
from ..ir.types import DType, TensorType
from . import functional as fn
from .composite import Composite, Precise, need_float, widen
from .contract import Multiply
from .rules import need_index, need_kind, need_same_dtype
from .samples import bools, normal, types
from .shape import Broadcast
from .tensor import Tensor

Heads = Annotated[int, Field(ge=1)]


class Attention(Composite):
    """softmax(q k^T scale + bias, masked) v, in heads side by side.

    q is [N, T, heads d], k [N, S, kv_heads d], v [N, S, kv_heads e], the result [N, T, heads e]; head h of q goes with
    head h // (heads / kv_heads) of k and v. ``scale`` is 1 / sqrt(d) by default. ``mask`` (bool, true where a query may
    see a key) and ``bias`` (added to the scores) broadcast to [N, heads, T, S]. With ``causal`` query t sees the keys
    at its own position and before, its position being t, or start + t if ``start`` (int64 scalar) is given: k and v
    may then be a cache of which only the first start + T places are filled.
    A query that sees no key gives 0. Scores and softmax of 16-bit floats are computed in float32.
    """

    name = "attention"
    family: ClassVar[str] = "attention"
    operands = ("q", "k", "v", "start?", "mask?", "bias?")
    access: ClassVar[tuple[Access, ...]] = (Access.CONTRACT,) * 3 + (Access.OPAQUE,) + (Access.BROADCAST,) * 2
    precision_class = Precision.LOW
    source = "Vaswani et al. (2017), Attention Is All You Need; Ainslie et al. (2023), GQA (kv_heads)"
    numerics = "a query that sees no key gives 0, as Attention-23 of ONNX"
    heads: Heads = 1
    kv_heads: Heads | None = None
    causal: bool = False
    scale: Annotated[float, Field(allow_inf_nan=False)] | None = None

    def canonical(self, q: TensorType, k: TensorType, v: TensorType, *others: TensorType | None) -> Op:
        shared = self.heads if self.kv_heads is None else self.kv_heads
        if self.heads % shared:
            raise OpError(f"attention: kv_heads {shared} does not divide heads {self.heads}")
        scale = self.scale
        if scale is None:
            width = floordiv(_width("q", q), self.heads)
            if not isinstance(width, int) or width < 1:
                raise OpError(f"attention: {q} has no known width per head; give the scale")
            scale = 1 / math.sqrt(width)
        return self.model_copy(update={"kv_heads": shared, "scale": scale})

    @property
    def shared(self) -> int:
        """Heads of keys and values, of a canonical op."""
        assert self.kv_heads is not None, "the op is not canonical"
        return self.kv_heads

    def infer(
        self,
        shapes: Shapes,
        q: TensorType,
        k: TensorType,
        v: TensorType,
        start: TensorType | None = None,
        mask: TensorType | None = None,
        bias: TensorType | None = None,
    ) -> TensorType:
        for what, type, heads in (("q", q, self.heads), ("k", k, self.shared), ("v", v, self.shared)):
            need_float("attention", type)
            need_same_dtype("attention", q, type)
            width = _width(what, type)
            if decide(floordiv(width, heads) * heads, "!=", width):
                raise OpError(f"attention: the width {width} of {what} does not fall into {heads} heads")
            shapes.same(q.shape[0], type.shape[0], f"attention: the batches of q {q} and {what} {type}")
        shapes.same(
            floordiv(q.shape[2], self.heads),
            floordiv(k.shape[2], self.shared),
            f"attention: the widths per head of q {q} ({self.heads} heads) and k {k} ({self.shared} heads)",
        )
        shapes.same(k.shape[1], v.shape[1], f"attention: the lengths of k {k} and v {v}")
        if start is not None and start != TensorType(DType.INT64, ()):
            raise OpError(f"attention: the start is int64[], not {start}")
        scores = (q.shape[0], self.heads, q.shape[1], k.shape[1])
        if mask is not None:
            need_kind("attention: the mask", mask, "bool")
            _need_broadcast("mask", mask, scores)
        if bias is not None:
            need_same_dtype("attention: the bias", q, bias)
            _need_broadcast("bias", bias, scores)
        return q.with_shape((*q.shape[:2], self.heads * floordiv(v.shape[2], self.shared)))

    def decompose(
        self,
        build: Builder,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        start: Tensor | None = None,
        mask: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        queries = _heads_first(q, self.heads)
        keys = self._for_every_head(fn.transpose(_split_heads(k, self.shared), (0, 2, 3, 1)))
        values = self._for_every_head(_heads_first(v, self.shared))
        weights = self._mixing(queries, keys, start, mask, bias)
        mixed = fn.dot(weights.cast(v.dtype), values, ((3,), (2,)), ((0, 1), (0, 1)))
        return fn.transpose(mixed, (0, 2, 1, 3)).reshape(*self.infer(build.shapes, q.type, k.type, v.type).shape)

    def _mixing(
        self, queries: Tensor, keys: Tensor, start: Tensor | None, mask: Tensor | None, bias: Tensor | None
    ) -> Tensor:
        """[N, heads, T, S]: how much of each key's value a query takes."""
        scores = self._scores(queries, keys)
        if bias is not None:
            scores = scores + bias.cast(scores.dtype)
        seen = mask
        if self.causal:
            before = _not_after(scores.build, scores.shape[2], scores.shape[3], start)
            seen = before if seen is None else seen & before
        if seen is not None:
            scores = fn.where(seen, scores, -np.inf)
        return _weights(scores, some_see_nothing=mask is not None or bias is not None)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        # The weights are computed again: nothing as large as they are is kept.
        (q, k, v, start, mask, bias), (g,) = operands, gradients
        queries, up = (_heads_first(x, self.heads) for x in (q, g))
        keys = self._for_every_head(fn.transpose(_split_heads(k, self.shared), (0, 2, 3, 1)))
        values = self._for_every_head(_heads_first(v, self.shared))
        weights = self._mixing(queries, keys, start, mask, bias)
        of_weights = _matrices(up, values, 3, 3)
        of_scores = weights * (of_weights - fn.reduce_sum(of_weights * weights, -1, keep=True))
        assert self.scale is not None, "the op is not canonical"
        scaled = of_scores if self.scale == 1 else of_scores * self.scale
        of_k, of_v = _matrices(scaled, queries, 2, 2), _matrices(weights, up, 2, 2)
        of_bias = None
        if bias is not None:
            axes = tuple(range(4 - bias.rank, 4))
            (of_bias,) = Broadcast(shape=of_scores.shape, axes=axes).vjp([bias], [], [of_scores])
            of_bias = of_bias.cast(bias.dtype)
        return [
            _side_by_side(_matrices(scaled, keys, 3, 3)).cast(q.dtype),
            _side_by_side(self._for_shared_heads(of_k)).cast(k.dtype),
            _side_by_side(self._for_shared_heads(of_v)).cast(v.dtype),
            None,
            None,
            of_bias,
        ]

    def _for_shared_heads(self, x: Tensor) -> Tensor:
        """Sums over the heads that share one."""
        if self.shared == self.heads:
            return x
        grouped = x.reshape(x.shape[0], self.shared, self.heads // self.shared, *x.shape[2:])
        return fn.reduce_sum(grouped, 2)

    def _for_every_head(self, x: Tensor) -> Tensor:
        return x if self.shared == self.heads else fn.repeat_elements(x, self.heads // self.shared, 1)

    def _scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """[N, heads, T, S] in float32 at least. 16-bit operands lose nothing where a target multiplies them as such."""
        scores = _matrices(queries, keys, 3, 2)
        assert self.scale is not None, "the op is not canonical"
        return scores if self.scale == 1 else scores * self.scale

    @classmethod
    def samples(cls) -> list[Sample]:
        def qkv(n: int, t: int, s: int, *widths: int) -> tuple[np.ndarray, ...]:
            q, k, v = widths
            return normal(n, t, q), normal(n, s, k, salt=1), normal(n, s, v, salt=2)

        mask = np.array([[1, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0]], bool)
        low = np.where(mask, 0, -np.inf).astype(np.float32)[:2]
        return [
            Sample(cls(), qkv(2, 3, 4, 8, 8, 8)),
            Sample(cls(heads=2), qkv(2, 5, 5, 8, 8, 8), "heads"),
            Sample(cls(heads=2), qkv(2, 3, 4, 8, 8, 6), "values of another width"),
            Sample(cls(heads=4, kv_heads=2), qkv(1, 3, 4, 8, 4, 4), "shared keys"),
            Sample(cls(heads=4, kv_heads=1, causal=True), qkv(1, 5, 5, 8, 2, 3), "one key head, causal"),
            Sample(cls(heads=2, causal=True), qkv(2, 5, 5, 8, 8, 8), "causal"),
            Sample(cls(causal=True), qkv(1, 4, 6, 8, 8, 8), "causal, more keys than queries"),
            Sample(cls(heads=2, causal=True), (*qkv(2, 2, 7, 8, 8, 8), np.array(3)), "causal, a cache"),
            Sample(cls(), (*qkv(1, 3, 4, 8, 8, 8), None, mask), "a mask; the last query sees nothing"),
            Sample(cls(heads=2, scale=1), (*qkv(2, 3, 4, 8, 8, 8), None, None, normal(1, 2, 3, 4)), "bias, scale 1"),
            Sample(cls(), (*qkv(1, 2, 4, 8, 8, 8), None, None, low), "minus infinity as bias"),
            Sample(
                cls(heads=2, causal=True),
                (*qkv(2, 3, 3, 8, 8, 8), None, bools(2, 1, 1, 3), normal(2, 3, 3, salt=3)),
                "causal, mask and bias",
            ),
            Sample(cls(heads=2), tuple(a.astype(np.float16) for a in qkv(2, 5, 5, 8, 8, 8)), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        def heads(**fields: int) -> Attention:
            return cls(**fields)  # type: ignore[arg-type]

        q, k = "float32[2, 3, 8]", "float32[2, 4, 8]"
        return [
            ErrorSample(lambda: heads(heads=3), types(q, k, k), "8 of q does not fall into 3 heads"),
            ErrorSample(lambda: heads(heads=4, kv_heads=3), types(q, k, k), "3 does not divide heads 4"),
            ErrorSample(lambda: heads(heads=2), types(q, "float32[2, 4, 6]", k), "widths per head.*4 and 3 differ"),
            ErrorSample(cls, types(q, k, "float32[2, 5, 8]"), "lengths of k .*4 and 5 differ"),
            ErrorSample(cls, types(q, "float32[1, 4, 8]", k), "batches.*2 and 1 differ"),
            ErrorSample(cls, types("float32[3, 8]", k, k), r"q is \[N, length, width\]"),
            ErrorSample(cls, types(q, k, k, None, "float32[3, 4]"), "mask: takes bool"),
            ErrorSample(cls, types(q, k, k, None, "bool[3, 5]"), r"mask bool\[3, 5\] does not broadcast"),
            ErrorSample(cls, types(q, k, k, None, None, "float32[3, 3, 4]"), "bias .* does not broadcast"),
            ErrorSample(cls, types(q, k, k, "int64[1]"), "the start is"),
            ErrorSample(cls, types(q, "float16[2, 4, 8]", k), "different dtypes"),
        ]


def _width(what: str, type: TensorType) -> AnyDim:
    if type.rank != 3:
        raise OpError(f"attention: {what} is [N, length, width], not {type}")
    return type.shape[2]


def _need_broadcast(what: str, given: TensorType, scores: tuple[AnyDim, ...]) -> None:
    """Raises `OpError` unless the operand broadcasts to the scores without making them larger."""
    text = f"[N, heads, T, S] = [{', '.join(map(str, scores))}]"
    fits = given.rank <= 4 and not any(
        size != 1 and decide(size, "==", to) is False
        for size, to in zip(given.shape, scores[4 - min(given.rank, 4) :], strict=True)
    )
    if not fits:
        raise OpError(f"attention: the {what} {given} does not broadcast to {text}")


def _split_heads(x: Tensor, heads: int) -> Tensor:
    return x.reshape(*x.shape[:2], heads, floordiv(x.shape[2], heads))


def _heads_first(x: Tensor, heads: int) -> Tensor:
    """[N, heads, length, width of a head]."""
    return fn.transpose(_split_heads(x, heads), (0, 2, 1, 3))


def _side_by_side(x: Tensor) -> Tensor:
    """The inverse of `_heads_first`."""
    n, heads, length, width = x.shape
    return fn.transpose(x, (0, 2, 1, 3)).reshape(n, length, heads * width)


def _matrices(x: Tensor, y: Tensor, axis: int, other: int) -> Tensor:
    """Products of the matrices of each head over these axes, of 16-bit operands in float32."""
    precision: Multiply = "highest"
    if x.dtype.is_half or y.dtype.is_half:
        precision = "bf16" if DType.BFLOAT16 in (x.dtype, y.dtype) else "tf32"
    return fn.dot(widen(x), widen(y), ((axis,), (other,)), ((0, 1), (0, 1)), precision)


def _not_after(build: Builder, queries: AnyDim, keys: AnyDim, start: Tensor | None) -> Tensor:
    """[T, S] bool: whether the key stands at the query's position or before."""
    at = fn.iota(build, queries)
    at = at if start is None else at + start
    return fn.iota(build, keys)[None] <= at[:, None]


def _weights(scores: Tensor, some_see_nothing: bool) -> Tensor:
    """Softmax over the last axis; rows of -inf alone give 0."""
    top = fn.reduce_max(scores, -1, keep=True)
    if some_see_nothing:
        top = fn.where(top == -np.inf, 0, top)
    e = fn.exp(scores - top)
    total = fn.reduce_sum(e, -1, keep=True)
    return e / (fn.where(total == 0, 1, total) if some_see_nothing else total)


class Rotary(Precise):
    """Rotates pairs of features of each head by the angle position / base^(2 i / dims), i being the pair's number.

    x is [N, T, heads d], ``positions`` int64 or int32 [T] or [N, T]. Pair i is features i and i + dims/2 (as Llama's
    files in Hugging Face have it), or 2 i and 2 i + 1 if ``interleaved`` (Meta's files). ``dims`` (d by default, even)
    are the first features of a head that take part.
    """

    name = "rotary"
    family: ClassVar[str] = "attention"
    operands = ("x", "positions")
    access: ClassVar[tuple[Access, ...]] = (Access.OPAQUE, Access.BROADCAST)
    source = "Su et al. (2021), RoFormer: Enhanced Transformer with Rotary Position Embedding"
    heads: Heads
    base: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10000.0
    interleaved: bool = False
    dims: Annotated[int, Field(ge=2, multiple_of=2)] | None = None

    def canonical(self, x: TensorType, positions: TensorType) -> Op:
        if x.rank != 3 or decide(x.shape[2] % self.heads, "!=", 0):
            raise OpError(f"rotary: takes [N, T, {self.heads} * d], not {x}")
        width = floordiv(x.shape[2], self.heads)
        if not isinstance(width, int):
            raise OpError(f"rotary: {x} has no known width per head")
        dims = width if self.dims is None else self.dims
        if dims % 2 or dims > width:
            raise OpError(f"rotary: {dims} of the {width} features of a head cannot be rotated in pairs")
        return self.model_copy(update={"dims": dims})

    def infer(self, shapes: Shapes, x: TensorType, positions: TensorType) -> TensorType:
        need_float("rotary", x)
        need_index("rotary: the positions", positions)
        if positions.rank not in (1, 2):
            raise OpError(f"rotary: the positions are [T] or [N, T], not {positions}")
        for size, wanted in zip(positions.shape, x.shape[2 - positions.rank : 2], strict=True):
            shapes.same(size, wanted, f"rotary of {x}: the positions {positions}")
        return x

    def formula(self, build: Builder, x: Tensor, positions: Tensor) -> Tensor:
        assert self.dims is not None, "the op is not canonical"
        half = self.dims // 2
        speed = fn.array(build, self.base ** (np.arange(half) * (-2 / self.dims)), x.dtype)
        angle = positions.cast(x.dtype)[..., None, None] * speed
        cos, sin = fn.cos(angle), fn.sin(angle)
        split = _split_heads(x, self.heads)
        turned, rest = split[..., : self.dims], split[..., self.dims :]
        if self.interleaved:
            pairs = turned.reshape(*turned.shape[:3], half, 2)
            a, b = pairs[..., 0], pairs[..., 1]
        else:
            a, b = turned[..., :half], turned[..., half:]
        both = [a * cos - b * sin, b * cos + a * sin]
        if self.interleaved:
            result = fn.concat([part[..., None] for part in both], 4).reshape(*turned.shape)
        else:
            result = fn.concat(both, 3)
        if rest.shape[3] != 0:
            result = fn.concat([result, rest], 3)
        return result.reshape(*x.shape)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(heads=2), (normal(2, 5, 16), np.arange(5))),
            Sample(cls(heads=2, interleaved=True), (normal(2, 5, 16), np.arange(5)), "interleaved"),
            Sample(cls(heads=1, dims=4, base=500.0), (normal(2, 3, 10), np.array([[7, 8, 9], [0, 1, 2]])), "partly"),
            Sample(cls(heads=4), (normal(1, 3, 16, dtype="float16"), np.array([0, 30, 2])), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(heads=3), types("float32[2, 5, 16]", "int64[5]"), r"3 \* d"),
            ErrorSample(lambda: cls(heads=2), types("float32[2, 5, 6]", "int64[5]"), "3 of the 3 features"),
            ErrorSample(lambda: cls(heads=1), types("float32[2, 5, 6]", "int64[4]"), "4 and 5 differ"),
            ErrorSample(lambda: cls(heads=1), types("float32[2, 5, 6]", "float32[5]"), "indices are"),
            ErrorSample(lambda: cls(heads=1, dims=3), types("float32[2, 5, 6]", "int64[5]"), "multiple of 2"),
        ]


OPS: tuple[type[Op], ...] = (Attention, Rotary)
