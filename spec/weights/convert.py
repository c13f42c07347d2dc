"""Arrays as files hold them, to arrays as parameters want them."""

from __future__ import annotations

import numpy as np

from ...compiler.ir import DType
from .errors import WeightsError, shape_text, shown
from .plan import Assembly
from .tensors import Entry, TensorFile

CHUNK = 2**22
"""Elements that are looked at together: the answers take a byte each."""


def assemble(file: TensorFile, assembly: Assembly, path: str, dtype: DType, finite: bool) -> np.ndarray:
    """A parameter from its keys: each converted, transposed if the rule says so, then joined.

    With ``finite``, values that are infinite or no numbers are refused. Raises `WeightsError`.
    """
    arrays = []
    for key in assembly.keys:
        entry = file.entries[key]
        check_conversion(entry, path, dtype)
        array = file.read(key)
        if finite:
            _check_finite(entry, array)
        converted = _convert(entry, array, dtype)
        arrays.append(np.swapaxes(converted, -1, -2) if assembly.transpose and converted.ndim > 1 else converted)
    joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays, assembly.concat or 0)
    # Rank 0 must stay rank 0, which ascontiguousarray does not do.
    result = joined if joined.flags.c_contiguous else np.ascontiguousarray(joined)
    result.flags.writeable = False
    return result


def check_conversion(entry: Entry, path: str, dtype: DType) -> None:
    """Raises `WeightsError` unless the stored dtype is the wanted one, or both are floats, or it is a wider integer."""
    stored = entry.dtype
    if stored is dtype:
        return
    if stored is not None:
        if stored.is_float and dtype.is_float:
            return
        if stored.kind == dtype.kind == "int" and np.can_cast(stored.numpy, dtype.numpy, "safe"):
            return
    raise WeightsError(f"{entry.file}: {shown(entry.key)} holds {entry.stored}, the parameter {shown(path)} is {dtype}")


def _check_finite(entry: Entry, array: np.ndarray) -> None:
    if entry.dtype is None or not entry.dtype.is_float:
        return
    flat = array.reshape(-1)
    count, first = 0, -1
    for start in range(0, flat.size, CHUNK):
        bad = np.flatnonzero(~np.isfinite(flat[start : start + CHUNK]))
        if bad.size and first < 0:
            first = start + int(bad[0])
        count += bad.size
    if count:
        place = tuple(int(at) for at in np.unravel_index(first, array.shape)) if array.ndim else ()
        many = "a value that is" if count == 1 else f"{count} values that are"
        raise WeightsError(
            f"{entry.file}: {shown(entry.key)} has {many} not finite, {'' if count == 1 else 'the first '}at "
            f"{shape_text(place)}: {flat[first]}"
        )


def _convert(entry: Entry, array: np.ndarray, dtype: DType) -> np.ndarray:
    if array.dtype == dtype.numpy:
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        converted = array.astype(dtype.numpy)
    if dtype.is_float and _overflows(array, converted):
        raise WeightsError(f"{entry.file}: {shown(entry.key)} holds values too large for {dtype}")
    return converted


def _overflows(array: np.ndarray, converted: np.ndarray) -> bool:
    """Whether finite values became infinite."""
    before, after = array.reshape(-1), converted.reshape(-1)
    return any(
        bool(np.any(np.isinf(after[start : start + CHUNK]) & np.isfinite(before[start : start + CHUNK])))
        for start in range(0, before.size, CHUNK)
    )


def first_difference(left: np.ndarray, right: np.ndarray) -> tuple[int, ...] | None:
    """Where two arrays of one shape and dtype first differ; a NaN equals a NaN. None if nowhere."""
    one, two = left.reshape(-1), right.reshape(-1)
    for start in range(0, one.size, CHUNK):
        a, b = one[start : start + CHUNK], two[start : start + CHUNK]
        unequal = a != b
        if left.dtype.kind not in "iub":
            unequal &= ~(np.isnan(a) & np.isnan(b))
        found = np.flatnonzero(unequal)
        if found.size:
            return tuple(int(at) for at in np.unravel_index(start + int(found[0]), left.shape)) if left.ndim else ()
    return None
