"""The safetensors format: an eight-byte length, a JSON header, and tensors end to end.

Read here, not by the library: that one lets a key stand twice, and gives NumPy no bfloat16. What it refuses is
refused here too. Format: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...compiler.ir import DType
from .errors import WeightsError, shape_text, shown
from .foreign import beginning_of, refuse_beginning
from .json_text import JsonError, parse_json
from .tensors import Entry

LARGEST_HEADER = 32 * 2**20
"""Bytes; room for some 300,000 tensors in one file."""
MOST_AXES = 64
LARGEST_COUNT = 2**63 - 1
"""Of a size or an offset."""

_OURS = {
    "BOOL": DType.BOOL,
    "I8": DType.INT8,
    "U8": DType.UINT8,
    "I32": DType.INT32,
    "U32": DType.UINT32,
    "I64": DType.INT64,
    "F16": DType.FLOAT16,
    "BF16": DType.BFLOAT16,
    "F32": DType.FLOAT32,
    "F64": DType.FLOAT64,
}
_BITS = {
    **{name: 8 * dtype.bytes for name, dtype in _OURS.items()},
    **{"I16": 16, "U16": 16, "U64": 64, "C64": 64},
    **{"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8},
    **{"F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8},
}

_FIELDS = {"dtype", "shape", "data_offsets"}


class SafetensorsFile:
    """One file. The header is read and checked at once, tensors are mapped when asked for."""

    def __init__(self, path: Path) -> None:
        """Raises `WeightsError` for a file that is not whole, or says one thing twice."""
        self.path = path
        text, self._start, self._size = _read_header(path)
        self._offsets: dict[str, tuple[int, int]] = {}
        self.entries: Mapping[str, Entry] = {key: self._entry(key, value) for key, value in _tensors(path, text)}
        self._check_layout()

    def read(self, key: str) -> np.ndarray:
        entry = self.entries[key]
        if entry.dtype is None:
            raise WeightsError(f"{self.path}: {shown(key)} holds {entry.stored}, which is not supported")
        begin, end = self._offsets[key]
        if begin == end:
            return np.empty(entry.shape, entry.dtype.numpy)
        try:
            changed = self.path.stat().st_size != self._size
            raw = None if changed else np.memmap(self.path, np.uint8, "r", self._start + begin, (end - begin,))
        except (OSError, ValueError) as error:
            raise WeightsError(f"{self.path}: {error}") from error
        if raw is None:
            raise WeightsError(f"{self.path}: the file has changed since it was opened")
        array = np.asarray(raw).view(entry.dtype.numpy).reshape(entry.shape)
        # Offsets need not be multiples of the element's size; most code wants them to be.
        return array if array.flags.aligned else array.copy()

    def _entry(self, key: str, value: Any) -> Entry:
        if not isinstance(value, dict) or value.keys() != _FIELDS:
            raise self._refusal(key, "must have dtype, shape and data_offsets")
        stored, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
        if not isinstance(stored, str) or stored not in _BITS:
            raise self._refusal(key, f"has no known dtype: {shown(str(stored))}")
        if not _counts(shape) or len(shape) > MOST_AXES:
            raise self._refusal(key, "has no list of sizes as shape")
        if not _counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
            raise self._refusal(key, "has no data_offsets [begin, end]")
        begin, end = offsets
        if 8 * (end - begin) != math.prod(shape) * _BITS[stored]:
            raise self._refusal(key, f"is {stored}{shape_text(tuple(shape))}, which does not take {end - begin} bytes")
        self._offsets[key] = (begin, end)
        return Entry(key, tuple(shape), _OURS.get(stored), stored, self.path, end - begin)

    def _refusal(self, key: str, reason: str) -> WeightsError:
        return WeightsError(f"{self.path}: {shown(key)} in the header {reason}")

    def _check_layout(self) -> None:
        """Tensors must lie end to end and fill the file: no overlaps, no holes, nothing behind."""
        end, last = 0, ""
        for key, (begin, stop) in sorted(self._offsets.items(), key=lambda item: item[1]):
            if begin < end:
                raise WeightsError(f"{self.path}: {shown(last)} and {shown(key)} overlap")
            if begin > end:
                raise WeightsError(f"{self.path}: {begin - end} bytes before {shown(key)} belong to no tensor")
            end, last = stop, key
        wanted = self._start + end
        if self._size != wanted:
            what = "is cut off" if self._size < wanted else "has bytes behind its tensors"
            raise WeightsError(f"{self.path}: the file {what}: {self._size} bytes where its header says {wanted}")


def _read_header(path: Path) -> tuple[bytes, int, int]:
    """The header's text, where the tensors start, and the size of the file."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            length = int.from_bytes(file.read(8), "little")
            if size < 8:
                raise WeightsError(f"{path}: no safetensors file, it has {size} bytes")
            if length > LARGEST_HEADER:
                refuse_beginning(path, beginning_of(path))
                raise WeightsError(
                    f"{path}: no safetensors file, or a damaged one: its header would have {length} bytes "
                    f"({LARGEST_HEADER} at most)"
                )
            if 8 + length > size:
                raise WeightsError(f"{path}: the file is cut off: a header of {length} bytes in a file of {size}")
            return file.read(length), 8 + length, size
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error


def _tensors(path: Path, text: bytes) -> list[tuple[str, Any]]:
    """What the header says of each tensor."""
    try:
        header = parse_json(text)
    except JsonError as error:
        raise WeightsError(f"{path}: the header is damaged: {error}") from error
    if not isinstance(header, dict):
        raise WeightsError(f"{path}: the header is damaged: it is no mapping")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise WeightsError(f"{path}: `__metadata__` in the header is no mapping of texts")
    return list(header.items())


def _counts(value: Any) -> bool:
    """Whether this is a list of whole numbers, none negative, none that no disk can hold."""
    return isinstance(value, list) and all(type(item) is int and 0 <= item <= LARGEST_COUNT for item in value)
