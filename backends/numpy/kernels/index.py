"""Reading and writing at places found at run time, order, and running sums."""

import numpy as np


def within(start: np.ndarray, size: int, whole: int) -> slice:
    """``size`` elements from ``start``, moved so that they lie inside ``whole``."""
    first = min(max(int(start), 0), whole - size)
    return slice(first, first + size)


def along(axis: int, at: object) -> tuple:
    """The index that takes ``at`` along the axis and everything along those before."""
    return (*(slice(None),) * axis, at)


def pick(x: np.ndarray, indices: np.ndarray, axis: int, out: np.ndarray) -> np.ndarray:
    """Slices of x along the axis."""
    np.copyto(out, x[along(axis, indices)])
    return out


def places(indices: np.ndarray, axis: int) -> tuple:
    """The index that takes, along the axis, what the indices say, and along the others what stands there."""
    found = list(np.ogrid[tuple(slice(size) for size in indices.shape)])
    found[axis] = indices
    return tuple(found)


def gather_elements(x: np.ndarray, indices: np.ndarray, axis: int, out: np.ndarray) -> np.ndarray:
    """An element of x for each index."""
    np.copyto(out, x[places(indices, axis)])
    return out


def scatter(x: np.ndarray, indices: np.ndarray, axis: int, updates: np.ndarray) -> None:
    """Replace slices of x along the axis, in place."""
    x[along(axis, indices)] = updates


def scatter_add(x: np.ndarray, indices: np.ndarray, axis: int, updates: np.ndarray) -> None:
    """Add to slices of x along the axis, in place; an index that stands twice counts twice."""
    np.add.at(x, along(axis, indices), updates)


def scatter_elements(x: np.ndarray, indices: np.ndarray, axis: int, updates: np.ndarray) -> None:
    """Replace an element of x for each index, in place."""
    x[places(indices, axis)] = updates


def scatter_elements_add(x: np.ndarray, indices: np.ndarray, axis: int, updates: np.ndarray) -> None:
    """Add to an element of x for each index, in place."""
    np.add.at(x, places(indices, axis), updates)


def pad(x: np.ndarray, fill: np.ndarray, low: tuple, interior: tuple, out: np.ndarray) -> np.ndarray:
    """x with ``interior`` fills between its elements, after ``low`` fills (or so many elements cut away)."""
    out.fill(fill)
    taken, into = [], []
    for size, count, before, between in zip(x.shape, out.shape, low, interior):
        step = between + 1
        first = max(0, -(before // step))
        last = max(first, min(size, -((before - count) // step)))
        taken.append(slice(first, last))
        into.append(
            slice(first * step + before, max(0, (last - 1) * step + before + 1), step) if last > first else slice(0, 0)
        )
    np.copyto(out[tuple(into)], x[tuple(taken)])
    return out


def iota(length: int, out: np.ndarray) -> np.ndarray:
    """0, 1, 2, ..."""
    np.copyto(out, np.arange(length), casting="unsafe")
    return out


def number(size: int, out: np.ndarray) -> np.ndarray:
    """A size as a scalar."""
    out.fill(size)
    return out


def constant(dtype: type, shape: tuple, text: str) -> np.ndarray:
    """An array from its bytes in hexadecimal, little-endian."""
    return np.frombuffer(bytes.fromhex(text), np.dtype(dtype).newbyteorder("<")).reshape(shape).astype(dtype)


def cumulative_sum(x: np.ndarray, axis: int, exclusive: bool, reverse: bool, out: np.ndarray) -> np.ndarray:
    """Running sums along the axis."""
    source, target = np.moveaxis(x, axis, 0), np.moveaxis(out, axis, 0)
    if reverse:
        source, target = source[::-1], target[::-1]
    if exclusive:
        target[:1] = 0
        source, target = source[:-1], target[1:]
    if len(source):
        np.add.accumulate(source, axis=0, dtype=x.dtype, out=target)
    return out


def top_k(x: np.ndarray, k: int, axis: int, values: np.ndarray, indices: np.ndarray) -> None:
    """The k largest along the axis, the largest first, and where they stand. Ties: the lowest index; NaN is largest."""
    lines = np.ascontiguousarray(np.moveaxis(x, axis, -1))
    size = lines.shape[-1]
    found = np.broadcast_to(np.arange(size), lines.shape)
    if k and size > 4 * k and lines.size:
        rows = lines.reshape(-1, size)
        least = np.partition(rows, size - k, axis=-1)[:, size - k, None]
        unknown = np.isnan(rows) if rows.dtype.kind == "f" else np.zeros(rows.shape, bool)
        equal = np.equal(rows, least) | (unknown & np.isnan(least) if rows.dtype.kind == "f" else unknown)
        above = (np.greater(rows, least) | unknown) & ~equal
        room = k - above.sum(axis=-1, keepdims=True)
        chosen = above | (equal & (np.cumsum(equal, axis=-1) <= room))
        found = np.nonzero(chosen)[1].reshape(*lines.shape[:-1], k)
    candidates = np.take_along_axis(lines, found, -1)
    # Sorted upward from the back and read backward: downward, ties in order, NaN first.
    order = candidates.shape[-1] - 1 - np.argsort(candidates[..., ::-1], axis=-1, kind="stable")[..., ::-1][..., :k]
    best = np.take_along_axis(found, order, -1)
    np.copyto(np.moveaxis(indices, axis, -1), best)
    np.copyto(np.moveaxis(values, axis, -1), np.take_along_axis(lines, best, -1))


KERNELS = (
    within, along, pick, places, gather_elements, scatter, scatter_add, scatter_elements, scatter_elements_add, pad,
    iota, number, constant, cumulative_sum, top_k,
)  # fmt: skip
