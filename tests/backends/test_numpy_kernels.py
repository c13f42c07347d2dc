"""The kernels of the numpy target at sizes that reach their tiles and short cuts, against torch, jax and NumPy."""

from __future__ import annotations

from itertools import product
from typing import Any

import jax
import numpy as np
import pytest
import torch

from netwright.backends.numpy.kernels import attention, conv, elementwise, index, random, window

GENERATOR = np.random.default_rng(0)


def normal(*shape: int, dtype: str = "float32") -> np.ndarray:
    return GENERATOR.standard_normal(shape).astype(dtype)


def close(found: np.ndarray, wanted: Any, tolerance: float = 1e-5) -> None:
    wanted = np.asarray(wanted)
    np.testing.assert_allclose(found, wanted, tolerance, tolerance * float(np.abs(wanted).max(initial=0)))


# ---- convolutions

SHAPES = [
    # batch, channels, filters, groups, sizes, kernel, stride, low, high, dilation
    (3, 4, 6, 1, (9, 8), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1)),
    (2, 4, 6, 2, (9, 8), (3, 2), (2, 1), (0, 2), (1, 0), (1, 2)),
    (1, 3, 8, 1, (31, 17), (7, 5), (2, 3), (3, 2), (3, 2), (1, 1)),
    (2, 3, 4, 1, (40,), (5,), (2,), (4,), (0,), (2,)),
    (2, 2, 4, 1, (6, 5, 7), (2, 3, 2), (1, 2, 1), (1, 0, 1), (0, 1, 1), (1, 1, 2)),
    (2, 3, 3, 1, (8, 8), (3, 3), (1, 1), (-1, 2), (-2, 0), (1, 1)),
    (2, 6, 6, 6, (10, 9), (3, 3), (2, 1), (1, 1), (1, 1), (1, 1)),
    (1, 6, 6, 6, (10, 9), (3, 3), (1, 1), (-1, 0), (1, 2), (2, 1)),
    (2, 3, 3, 3, (11,), (4,), (1,), (2,), (1,), (1,)),
    (2, 3, 3, 3, (5, 6, 7), (2, 3, 2), (1, 1, 1), (1, 0, 1), (0, 1, 1), (1, 1, 2)),
    (2, 3, 3, 3, (5, 6, 7), (2, 3, 2), (2, 1, 3), (1, 0, 1), (0, 1, 1), (1, 1, 2)),
]


def torch_conv(x: np.ndarray, w: np.ndarray, groups: int, stride: Any, low: Any, high: Any, dilation: Any) -> Any:
    widths = [side for pair in reversed(list(zip(low, high, strict=True))) for side in pair]
    padded = torch.nn.functional.pad(torch.tensor(x), widths)
    function = (torch.conv1d, torch.conv2d, torch.conv3d)[x.ndim - 3]
    return function(padded, torch.tensor(w), None, stride, 0, dilation, groups).numpy()


@pytest.mark.parametrize("budget", [1, 500, 10**6])
@pytest.mark.parametrize("case", SHAPES)
def test_convolution_in_tiles_of_any_size(case: Any, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, channels, filters, groups, sizes, kernel, stride, low, high, dilation = case
    x, w = normal(batch, channels, *sizes), normal(filters, channels // groups, *kernel)
    wanted = torch_conv(x, w, groups, stride, low, high, dilation)
    out = np.empty_like(wanted)
    if groups == channels:
        shape = (batch, channels, *(n + a + b for n, a, b in zip(sizes, low, high, strict=True)))
        padded, points = np.empty(shape, np.float32), int(np.prod(shape[2:]))
        products = np.empty(2 * points * max(1, min(channels, budget // points)), np.float32)
        conv.depthwise_conv(x, w, stride, low, high, dilation, padded, products, out)
    else:
        facts = (batch, channels * int(np.prod(kernel)), out.shape[2], int(np.prod(out.shape[3:])))
        monkeypatch.setattr(conv, "conv_tile", tile_of(budget))
        image = channels * int(np.prod([n + a + b for n, a, b in zip(sizes, low, high, strict=True)]))
        padded = np.empty(conv.conv_padded(*facts, image), np.float32)
        columns = np.empty(conv.conv_columns(*facts), np.float32)
        conv.conv(x, w, stride, low, high, dilation, groups, padded, columns, out)
    close(out, wanted)


def tile_of(budget: int) -> Any:
    """Tiles of so many elements, where one row is not more already."""

    def tile(batch: int, depth: int, rows: int, row: int) -> tuple[int, int]:
        if depth * rows * row <= budget:
            return min(batch, budget // (depth * rows * row)), rows
        return 1, max(1, budget // (depth * row))

    return tile


@pytest.mark.parametrize(("kernel", "step", "pad", "extra"), list(product((1, 2, 3, 4, 5), (2, 3), (0, 1), (0, 1))))
def test_transposed_convolution(kernel: int, step: int, pad: int, extra: int) -> None:
    if pad >= kernel:
        return
    x, w = normal(2, 4, 5, 3), normal(4, 3, kernel, kernel)
    wanted = torch.conv_transpose2d(torch.tensor(x), torch.tensor(w), None, step, pad, extra, 2).numpy()
    # A transposed convolution is one over the dilated input with turned weights.
    turned = w.reshape(2, 2, 3, kernel, kernel).swapaxes(1, 2).reshape(6, 2, kernel, kernel)[:, :, ::-1, ::-1]
    before = (kernel - 1 - pad,) * 2
    low, steps = tuple(side // step for side in before), (step, step)
    high = tuple((side + extra) // step for side in before)
    phases = conv.conv_phases(turned, before, low, (1, 1), steps, 2)
    padded = np.empty((2, 4, 5 + low[0] + high[0], 3 + low[1] + high[1]), np.float32)
    out = np.empty_like(wanted)
    rows, row = (-(-size // step) for size in wanted.shape[2:])
    taps = (-(-kernel // step)) ** 2
    conv.phase_conv(
        x,
        phases,
        low,
        steps,
        2,
        padded,
        np.empty(4 * taps * row * 2, np.float32),
        np.empty(6 * rows * row, np.float32),
        out,
    )
    close(out, wanted)


# ---- windows


@pytest.mark.parametrize(("kernel", "stride", "pad", "dilation"), list(product((1, 2, 3, 7), (1, 2), (0, 1), (1, 2))))
def test_largest_of_windows(kernel: int, stride: int, pad: int, dilation: int) -> None:
    if 2 * pad > kernel or dilation * (kernel - 1) + 1 > 9 + 2 * pad:
        return
    x = normal(2, 3, 9, 11)
    x[0, 0, 4, 4] = np.nan
    wanted = torch.max_pool2d(torch.tensor(x), kernel, stride, pad, dilation).numpy()
    found = x
    for axis in (2, 3):
        out = np.empty((*found.shape[:axis], wanted.shape[axis], *found.shape[axis + 1 :]), np.float32)
        found = window.window(np.maximum, found, axis, kernel, stride, pad, dilation, -np.inf, out)
    np.testing.assert_array_equal(found, wanted)


# ---- elementwise


def test_error_function_and_what_is_made_of_it() -> None:
    x = np.concatenate([np.linspace(-7, 7, 100_001), [0.0, -0.0, 1e-30, np.inf, -np.inf, np.nan]]).astype(np.float32)
    wide = torch.tensor(x.astype(np.float64))
    np.testing.assert_allclose(elementwise.erf(x, np.empty_like(x)), torch.erf(wide).numpy(), 4e-7, 1e-7)
    found = elementwise.erf64(wide.numpy(), np.empty(x.size))
    np.testing.assert_allclose(found, torch.erf(wide).numpy(), 1e-14, 1e-15)
    x = x[np.isfinite(x)]
    wide = wide[torch.isfinite(wide)]
    for kernel, approximate in ((elementwise.gelu, "none"), (elementwise.tanh_gelu, "tanh")):
        wanted = torch.nn.functional.gelu(wide, approximate=approximate).numpy()
        np.testing.assert_allclose(kernel(x, np.empty_like(x)), wanted, 1e-6, 1e-6)
        np.testing.assert_allclose(kernel(x.copy(), x), wanted, 1e-6, 1e-6)
        x = wide.numpy().astype(np.float32)


def test_sigmoid_at_its_ends() -> None:
    x = np.array([-200, -100, -88, -20, -1e-8, 0, 20, 100, 200, np.inf, -np.inf, np.nan], np.float32)
    with np.errstate(all="ignore"):
        found = elementwise.sigmoid(x, np.empty_like(x))
    np.testing.assert_allclose(found, torch.sigmoid(torch.tensor(x, dtype=torch.float64)).numpy(), 1e-6, 1e-38)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int8", "bool"])
@pytest.mark.parametrize("size", [10, 100_000])
def test_choice_between_arrays(dtype: str, size: int) -> None:
    x, y = (normal(size) * 50).astype(dtype), (normal(size) * 50).astype(dtype)
    if dtype.startswith("float"):
        x[::7], y[::5] = np.nan, -np.inf
    condition = normal(size) > 0
    wanted = np.where(condition, x, y)
    for first, second in (
        (x, y),
        (x, y[:1].reshape(())),
        (x[0].item(), y),
        (x[::-1], y),
        (np.broadcast_to(x[:1], size), y),
    ):
        right = np.where(condition, np.asarray(first, dtype), np.asarray(second, dtype))
        np.testing.assert_array_equal(elementwise.select(condition, first, second, np.empty(size, dtype)), right)
    for out in (x, y):
        kept = out.copy()
        np.testing.assert_array_equal(elementwise.select(condition, x, y, out), wanted)
        out[...] = kept
    rows = np.array([[True], [False]])
    found = elementwise.select(rows, x, y, np.empty((2, size), dtype))
    np.testing.assert_array_equal(found, np.where(rows, x, y))


# ---- order, random bits


@pytest.mark.parametrize(("size", "k"), [(5, 5), (50, 3), (1000, 1), (1000, 200), (1000, 400), (7, 0)])
def test_the_largest_in_order(size: int, k: int) -> None:
    x = GENERATOR.integers(-20, 20, (3, size, 2)).astype(np.float32)
    x[0, :: max(size // 3, 1), 0] = np.nan
    values, indices = np.empty((3, k, 2), np.float32), np.empty((3, k, 2), np.int64)
    index.top_k(x, k, 1, values, indices)
    # A stable upward sort of the negated values puts NaN last; here it comes first.
    key = np.where(np.isnan(x), -np.inf, -x)
    wanted = np.argsort(key, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(indices, wanted)
    np.testing.assert_array_equal(values, np.take_along_axis(x, wanted, 1))


def test_random_bits_beyond_one_tile() -> None:
    found = random.random_bits(np.array(-5), np.array(2**33 + 7), np.empty((3, 50_000), np.uint32))
    # Without 64-bit types jax takes the low word of a step, and so does the op.
    key = jax.random.fold_in(jax.random.key(np.uint32(2**32 - 5)), 7)
    first = jax.random.bits(key, (3, 50_000), "uint32")
    assert found.shape == first.shape
    again = random.random_bits(np.array(2**32 - 5), np.array(7), np.empty((3, 50_000), np.uint32))
    np.testing.assert_array_equal(again, np.asarray(first))
    assert not np.array_equal(found, again)


# ---- attention


@pytest.mark.parametrize("budget", [1, 60, 10**6])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shared", [1, 2, 4])
def test_attention_in_tiles_of_any_size(
    budget: int, causal: bool, shared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, queries, keys, heads, width = 2, 7, 9, 4, 3
    q, k, v = (normal(batch, n, h * width) for n, h in ((queries, heads), (keys, shared), (keys, shared)))
    bias, mask = normal(heads, 1, keys), normal(batch, 1, queries, keys) > -0.5
    mask[1, 0, 3] = False

    def tile(shared: int, group: int, queries: int, keys: int, width: int) -> tuple[int, int]:
        if group * queries * keys <= budget:
            return min(shared, budget // (group * queries * keys)), queries
        return 1, max(1, budget // (group * keys))

    monkeypatch.setattr(attention, "attention_tile", tile)
    scores = np.empty(attention.attention_scores(shared, heads // shared, queries, keys, 4 * width), np.float32)
    for start in (None, np.array(2), np.array(50)):
        # In place, as the planner may ask.
        out = q.copy()
        attention.attention(out, k, v, start, mask, bias, heads, shared, causal, 0.25, scores, out)
        shape = (batch, queries, heads, width)
        first, second, third = (torch.tensor(x).reshape(*x.shape[:2], -1, width).transpose(1, 2) for x in (q, k, v))
        seen = torch.tensor(mask) & torch.ones(queries, keys, dtype=bool)
        if causal:
            seen = seen & torch.ones(queries, keys, dtype=bool).tril(0 if start is None else int(start))
        added = torch.tensor(bias).where(seen, torch.tensor(-torch.inf))
        wanted = torch.nn.functional.scaled_dot_product_attention(
            first, second, third, added, scale=0.25, enable_gqa=True
        )
        wanted = wanted.nan_to_num(0).transpose(1, 2).reshape(shape).numpy()
        close(out.reshape(shape), wanted)
        assert not out[1, 3].any()
