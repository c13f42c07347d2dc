"""Attention, a tile of heads and queries at a time, so that the scores stay in the cache and never fill memory."""

import numpy as np


def attention_tile(shared: int, group: int, queries: int, keys: int, width: int) -> tuple[int, int]:
    """How many heads of keys, and how many queries, to take at once.

    About 1 MB of scores in float32, and no more than the queries of one image where that is less.
    """
    budget = min(262144, max(16384, queries * width))
    if group * queries * keys <= budget:
        return max(1, min(shared, budget // max(1, group * queries * keys))), queries
    return 1, max(1, budget // (group * keys))


def attention_scores(shared: int, group: int, queries: int, keys: int, width: int) -> int:
    """The elements of the scores of one tile."""
    heads, rows = attention_tile(shared, group, queries, keys, width)
    return heads * group * rows * keys


def attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    start: np.ndarray | None,
    mask: np.ndarray | None,
    bias: np.ndarray | None,
    heads: int,
    shared: int,
    causal: bool,
    scale: float,
    scores: np.ndarray,
    out: np.ndarray,
) -> np.ndarray:
    """softmax(q k^T scale + bias, masked) v for q [N, T, heads d], k [N, S, shared d], v [N, S, shared e].

    ``mask`` and ``bias`` broadcast to [N, heads, T, S]. With ``causal`` query t sees the keys up to t (+ ``start``);
    later ones are not even multiplied. A query that sees no key gives 0. ``out`` may be q: each tile is read before it
    is written.
    """
    batch, queries, keys, group = q.shape[0], q.shape[1], k.shape[1], heads // shared
    many, rows = attention_tile(shared, group, queries, keys, q.shape[2])
    split = (batch, queries, shared, group)
    q = q.reshape(*split, q.shape[2] // heads).transpose(0, 2, 3, 1, 4)
    result = out.reshape(*split, out.shape[2] // heads).transpose(0, 2, 3, 1, 4)
    k = k.reshape(batch, keys, shared, 1, k.shape[2] // shared).transpose(0, 2, 3, 4, 1)
    v = v.reshape(batch, keys, shared, 1, v.shape[2] // shared).transpose(0, 2, 3, 1, 4)
    spread = (batch, shared, group, queries, keys)
    if bias is not None:
        bias = np.broadcast_to(bias, (batch, heads, queries, keys)).reshape(spread)
    if mask is not None:
        mask = np.broadcast_to(mask, (batch, heads, queries, keys)).reshape(spread)
    first = 0 if start is None else int(start)
    for image in range(batch):
        for head in range(0, shared, many):
            for row in range(0, queries, rows):
                some = (image, slice(head, head + many))
                part = q[(*some, slice(None), slice(row, row + rows))]
                at = first + row
                seen = min(keys, max(1, at + part.shape[2])) if causal else keys
                tile = scores_of(part, seen, scores)
                np.matmul(part, k[some][..., :seen], out=tile)
                if scale != 1:
                    tile *= scale
                if bias is not None:
                    tile += bias[some][:, :, row : row + rows, :seen]
                if mask is not None:
                    np.copyto(tile, -np.inf, where=~mask[some][:, :, row : row + rows, :seen])
                if causal and at + 1 < seen:
                    later = np.arange(at + 1, seen) > np.arange(at, at + part.shape[2])[:, None]
                    np.copyto(tile[..., at + 1 :], -np.inf, where=later)
                total = exponentials(tile)
                target = result[(*some, slice(None), slice(row, row + rows))]
                np.matmul(tile, v[some][..., :seen, :], out=target)
                np.divide(target, total, out=target)
    return out


def scores_of(queries: np.ndarray, keys: int, memory: np.ndarray) -> np.ndarray:
    """Where the scores [heads, group, T, keys] of queries [heads, group, T, d] go.

    From 64 queries on these lie fastest: the largest score and the sum of each are then found for many at a time.
    """
    *heads, length, _ = queries.shape
    used = memory[: queries[..., 0].size * keys]
    return used.reshape(*heads, length, keys) if length < 64 else used.reshape(*heads, keys, length).swapaxes(2, 3)


def exponentials(scores: np.ndarray) -> np.ndarray:
    """e^(score - largest of its row), in place. Returns their sums; 1 for a row of -inf alone, which becomes 0."""
    top = np.maximum.reduce(scores, axis=-1, keepdims=True)
    np.copyto(top, 0, where=np.equal(top, -np.inf))
    scores -= top
    np.exp(scores, out=scores)
    total = np.add.reduce(scores, axis=-1, keepdims=True)
    np.copyto(total, 1, where=np.equal(total, 0))
    return total


KERNELS = (attention_tile, attention_scores, attention, scores_of, exponentials)
