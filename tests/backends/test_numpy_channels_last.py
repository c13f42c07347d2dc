"""Convolutions with the channels last, in tiles of every size, against torch; Winograd's filtering against float64."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from netwright.backends.numpy.kernels import channels_last, filtered, winograd

from .test_numpy_kernels import SHAPES, close, torch_conv

GENERATOR = np.random.default_rng(0)


def normal(*shape: int, dtype: str = "float32") -> np.ndarray:
    return GENERATOR.standard_normal(shape).astype(dtype)


def last(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(array, 1, -1))


def weights_last(w: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(w, (0, 1), (-1, -2)))


class Tiles:
    """Stands for what finishes tiles: each element of the result must be in one of them, made."""

    def __init__(self, out: np.ndarray, apart: bool) -> None:
        out.fill(np.nan)
        self.shape, self.out, self.apart = out.shape, out, apart
        self.seen = np.zeros(out.shape[:2], int)

    def place(self, tile: Any) -> np.ndarray:
        part = self.out[tuple(slice(*ends) for ends in tile)]
        self.made = np.full_like(part, np.nan) if self.apart else part
        return self.made

    def run(self, tile: Any) -> None:
        part = tuple(slice(*ends) for ends in tile)
        self.seen[part] += 1
        assert not np.isnan(self.made).any()
        self.out[part] = self.made * 2

    def result(self) -> np.ndarray:
        assert (self.seen == 1).all()
        return self.out / 2


@pytest.mark.parametrize("budget", [1, 3, 100])
@pytest.mark.parametrize("case", SHAPES)
def test_tiles_of_any_size(case: Any, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, channels, filters, groups, sizes, kernel, stride, low, high, dilation = case
    x, w = normal(batch, channels, *sizes), normal(filters, channels // groups, *kernel)
    wanted = last(torch_conv(x, w, groups, stride, low, high, dilation))
    x, w = last(x), weights_last(w)
    monkeypatch.setattr(channels_last, "last_tile", lambda n, depth, rows, row, filters: tile(n, rows, budget))
    monkeypatch.setattr(channels_last, "depthwise_rows", lambda rows, row: min(rows, budget))
    out = np.empty_like(wanted)
    tiles: Any = Tiles(np.empty_like(wanted), apart=budget == 3)
    reach = (kernel[0] - 1) * dilation[0] + 1
    line = channels * int(np.prod([n + a + b for n, a, b in zip(sizes, low, high, strict=True)][1:]))
    facts = (out.shape[1], int(np.prod(out.shape[2:-1])))
    if groups == channels == filters:
        padded = np.empty(channels_last.depthwise_band(*facts, stride[0], reach, line), np.float32)
        w = w[..., 0, :]
        channels_last.last_depthwise(x, w, stride, low, dilation, padded, out)
        channels_last.last_depthwise(x, w, stride, low, dilation, padded, None, tiles)
        if stride[-1] == 1 and len(kernel) > 1:
            again = np.tile(w, (*(1 for _ in kernel), out.shape[-2]))
            close(channels_last.last_depthwise(x, again, stride, low, dilation, padded, np.empty_like(out)), wanted)
    else:
        facts = (batch, channels * int(np.prod(kernel)), *facts, filters)
        padded = np.empty(channels_last.last_band(*facts, stride[0], reach, line), np.float32)
        columns = np.empty(channels_last.last_columns(*facts), np.float32)
        channels_last.last_conv(x, w, stride, low, dilation, groups, padded, columns, out)
        channels_last.last_conv(x, w, stride, low, dilation, groups, padded, columns, None, tiles)
    close(out, wanted)
    close(tiles.result(), wanted)


def tile(batch: int, rows: int, budget: int) -> tuple[int, int]:
    return (min(batch, budget // rows), rows) if rows <= budget else (1, budget)


def test_kernels_of_one_element_need_no_columns() -> None:
    x, w = normal(3, 7, 5, 6), normal(1, 1, 6, 4)
    out = np.empty((3, 7, 5, 4), np.float32)
    channels_last.last_conv(x, w, (1, 1), (0, 0), (1, 1), 1, None, None, out)
    close(out, x @ w[0, 0])


@pytest.mark.parametrize(("batch", "rows", "columns"), [(1, 4, 4), (2, 5, 7), (3, 13, 9), (1, 1, 2), (1, 30, 3)])
@pytest.mark.parametrize("budget", [1, 5, 1000])
@pytest.mark.parametrize(("low", "high"), [((1, 1), (1, 1)), ((0, 2), (3, 0)), ((-1, 0), (2, 2))])
def test_winograd_at_odd_sizes(
    batch: int, rows: int, columns: int, budget: int, low: Any, high: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if rows + low[0] + high[0] < 3 or columns + low[1] + high[1] < 3:
        return
    x, w = normal(batch, 5, rows, columns), normal(6, 5, 3, 3)
    wanted = last(torch_conv(x, w, 1, (1, 1), low, high, (1, 1)))

    def some(n: int, widest: int, down: int, across: int) -> tuple[int, int]:
        return (max(1, min(n, budget // (down * across))), down) if down * across <= budget else (1, 1)

    monkeypatch.setattr(winograd, "winograd_tile", some)
    scratch = np.empty(winograd.winograd_scratch(batch, 5, 6, *wanted.shape[1:3]), np.float32)
    out = np.empty_like(wanted)
    tiles: Any = Tiles(np.empty_like(wanted), apart=budget == 5)
    turned = winograd.winograd_weights(weights_last(w))
    winograd.winograd_conv(last(x), turned, low, scratch, out)
    winograd.winograd_conv(last(x), turned, low, scratch, None, tiles)
    close(out, wanted)
    close(tiles.result(), wanted)


@pytest.mark.parametrize("channels", [16, 128, 512])
def test_winograd_is_as_exact_as_a_direct_sum(channels: int) -> None:
    x, w = normal(1, channels, 12, 12), normal(8, channels, 3, 3)
    wide = torch.conv2d(torch.tensor(x, dtype=torch.float64), torch.tensor(w, dtype=torch.float64), padding=1)
    scratch = np.empty(winograd.winograd_scratch(1, channels, 8, 12, 12), np.float32)
    out = np.empty((1, 12, 12, 8), np.float32)
    winograd.winograd_conv(last(x), winograd.winograd_weights(weights_last(w)), (1, 1), scratch, out)
    wanted = last(wide.numpy())
    assert np.abs(out - wanted).max() < 3e-6 * np.abs(wanted).max()


def test_winograd_matrices_are_exact_in_one_dimension() -> None:
    of_x, of_w, of_products = winograd.winograd_matrices()
    x, w = GENERATOR.standard_normal(6), GENERATOR.standard_normal(3)
    found = of_products @ ((of_w @ w) * (of_x @ x))
    np.testing.assert_allclose(found, np.convolve(x, w[::-1], "valid"), 1e-12, 1e-12)


@pytest.mark.parametrize(("size", "channels"), list(product((7, 224), (3, 64, 512))))
def test_scratch_stays_small(size: int, channels: int) -> None:
    assert winograd.winograd_scratch(1, channels, channels, size, size) * 4 < 14e6
    assert winograd.winograd_scratch(64, channels, channels, size, size) * 4 < 14e6


def test_weights_are_transformed_when_a_call_first_has_many_tiles() -> None:
    x, w = normal(2, 5, 30, 22), normal(6, 5, 3, 3)
    held = filtered.Filters(weights_last(w))
    for rows, columns, transformed in [(8, 22, False), (30, 22, True), (8, 22, True), (1, 2, True)]:
        wanted = last(torch_conv(x[:, :, :rows, :columns], w, 1, (1, 1), (1, 1), (1, 1), (1, 1)))
        facts = (2, 5, 6, *wanted.shape[1:3])
        scratch, out = np.empty(filtered.filtered_scratch(*facts), np.float32), np.empty_like(wanted)
        filtered.filtered_conv(last(x)[:, :rows, :columns], held, (1, 1), scratch, out)
        close(out, wanted)
        assert bool(held.made) is transformed
        tiles: Any = Tiles(np.empty_like(wanted), apart=True)
        filtered.filtered_conv(last(x)[:, :rows, :columns], held, (1, 1), scratch, None, tiles)
        close(tiles.result(), wanted)
