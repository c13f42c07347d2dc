"""Functions that emitted modules carry with them. Each stands alone: its text is copied into modules that need it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax


def random_bits(seed: Array, step: Array, shape: Sequence[int]) -> Array:
    """Threefry bits, a pure function of seed, step and place."""
    with jax.threefry_partitionable(True):
        key = jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), step)
        return jax.random.bits(key, shape, "uint32")


def shifted(x: Array, axis: int, reverse: bool = False) -> Array:
    """x moved by one along the axis, 0 coming in: a running sum of it leaves each element itself out."""
    edges = [(0, 0, 0)] * x.ndim
    edges[axis] = (-1, 1, 0) if reverse else (1, -1, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), edges)


def top_k(x: Array, k: int, axis: int) -> tuple[Array, Array]:
    """The k largest, NaN first, the lowest place first among equals. XLA orders by bits: -0 < 0, NaN by its sign."""
    key = x
    if jnp.issubdtype(x.dtype, jnp.floating):
        key = jnp.where(x == 0, 0, jnp.where(jnp.isnan(x), jnp.nan, x))
    places = lax.top_k(key, k, axis=axis)[1].astype(jnp.int64)
    return jnp.take_along_axis(x, places, axis=axis, mode="clip"), places


def along(indices: Array, axis: int) -> tuple[Array, ...]:
    """Index arrays that place each element of indices along one axis and at its own place along the others."""
    places = [lax.broadcasted_iota(indices.dtype, indices.shape, k) for k in range(indices.ndim)]
    places[axis] = indices
    return tuple(places)


def layer_norm(x: Array, scale: Array | None = None, shift: Array | None = None, *, axis: int, eps: float) -> Array:
    """(x - mean) / sqrt(variance + eps) * scale + shift, the statistics over the axes from `axis`."""
    axes = tuple(range(axis, x.ndim))
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    away = wide - jnp.mean(wide, axis=axes, keepdims=True)
    y = away / jnp.sqrt(jnp.mean(away * away, axis=axes, keepdims=True) + eps)
    y = y if scale is None else y * scale
    return (y if shift is None else y + shift).astype(x.dtype)


def rms_norm(x: Array, scale: Array | None = None, *, axis: int, eps: float) -> Array:
    """x / sqrt(mean(x^2) + eps) * scale, the mean over the axes from `axis`."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    y = wide / jnp.sqrt(jnp.mean(wide * wide, axis=tuple(range(axis, x.ndim)), keepdims=True) + eps)
    return (y if scale is None else y * scale).astype(x.dtype)


def attention(
    q: Array,
    k: Array,
    v: Array,
    start: Array | None = None,
    mask: Array | None = None,
    bias: Array | None = None,
    *,
    heads: int,
    kv_heads: int,
    scale: float,
    causal: bool = False,
) -> Array:
    """softmax(q k^T scale + bias, masked) v in heads side by side; a query that sees no key gives 0."""
    (n, t, width), s, dtype = q.shape, k.shape[1], q.dtype
    q = jnp.reshape(q, (n, t, kv_heads, heads // kv_heads, width // heads))
    k = jnp.reshape(k, (n, s, kv_heads, k.shape[2] // kv_heads))
    v = jnp.reshape(v, (n, s, kv_heads, v.shape[2] // kv_heads))
    sums = jnp.promote_types(dtype, jnp.float32)
    scores = jnp.einsum("ntkgd,nskd->nkgts", q, k, precision="highest", preferred_element_type=sums) * scale
    scores = jnp.reshape(scores, (n, heads, t, s))
    if bias is not None:
        scores = scores + bias
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf)
    if causal:
        at = lax.iota(jnp.int64, t) if start is None else lax.iota(jnp.int64, t) + start
        scores = jnp.where(lax.iota(jnp.int64, s) <= at[:, None], scores, -jnp.inf)
    top = jnp.max(scores, axis=-1, keepdims=True)
    weights = jnp.exp(scores - jnp.where(top == -jnp.inf, 0, top))
    total = jnp.sum(weights, axis=-1, keepdims=True)
    weights = (weights / jnp.where(total == 0, 1, total)).astype(dtype)
    weights = jnp.reshape(weights, (n, kv_heads, heads // kv_heads, t, s))
    mixed = jnp.einsum("nkgts,nske->ntkge", weights, v, precision="highest", preferred_element_type=sums)
    return jnp.reshape(mixed, (n, t, heads * v.shape[3])).astype(dtype)


def window_max_grad(
    x: Array,
    dy: Array,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
) -> Array:
    """Each element of dy goes to the first largest element of its window; NaN counts as largest."""
    edges = [(low, high, 0) for low, high in padding]
    padded = lax.pad(x, jnp.asarray(-jnp.inf, x.dtype), edges)
    inside = lax.pad(jnp.ones(x.shape, bool), jnp.zeros((), bool), edges)
    views = []
    for place in np.ndindex(*kernel):
        first = [p * d for p, d in zip(place, dilation, strict=True)]
        last = [f + (n - 1) * s + 1 for f, n, s in zip(first, dy.shape, stride, strict=True)]
        views.append((first, last))
    best, winner = jnp.full(dy.shape, -jnp.inf, x.dtype), jnp.full(dy.shape, -1)
    for number, (first, last) in enumerate(views):
        value = lax.slice(padded, first, last, stride)
        larger = (value > best) | (jnp.isnan(value) & ~jnp.isnan(best)) | (winner < 0)
        larger &= lax.slice(inside, first, last, stride)
        best, winner = jnp.where(larger, value, best), jnp.where(larger, number, winner)
    zero = jnp.zeros((), dy.dtype)
    total = jnp.zeros(padded.shape, dy.dtype)
    for number, (first, last) in enumerate(views):
        spread = [(f, n - e, s - 1) for f, n, e, s in zip(first, padded.shape, last, stride, strict=True)]
        total += lax.pad(jnp.where(winner == number, dy, zero), zero, spread)
    return lax.pad(total, zero, [(-low, -high, 0) for low, high in padding])


def scan_until(
    step: Callable[..., tuple[tuple[Array, ...], tuple[Array, ...], Array]],
    carry: tuple[Array, ...],
    sequences: tuple[Array, ...],
    length: int,
    reverse: bool = False,
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """lax.scan with a step that also says whether to stop; the rows not reached repeat the last one."""
    if isinstance(length, int) and length == 0:
        return lax.scan(lambda carry, row: step(carry, row)[:2], carry, sequences, length=0)
    count = jnp.asarray(length, jnp.int64)

    def place(at: Array) -> Array:
        return count - 1 - at if reverse else at

    def rows(at: Array) -> tuple[Array, ...]:
        return tuple(lax.dynamic_index_in_dim(x, place(at), keepdims=False) for x in sequences)

    def body(loop: tuple) -> tuple:
        at, _, carry, stacked = loop
        carry, results, stop = step(carry, rows(at))
        stacked = tuple(
            lax.dynamic_update_index_in_dim(whole, row, place(at), 0)
            for whole, row in zip(stacked, results, strict=True)
        )
        return at + 1, stop, carry, stacked

    shapes = jax.eval_shape(lambda: step(carry, rows(jnp.int64(0)))[1])
    stacked = tuple(jnp.zeros((length, *row.shape), row.dtype) for row in shapes)
    start = (jnp.int64(0), jnp.bool_(False), carry, stacked)
    done, _, carry, stacked = lax.while_loop(lambda loop: (loop[0] < count) & ~loop[1], body, start)
    order = lax.iota(jnp.int64, length)
    order = jnp.maximum(order, count - done) if reverse else jnp.minimum(order, done - 1)
    return carry, tuple(jnp.take(whole, order, axis=0, mode="clip") for whole in stacked)


def spread(x: Array, axes: Sequence[str | None]) -> Array:
    """x laid over the mesh that is set, each axis over the named axis of the mesh; where none is set, x itself."""
    if jax.sharding.get_abstract_mesh().empty:
        return x
    return lax.with_sharding_constraint(x, jax.sharding.PartitionSpec(*axes))
