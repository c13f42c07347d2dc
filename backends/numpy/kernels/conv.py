"""Convolutions as matrix products over unrolled windows, a tile at a time, so that the columns stay in the cache."""

import math

import numpy as np


def conv_tile(batch: int, depth: int, rows: int, row: int) -> tuple[int, int]:
    """How many images, and how many rows of the result, to unroll at once.

    About 2 MB of float32, but 256 columns at least: below, reading the weights again for each tile costs more.
    """
    budget = max(524288, 256 * depth)
    if depth * rows * row <= budget:
        return max(1, min(batch, budget // max(1, depth * rows * row))), rows
    tiles = -(-rows // max(1, budget // (depth * row)))
    return 1, -(-rows // tiles)


def conv_columns(batch: int, depth: int, rows: int, row: int) -> int:
    """The elements of the columns of one tile."""
    images, rows = conv_tile(batch, depth, rows, row)
    return images * depth * rows * row


def conv_padded(batch: int, depth: int, rows: int, row: int, image: int) -> int:
    """The elements of the padded images of one tile."""
    return conv_tile(batch, depth, rows, row)[0] * image


def framed(images: int, x: np.ndarray, low: tuple, high: tuple, padded: np.ndarray) -> tuple:
    """Room for ``images`` padded images with a frame of zeros, what is inside the frame, and what of x goes there.

    A negative ``low`` or ``high`` cuts.
    """
    sizes = [size + before + after for size, before, after in zip(x.shape[2:], low, high)]
    whole = padded[: images * x.shape[1] * math.prod(sizes)].reshape(images, x.shape[1], *sizes)
    inside, taken = [slice(None), slice(None)], [slice(None), slice(None)]
    for axis, before in enumerate(low, 2):
        total, size = whole.shape[axis], x.shape[axis]
        first = min(max(before, 0), total)
        last = max(first, min(total, size + before))
        around = (slice(None),) * axis
        whole[(*around, slice(0, first))] = 0
        whole[(*around, slice(last, total))] = 0
        inside.append(slice(first, last))
        taken.append(slice(first - before, last - before))
    return whole, whole[tuple(inside)], x[tuple(taken)]


def windows(x: np.ndarray, start: tuple, sizes: tuple, kernel: tuple, stride: tuple, dilation: tuple) -> np.ndarray:
    """A view [N, C, *kernel, *sizes] of a packed x: what each element of the kernel sees at each position."""
    steps = x.strides[2:]
    offset = sum(first * step for first, step in zip(start, steps))
    taps = tuple(step * apart for step, apart in zip(steps, dilation))
    moves = tuple(step * apart for step, apart in zip(steps, stride))
    return np.ndarray((*x.shape[:2], *kernel, *sizes), x.dtype, x, offset, (*x.strides[:2], *taps, *moves))


def conv(
    x: np.ndarray,
    w: np.ndarray,
    stride: tuple,
    low: tuple,
    high: tuple,
    dilation: tuple,
    groups: int,
    padded: np.ndarray | None,
    columns: np.ndarray,
    out: np.ndarray,
) -> np.ndarray:
    """x [N, C, *spatial] convolved with w [O, C / groups, *kernel] into out [N, O, *sizes]."""
    kernel, sizes = w.shape[2:], out.shape[2:]
    row = math.prod(sizes[1:])
    images, rows = conv_tile(x.shape[0], x.shape[1] * math.prod(kernel), sizes[0], row)
    weights = w.reshape(groups, w.shape[0] // groups, -1)
    result = out.reshape(out.shape[0], groups, weights.shape[1], -1)
    if padded is not None:
        whole, inside, x = framed(images, x, low, high, padded)
    for image in range(0, x.shape[0], images):
        source = x[image : image + images]
        if padded is not None:
            np.copyto(inside[: len(source)], source)
            source = whole[: len(source)]
        for first in range(0, sizes[0], rows):
            count = min(rows, sizes[0] - first)
            start = (first * stride[0], *(0 for _ in sizes[1:]))
            seen = windows(source, start, (count, *sizes[1:]), kernel, stride, dilation)
            unrolled = columns[: seen.size].reshape(seen.shape)
            np.copyto(unrolled, seen)
            matrix = unrolled.reshape(len(source), groups, weights.shape[2], count * row)
            target = result[image : image + images, :, :, first * row : (first + count) * row]
            np.matmul(weights, matrix, out=target)
    return out


def depthwise_products(channels: int, points: int) -> int:
    """The elements of two sums for a tile of channels with so many padded points each."""
    return 2 * max(1, min(channels, 65536 // max(1, points))) * points


def depthwise_conv(
    x: np.ndarray,
    w: np.ndarray,
    stride: tuple,
    low: tuple,
    high: tuple,
    dilation: tuple,
    padded: np.ndarray | None,
    products: np.ndarray,
    out: np.ndarray,
) -> np.ndarray:
    """x [N, C, *spatial], each channel convolved with its own w [C, 1, *kernel], into out [N, C, *sizes]."""
    if padded is not None:
        whole, inside, x = framed(x.shape[0], x, low, high, padded.reshape(-1))
        np.copyto(inside, x)
        x = whole
    step = products.size // 2 // max(1, math.prod(x.shape[2:]))
    for image in range(x.shape[0]):
        for channel in range(0, x.shape[1], step):
            part = slice(channel, channel + step)
            if all(each == 1 for each in stride):
                shifted_lines(x[image, part], w[part, 0], dilation, products, out[image, part])
            else:
                shifted_products(x[image, part], w[part, 0], stride, dilation, products, out[image, part])
    return out


def shifted_lines(x: np.ndarray, w: np.ndarray, dilation: tuple, products: np.ndarray, out: np.ndarray) -> None:
    """Channels [C, *spatial] convolved with a stride of 1, each as one long line.

    A shift along the line is a shift in all axes; what crosses an edge lands between the rows that are kept. The taps
    of one column of the kernel are summed at once.
    """
    length = sum((size - 1) * (step // x.itemsize) for size, step in zip(out.shape[1:], x.strides[1:])) + 1
    total, more = (products[k * len(x) * length :][: len(x) * length].reshape(len(x), length) for k in (0, 1))
    taps = tuple(step * apart for step, apart in zip(x.strides[1:], dilation))
    rows = "ijk"[: w.ndim - 2]
    for tap in range(w.shape[-1]):
        strides = (x.strides[0], *taps[:-1], x.itemsize)
        seen = np.ndarray((*w.shape[:-1], length), x.dtype, x, tap * taps[-1], strides)
        np.einsum(f"c{rows}l,c{rows}->cl", seen, w[..., tap], out=more if tap else total)
        if tap:
            np.add(total, more, out=total)
    np.copyto(out, np.ndarray(out.shape, x.dtype, total, 0, (total.strides[0], *x.strides[1:])))


def shifted_products(
    x: np.ndarray, w: np.ndarray, stride: tuple, dilation: tuple, products: np.ndarray, out: np.ndarray
) -> None:
    """Channels [C, *spatial] convolved with any stride: one product for each tap, added up."""
    product = products[: out.size].reshape(out.shape)
    for number, tap in enumerate(np.ndindex(*w.shape[1:])):
        starts = [at * apart for at, apart in zip(tap, dilation)]
        seen = [slice(a, a + (n - 1) * step + 1, step) for a, n, step in zip(starts, out.shape[1:], stride)]
        factor = w[(slice(None), *tap)].reshape(-1, *(1 for _ in starts))
        np.multiply(x[(slice(None), *seen)], factor, out=product if number else out)
        if number:
            np.add(out, product, out=out)


def conv_phases(w: np.ndarray, before: tuple, low: tuple, dilation: tuple, steps: tuple, groups: int) -> tuple:
    """The weights of a convolution over an input with ``steps - 1`` zeros between elements, sorted by phase.

    The result at positions ``phase`` modulo ``steps`` meets the elements with some of the weights only: a dense
    convolution with those, that starts at ``start`` of the input (padded by ``low``) and is dilated. Each is
    (phase, start, dilation, kernel, weights [groups, O / groups, C / groups * taps]); no weights: the phase is zero.
    """
    found = []
    for phase in np.ndindex(*steps):
        taken, start, apart = [], [], []
        for axis, (p, pad, lead, gap, step) in enumerate(zip(phase, before, low, dilation, steps)):
            period = step // int(np.gcd(gap, step))
            taps = [tap for tap in range(min(period, w.shape[2 + axis])) if (p + tap * gap - pad) % step == 0]
            taken.append(slice(taps[0], None, period) if taps else slice(0, 0))
            start.append((p + taps[0] * gap - pad) // step + lead if taps else 0)
            apart.append(gap * period // step)
        part = w[(slice(None), slice(None), *taken)]
        matrix = part.reshape(groups, w.shape[0] // groups, -1).copy() if part.size else None
        found.append((phase, tuple(start), tuple(apart), part.shape[2:], matrix))
    return tuple(found)


def phase_conv(
    x: np.ndarray,
    phases: tuple,
    low: tuple,
    steps: tuple,
    groups: int,
    padded: np.ndarray | None,
    columns: np.ndarray,
    result: np.ndarray,
    out: np.ndarray,
) -> np.ndarray:
    """x, its elements ``steps`` apart with zeros between, convolved (see `conv_phases`) into out."""
    if padded is not None:
        high = tuple(whole - size - before for whole, size, before in zip(padded.shape[2:], x.shape[2:], low))
        whole, inside, x = framed(x.shape[0], x, low, high, padded.reshape(-1))
        np.copyto(inside, x)
        x = whole
    ones = (1,) * len(steps)
    for phase, start, dilation, kernel, weights in phases:
        target = out[(slice(None), slice(None), *(slice(p, None, step) for p, step in zip(phase, steps)))]
        if weights is None or not target.size:
            target[...] = 0
            continue
        sizes = target.shape[2:]
        row = math.prod(sizes[1:])
        rows = columns.size // (x.shape[1] * math.prod(kernel) * row)
        for image in range(x.shape[0]):
            for first in range(0, sizes[0], rows):
                count = min(rows, sizes[0] - first)
                corner = (start[0] + first, *start[1:])
                seen = windows(x[image : image + 1], corner, (count, *sizes[1:]), kernel, ones, dilation)
                unrolled = columns[: seen.size].reshape(seen.shape)
                np.copyto(unrolled, seen)
                made = result[: out.shape[1] * count * row].reshape(groups, -1, count * row)
                np.matmul(weights, unrolled.reshape(groups, weights.shape[2], -1), out=made)
                np.copyto(target[image, :, first : first + count], made.reshape(-1, count, *sizes[1:]))
    return out


KERNELS = (
    conv_tile, conv_columns, conv_padded, framed, windows, conv, depthwise_products, depthwise_conv, shifted_lines,
    shifted_products, conv_phases, phase_conv,
)  # fmt: skip
