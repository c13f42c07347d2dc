"""Gradients in float32 where numbers are very large, or nothing is seen: they stay numbers, and are torch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as tf

from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import DType, Sample
from netwright.compiler.ops import OPS

from .pulling import backward, flat, random_seeds

FAR = np.array([[1e4, -1e4, 0, 9999], [-1e4, -1e4, -1e4, -1e4], [3e38, 1, -3e38, 0], [88, -88, 104, -104]], np.float32)
MASKED = np.array([[1, -np.inf, 0.5, -np.inf], [-np.inf, -np.inf, 3, -1e4]], np.float32)
LABELS = np.array([1, 0, 2, 3])
NOTHING = np.full((2, 4), -np.inf, np.float32)


def narrow(name: str, fields: dict[str, Any], *arrays: Any) -> list[np.ndarray]:
    """The gradients of the float operands, computed in float32."""
    sample = Sample(OPS[name](**fields), arrays)
    seeds = [seed for seed in random_seeds(sample) if seed is not None]
    with np.errstate(all="ignore"):
        return list(evaluate(backward(sample), [*flat(sample)[1], *seeds]))


def by_torch(function: Any, name: str, fields: dict[str, Any], *arrays: Any) -> np.ndarray:
    """The gradient of the first operand in float64."""
    (seed,) = random_seeds(Sample(OPS[name](**fields), arrays))
    x = torch.from_numpy(arrays[0].astype(np.float64)).requires_grad_()
    rest = [torch.from_numpy(each.astype(np.float64) if DType.of(each).is_float else each) for each in arrays[1:]]
    (found,) = torch.autograd.grad(function(x, *rest), [x], torch.from_numpy(seed.astype(np.float64)))
    return found.numpy()


CASES: dict[str, tuple[Any, str, dict[str, Any], tuple[np.ndarray, ...]]] = {
    "softmax": (lambda x: tf.softmax(x, -1), "softmax", {}, (FAR,)),
    "softmax, masked": (lambda x: tf.softmax(x, -1), "softmax", {}, (MASKED,)),
    "log_softmax": (lambda x: tf.log_softmax(x, -1), "log_softmax", {}, (FAR,)),
    "log_softmax, masked": (lambda x: tf.log_softmax(x, -1), "log_softmax", {}, (MASKED,)),
    "logsumexp": (lambda x: torch.logsumexp(x, 1), "logsumexp", {"axes": 1}, (FAR,)),
    "logsumexp, masked": (lambda x: torch.logsumexp(x, 1), "logsumexp", {"axes": 1}, (MASKED,)),
    "cross_entropy": (tf.cross_entropy, "cross_entropy", {}, (FAR, LABELS)),
    "cross_entropy, smoothed": (
        lambda x, y: tf.cross_entropy(x, y, label_smoothing=0.1), "cross_entropy", {"smoothing": 0.1}, (FAR, LABELS),
    ),
    "cross_entropy, masked": (tf.cross_entropy, "cross_entropy", {}, (MASKED, np.array([0, 2]))),
    "scores": (
        tf.binary_cross_entropy_with_logits, "binary_cross_entropy_scores", {}, (FAR, (FAR > 0).astype(np.float32)),
    ),
    "certain": (
        tf.binary_cross_entropy, "binary_cross_entropy", {},
        (np.array([0, 1, 0, 1], np.float32), np.array([0, 0, 1, 1], np.float32)),
    ),
    **{
        name: (function, name, {}, (FAR,))
        for name, function in {
            "sigmoid": torch.sigmoid, "softplus": tf.softplus, "silu": tf.silu,
            "log_sigmoid": tf.logsigmoid, "gelu": tf.gelu, "elu": tf.elu, "mish": tf.mish, "tanh": torch.tanh,
            "hard_swish": tf.hardswish, "softsign": tf.softsign,
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_large_numbers(name: str) -> None:
    function, op, fields, arrays = CASES[name]
    found, wanted = narrow(op, fields, *arrays)[0], by_torch(function, op, fields, *arrays)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, wanted, 1e-4, 1e-6)


def test_of_nothing_the_gradient_is_zero() -> None:
    np.testing.assert_array_equal(narrow("logsumexp", {"axes": 1}, NOTHING)[0], 0)
    np.testing.assert_array_equal(narrow("cross_entropy", {"ignore": 3}, FAR, np.full(4, 3))[0], 0)
    np.testing.assert_array_equal(narrow("norm", {"axes": 1}, np.zeros((2, 3), np.float32))[0], 0)
    q, k, v = (np.random.default_rng(seed).normal(size=(1, 3, 8)).astype(np.float32) for seed in range(3))
    mask = np.array([[True, False, True], [False, False, False], [True, True, True]])
    of_q, of_k, of_v = narrow("attention", {"heads": 2}, q, k, v, None, mask)
    np.testing.assert_array_equal(of_q[0, 1], 0)
    assert all(np.isfinite(each).all() and np.abs(each).max() > 0 for each in (of_q, of_k, of_v))
    unseen = narrow("attention", {}, q, k, v, None, np.zeros((3, 3), bool))
    for each in unseen:
        np.testing.assert_array_equal(each, 0)


def test_attention_over_scores_of_ten_thousand() -> None:
    q, k, v = (np.random.default_rng(seed).normal(size=(1, 4, 8)).astype(np.float32) for seed in range(3))
    fields = {"scale": 1e4, "causal": True}
    wanted = by_torch(
        lambda q, k, v: tf.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1e4),
        "attention",
        fields,
        q,
        k,
        v,
    )
    found = narrow("attention", fields, q, k, v)[0]
    # What the softmax lets through is tiny, or nothing; scaled up it is as the others have it.
    np.testing.assert_allclose(found, wanted, 1e-2, 1e-2 * np.abs(wanted).max() + 1e-6)
