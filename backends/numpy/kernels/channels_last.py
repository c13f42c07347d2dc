"""Convolutions of x [N, *spatial, C] with w [*kernel, C / groups, O], as matrix products over a tile of rows at a time.

``finish``, where it is given (see `Finish`), says where each tile of the result is made, instead of ``out``, and takes
it from there while it is in the cache. A tile is ((first image, after its last), (first row, after its last)).
"""

import math

import numpy as np

from .tiles import Finish


def band(x: np.ndarray, start: tuple, sizes: tuple, memory: np.ndarray) -> np.ndarray:
    """The part of x [N, *spatial, C] that begins at ``start`` and has ``sizes`` points; zeros where that leaves x."""
    whole = memory[: len(x) * math.prod(sizes) * x.shape[-1]].reshape(len(x), *sizes, x.shape[-1])
    inside: list = [slice(None)]
    taken: list = [slice(None)]
    for axis, (begin, size) in enumerate(zip(start, sizes), 1):
        first = min(max(-begin, 0), size)
        last = max(first, min(size, x.shape[axis] - begin))
        around = (slice(None),) * axis
        whole[(*around, slice(0, first))] = 0
        whole[(*around, slice(last, size))] = 0
        inside.append(slice(first, last))
        taken.append(slice(first + begin, last + begin))
    np.copyto(whole[tuple(inside)], x[tuple(taken)])
    return whole


def shape_of(out: np.ndarray | None, finish: Finish | None) -> tuple:
    """The shape of a result that is made at once or finished tile by tile."""
    return finish.shape if finish is not None else () if out is None else out.shape


def place_of(tile: tuple, out: np.ndarray | None, finish: Finish | None) -> np.ndarray:
    """Where to make a tile of the result."""
    if finish is not None:
        return finish.place(tile)
    assert out is not None
    return out[tuple(slice(start, stop) for start, stop in tile)]


def last_tile(batch: int, depth: int, rows: int, row: int, filters: int) -> tuple[int, int]:
    """How many images, and rows of the result, to make at once: 450 KB of columns or results, or 200 points.

    ``depth`` elements are a column; 0 stands for columns that are x itself. A tile of few points is slower where there
    are many weights, which are read again for each.
    """
    point = max(depth, filters)
    budget = max(114688, 200 * point if depth == 0 or depth * filters >= 262144 else 0)
    if point * rows * row <= budget:
        return max(1, min(batch, budget // max(1, point * rows * row))), rows
    tiles = -(-rows // max(1, budget // (point * row)))
    return 1, -(-rows // tiles)


def last_columns(batch: int, depth: int, rows: int, row: int, filters: int) -> int:
    """The elements of the columns of one tile."""
    images, rows = last_tile(batch, depth, rows, row, filters)
    return images * depth * rows * row


def last_band(batch: int, depth: int, rows: int, row: int, filters: int, step: int, reach: int, line: int) -> int:
    """The elements of the padded rows that one tile sees: ``step`` apart, ``reach`` high, ``line`` elements long."""
    images, rows = last_tile(batch, depth, rows, row, filters)
    return images * ((rows - 1) * step + reach) * line


def last_windows(x: np.ndarray, first: int, counts: tuple, kernel: tuple, stride: tuple, dilation: tuple) -> np.ndarray:
    """A view [N, *counts, *kernel, C] of a packed x [N, *spatial, C]: what each element of the kernel sees at each
    position. These begin at the row ``first`` of x."""
    steps = x.strides[1:-1]
    moves = tuple(step * apart for step, apart in zip(steps, stride))
    taps = tuple(step * apart for step, apart in zip(steps, dilation))
    shape, strides = (len(x), *counts, *kernel, x.shape[-1]), (x.strides[0], *moves, *taps, x.strides[-1])
    return np.ndarray(shape, x.dtype, x, first * steps[0], strides)


def last_conv(
    x: np.ndarray,
    w: np.ndarray,
    stride: tuple,
    low: tuple,
    dilation: tuple,
    groups: int,
    padded: np.ndarray | None,
    columns: np.ndarray | None,
    out: np.ndarray | None,
    finish: Finish | None = None,
) -> np.ndarray | None:
    """x convolved with w into out [N, *sizes, O]. Without ``columns`` the kernel is one element, its stride 1.

    Without ``padded`` there is no padding. What of the padding is needed after the last element follows from ``out``.
    """
    kernel, sizes = w.shape[:-2], shape_of(out, finish)[1:-1]
    depth, row = math.prod(w.shape[:-1]), math.prod(sizes[1:])
    weights = w.reshape(depth, groups, -1).transpose(1, 0, 2)
    whole = 0 if columns is None else depth * groups
    images, rows = last_tile(len(x), whole, sizes[0], row, w.shape[-1])
    for image in range(0, len(x), images):
        for first in range(0, sizes[0], rows):
            seen = x[image : image + images]
            counts = (min(rows, sizes[0] - first), *sizes[1:])
            if columns is None:
                seen = seen[:, first : first + counts[0]]
            else:
                at = first * stride[0]
                if padded is not None:
                    needed = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(counts, stride, kernel, dilation)]
                    seen, at = band(seen, (at - low[0], *(-side for side in low[1:])), tuple(needed), padded), 0
                seen = last_windows(seen, at, counts, kernel, stride, dilation)
                if groups > 1:
                    seen = np.moveaxis(seen.reshape(*seen.shape[:-1], groups, -1), -2, 0)
                unrolled = columns[: seen.size].reshape(seen.shape)
                np.copyto(unrolled, seen)
                seen = unrolled
            tile = ((image, min(image + images, len(x))), (first, first + counts[0]))
            target = place_of(tile, out, finish)
            made = target.reshape(-1, groups, weights.shape[-1]).transpose(1, 0, 2)
            np.matmul(seen.reshape(groups, -1, depth), weights, out=made)
            if finish is not None:
                finish.run(tile)
    return out


def depthwise_rows(rows: int, row: int) -> int:
    """How many rows of the result to make at once, where one has ``row`` elements: about 512 KB."""
    return max(1, min(rows, 131072 // max(1, row)))


def depthwise_tile(rows: int, row: int) -> tuple[int, int]:
    """The images and rows that are made at once."""
    return 1, depthwise_rows(rows, row)


def depthwise_band(rows: int, row: int, step: int, reach: int, line: int) -> int:
    """The elements of the padded rows that one tile sees: ``step`` apart, ``reach`` high, ``line`` elements long."""
    return ((depthwise_rows(rows, row) - 1) * step + reach) * line


def last_depthwise(
    x: np.ndarray,
    w: np.ndarray,
    stride: tuple,
    low: tuple,
    dilation: tuple,
    padded: np.ndarray | None,
    out: np.ndarray | None,
    finish: Finish | None = None,
) -> np.ndarray | None:
    """x [N, *spatial, C], each channel convolved with its own w [*kernel, C], into out [N, *sizes, C].

    At a stride of 1, of several axes, w may be repeated [*kernel, last size * C]: a row and its channels are one line.
    """
    whole = shape_of(out, finish)
    kernel, sizes = w.shape[:-1], whole[1:-1]
    rows = depthwise_rows(sizes[0], math.prod(whole[2:]))
    i, p = "abc"[: len(kernel)], "xyz"[: len(kernel)]
    for image in range(len(x)):
        for first in range(0, sizes[0], rows):
            counts = (min(rows, sizes[0] - first), *sizes[1:])
            tile = ((image, image + 1), (first, first + counts[0]))
            seen, target = x[image : image + 1], place_of(tile, out, finish)[0]
            at = first * stride[0]
            if padded is not None:
                needed = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(counts, stride, kernel, dilation)]
                seen, at = band(seen, (at - low[0], *(-side for side in low[1:])), tuple(needed), padded), 0
            windows = last_windows(seen, at, counts, kernel, stride, dilation)[0]
            if w.shape[-1] != whole[-1]:
                # What lies between two points of a row is the channels alone: the last size and these are one axis.
                axis, begin = len(sizes) - 1, at * seen.strides[1]
                steps = (*windows.strides[:axis], *windows.strides[axis + 1 :])
                windows = np.ndarray((*counts[:-1], *kernel, w.shape[-1]), x.dtype, seen, begin, steps)
                np.einsum(f"{p[:-1]}{i}l,{i}l->{p[:-1]}l", windows, w, out=target.reshape(*counts[:-1], -1))
            else:
                np.einsum(f"{p}{i}l,{i}l->{p}l", windows, w, out=target)
            if finish is not None:
                finish.run(tile)
    return out


KERNELS = (
    band, shape_of, place_of, last_tile, last_columns, last_band, last_windows, last_conv, depthwise_rows,
    depthwise_tile, depthwise_band, last_depthwise,
)  # fmt: skip
