"""Convolutions with 3 x 3 kernels at a stride of 1 by Winograd's minimal filtering F(4 x 4, 3 x 3).

A tile of 4 x 4 results takes 36 products for each pair of channels instead of 144. The three transforms are Kronecker
products of small matrices, so that BLAS does all the work. The interpolation points 0, +-2/3, +-3/2 and infinity keep
the error near that of a direct sum (about 1e-6 of the largest result; the usual 0, +-1, +-2 are 4 times worse). What is
not finite makes NaN of the 4 x 4 results of its tiles, also of those that it does not touch.
Source: Lavin, Gray, Fast Algorithms for Convolutional Neural Networks, 2016; points after Alam et al., 2022.
"""

import math

import numpy as np

from .channels_last import band, place_of, shape_of
from .tiles import Finish


def winograd_matrices() -> tuple:
    """The transforms of one axis: of 6 elements of x [6, 6], of 3 weights [6, 3], of 6 products [4, 6], in float64."""
    points = (0, 2 / 3, -2 / 3, 3 / 2, -3 / 2)
    of_x, of_w, of_products = np.zeros((6, 6)), np.zeros((6, 3)), np.zeros((4, 6))
    for place, point in enumerate(points):
        others = [other for other in points if other != point]
        of_x[place, :5] = np.poly(others)[::-1]
        of_w[place] = point ** np.arange(3) / math.prod(point - other for other in others)
        of_products[:, place] = point ** np.arange(4)
    of_x[5] = np.poly(points)[::-1]
    of_w[5, 2] = of_products[3, 5] = 1
    return of_x, of_w, of_products


def winograd_weights(w: np.ndarray) -> tuple:
    """w [3, 3, C, O] transformed to [36, C, O], and the matrices [36, 36] and [16, 36] for x and the products."""
    of_x, of_w, of_products = winograd_matrices()
    both, flat = np.kron(of_w, of_w), w.reshape(9, -1)
    made = np.empty((36, flat.shape[1]), w.dtype)
    for first in range(0, flat.shape[1], 65536):
        part = slice(first, first + 65536)
        np.copyto(made[:, part], both @ flat[:, part], casting="same_kind")
    turned = np.kron(of_x, of_x).astype(w.dtype), np.kron(of_products, of_products).astype(w.dtype)
    return (made.reshape(36, *w.shape[2:]), *turned)


def winograd_tile(batch: int, widest: int, down: int, across: int) -> tuple[int, int]:
    """How many images, and how many of the tiles down, to take at once: 45 to 64 tiles.

    Many for speed, but 4 MB of products at most, and less of few channels, which images of many points have.
    """
    budget = max(45, min(64, widest // 2, 1048576 // (36 * widest)))
    if down * across <= budget:
        return max(1, min(batch, budget // (down * across))), down
    parts = -(-down // max(1, budget // across))
    return 1, -(-down // parts)


def winograd_rows(batch: int, channels: int, filters: int, rows: int, columns: int) -> tuple[int, int]:
    """How many images, and how many rows of the result, are made at once."""
    images, down = winograd_tile(batch, max(channels, filters), -(-rows // 4), -(-columns // 4))
    return images, min(rows, 4 * down)


def winograd_room(channels: int, filters: int) -> int:
    """The elements that hold the transform of x for one tile, and after the products their own."""
    return max(36 * channels, 16 * filters)


def winograd_scratch(batch: int, channels: int, filters: int, rows: int, columns: int) -> int:
    """The elements for the transform of x, and for what it is made of (padded points, a row of tiles) or products."""
    across = -(-columns // 4)
    images, down = winograd_tile(batch, max(channels, filters), -(-rows // 4), across)
    tiles, seen = images * down * across, images * (4 * down + 2) * (4 * across + 2) + 36 * across
    return tiles * winograd_room(channels, filters) + max(seen * channels, 36 * tiles * filters)


def winograd_conv(
    x: np.ndarray, w: tuple, low: tuple, scratch: np.ndarray, out: np.ndarray | None, finish: Finish | None = None
) -> np.ndarray | None:
    """x [N, H, W, C] convolved with ``w`` of `winograd_weights` into out [N, H', W', O]; for finish see `last_conv`."""
    weights, of_x, of_products = w
    channels, filters = weights.shape[1:]
    _, rows, columns, _ = shape_of(out, finish)
    across = -(-columns // 4)
    images, most = winograd_tile(len(x), max(channels, filters), -(-rows // 4), across)
    room = images * most * across * winograd_room(channels, filters)
    kept, free = scratch[:room], scratch[room:]
    for image in range(0, len(x), images):
        for first in range(0, rows, 4 * most):
            tile = ((image, min(image + images, len(x))), (first, min(first + 4 * most, rows)))
            target = place_of(tile, out, finish)
            count, down = len(target), -(-target.shape[1] // 4)
            tiles = count * down * across
            corner = (first - low[0], -low[1])
            seen = band(x[image : image + images], corner, (4 * down + 2, 4 * across + 2), free)
            row = free[seen.size : seen.size + 36 * across * channels].reshape(6, 6, across, channels)
            turned = kept[: 36 * tiles * channels].reshape(36, count * down, -1)
            n, r, c, e = seen.strides
            for place in range(count * down):
                # A row of tiles at a time: 6 x 6 points of x each, 4 apart.
                start = place // down * n + place % down * 4 * r
                np.copyto(row, np.ndarray(row.shape, seen.dtype, seen, start, (r, c, 4 * c, e)))
                np.matmul(of_x, row.reshape(36, -1), out=turned[:, place])
            products = free[: 36 * tiles * filters].reshape(36, tiles, filters)
            np.matmul(turned.reshape(36, tiles, channels), weights, out=products)
            made = kept[: 16 * tiles * filters].reshape(16, -1)
            np.matmul(of_products, products.reshape(36, -1), out=made)
            made = made.reshape(4, 4, count, down, across, filters)
            for i in range(4):
                for j in range(4):
                    part = target[:, i::4, j::4]
                    np.copyto(part, made[i, j, :, : part.shape[1], : part.shape[2]])
            if finish is not None:
                finish.run(tile)
    return out


KERNELS = (
    winograd_matrices, winograd_weights, winograd_tile, winograd_rows, winograd_room, winograd_scratch, winograd_conv,
)  # fmt: skip
