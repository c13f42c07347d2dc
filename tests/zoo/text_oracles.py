"""Texts continued the slow way: the whole of a text is read anew for each token."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import torch

Scores = Callable[[np.ndarray], np.ndarray]
"""The scores of the next token after each token of some texts, [N, T] to [N, T, V]."""


def longs(array: np.ndarray) -> torch.Tensor:
    """Ids for torch."""
    return torch.tensor(array.astype(np.int64))


def of_torch(net: Callable[[torch.Tensor], torch.Tensor]) -> Scores:
    """The scores of a module of torch."""
    return lambda ids: net(longs(ids)).detach().numpy()


def greedy(scores: Scores, ids: np.ndarray, count: int, stop: int | None = None) -> np.ndarray:
    """The likeliest token again and again; after ``stop`` a text is filled with it. ``count`` tokens, the prompt not."""
    return continued(scores, ids, count, stop, lambda last, at: last.argmax(-1))


def drawn(
    scores: Scores, ids: np.ndarray, count: int, stop: int | None, temperature: float, seed: int, top_p: float
) -> tuple[np.ndarray, float]:
    """Tokens drawn by jax's generator from the smallest set that reaches the share; and the narrowest decision.

    A draw is the place of the largest sum of a score and a Gumbel number: the narrowest decision is the least
    distance between the largest sum and the next.
    """
    key = jax.random.key(seed)
    narrowest = np.inf

    def choose(last: np.ndarray, at: int) -> np.ndarray:
        nonlocal narrowest
        noise = np.asarray(jax.random.gumbel(jax.random.fold_in(key, at), last.shape, jnp.float32), np.float64)
        sums = np.array([nucleus(row / temperature, top_p) for row in last]) + noise
        best = np.sort(sums, -1)
        narrowest = min(narrowest, float((best[:, -1] - best[:, -2]).min()))
        return sums.argmax(-1)

    return continued(scores, ids, count, stop, choose), narrowest


def nucleus(scores: np.ndarray, share: float) -> np.ndarray:
    """Holtzman et al. (2020): of a row of scores the fewest that reach the share; the others are -inf."""
    p = np.exp(scores - scores.max())
    p /= p.sum()
    order = np.argsort(-p)
    kept = order[: int(np.searchsorted(np.cumsum(p[order]), share) + 1)]
    return np.where(np.isin(np.arange(len(scores)), kept), scores, -np.inf)


def continued(
    scores: Scores, ids: np.ndarray, count: int, stop: int | None, choose: Callable[[np.ndarray, int], np.ndarray]
) -> np.ndarray:
    """``choose`` gives the next tokens from the scores [N, V] and the length of the texts so far."""
    texts, done = ids, np.zeros(len(ids), bool)
    for at in range(ids.shape[1], ids.shape[1] + count):
        chosen = choose(scores(texts)[:, -1], at)
        if stop is not None:
            chosen = np.where(done, stop, chosen)
            done |= chosen == stop
        texts = np.concatenate([texts, chosen[:, None]], 1)
    return texts[:, -count:]
