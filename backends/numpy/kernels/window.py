"""Sliding windows along one axis, and the gradient of their maxima."""

import numpy as np


def window(
    ufunc: np.ufunc,
    x: np.ndarray,
    axis: int,
    kernel: int,
    stride: int,
    low: int,
    dilation: int,
    empty: float,
    out: np.ndarray,
) -> np.ndarray:
    """``out[i]`` is ufunc over k of ``x[i * stride + k * dilation - low]`` along the axis; outside stands ``empty``."""
    size, count = x.shape[axis], out.shape[axis]
    around: tuple = (slice(None),) * axis
    if count < kernel:
        # Few windows, each wide.
        for place in range(count):
            first = place * stride - low
            skipped = max(0, -(first // dilation))
            part = x[
                (*around, slice(first + skipped * dilation, max(first + (kernel - 1) * dilation + 1, 0), dilation))
            ]
            ufunc.reduce(part, axis=axis, dtype=x.dtype, initial=empty, out=out[(*around, place)])
        return out
    # The result takes, for each place in the window, a strided view of x; first those that reach all windows.
    full: list = []
    rest: list = []
    for tap in range(kernel):
        shift = tap * dilation - low
        first, last = max(0, -(shift // stride)), min(count, (size - 1 - shift) // stride + 1)
        if first < last:
            begin = first * stride + shift
            seen = x[(*around, slice(begin, begin + (last - first - 1) * stride + 1, stride))]
            (full if last - first == count else rest).append((seen, out[(*around, slice(first, last))]))
    if len(full) > 1:
        ufunc(full[0][0], full[1][0], out=out)
    elif full:
        np.copyto(out, full[0][0])
    else:
        out.fill(empty)
    for seen, target in (*full[2:], *rest):
        ufunc(target, seen, out=target)
    return out


def window_max_grad(
    x: np.ndarray,
    dy: np.ndarray,
    kernel: tuple,
    stride: tuple,
    padding: tuple,
    dilation: tuple,
    out: np.ndarray,
) -> np.ndarray:
    """Each element of dy goes to the first largest element of its window; NaN is the largest.

    Without branches for single elements, which take most of the time where every window decides at random: the largest
    of all places in the window, then for each place the bits of dy where it has that value as the first one.
    """
    taps = []
    for tap in np.ndindex(*kernel):
        read, written = [], []
        for at, size, count, step, (low, _), apart in zip(tap, x.shape, dy.shape, stride, padding, dilation):
            shift = at * apart - low
            first, last = max(0, -(shift // step)), min(count, (size - 1 - shift) // step + 1)
            read.append(slice(first * step + shift, max((last - 1) * step + shift + 1, 0), step))
            written.append(slice(first, max(last, first)))
        taps.append((tuple(read), tuple(written)))
    best = np.full(dy.shape, -np.inf, x.dtype)
    for seen, into in taps:
        np.maximum(best[into], x[seen], out=best[into])
    unknown = bool(np.isnan(best).any())
    free, bits = np.ones(dy.shape, np.bool_), np.dtype(f"i{x.itemsize}")
    out.fill(0)
    for seen, into in taps:
        value, left = x[seen], free[into]
        chosen = value == best[into]
        if unknown:
            chosen |= np.isnan(value) & np.isnan(best[into])
        chosen &= left
        left ^= chosen
        mask = np.negative(chosen.view(np.int8)).astype(bits)
        np.bitwise_and(mask, dy[into].view(bits), out=mask)
        out[seen] += mask.view(x.dtype)
    return out


KERNELS = (window, window_max_grad)
