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
    """Each element of dy goes to the first largest element of its window; NaN is the largest."""
    places = np.arange(x.size).reshape(x.shape)
    best = np.full(dy.shape, -np.inf, x.dtype)
    chosen = np.full(dy.shape, -1)
    for tap in np.ndindex(*kernel):
        seen, into = [], []
        for at, size, count, step, (low, _), apart in zip(tap, x.shape, dy.shape, stride, padding, dilation):
            shift = at * apart - low
            first, last = max(0, -(shift // step)), min(count, (size - 1 - shift) // step + 1)
            seen.append(slice(first * step + shift, max((last - 1) * step + shift + 1, 0), step))
            into.append(slice(first, max(last, first)))
        value, place = x[tuple(seen)], places[tuple(seen)]
        so_far, now = best[tuple(into)], chosen[tuple(into)]
        larger = (value > so_far) | (np.isnan(value) & ~np.isnan(so_far)) | (now < 0)
        np.copyto(so_far, value, where=larger)
        np.copyto(now, place, where=larger)
    out.fill(0)
    np.add.at(out.reshape(-1), chosen[chosen >= 0], dy[chosen >= 0])
    return out


KERNELS = (window, window_max_grad)
