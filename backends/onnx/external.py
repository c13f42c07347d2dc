"""Weights in a file of their own, shared by the models of all entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import BinaryIO

import numpy as np

from ...compiler.ir import TensorType
from .serialize import External, known_bytes, raw

ALIGNMENT = 4096
"""Weights begin at multiples of a page, so that a runtime can map them."""
INSIDE_LIMIT = 1_500_000_000
"""Bytes of weights up to which a single model keeps them inside; a protobuf ends at 2 GiB."""


def layout(types: Mapping[str, TensorType], location: str) -> External:
    """Where each weight stands in the file ``location``, in the given order."""
    places: dict[str, tuple[str, int, int]] = {}
    offset = 0
    for path, type in types.items():
        size = known_bytes(type)
        places[path] = (location, offset, size)
        offset += size + -size % ALIGNMENT
    return places


def write(file: BinaryIO, places: External, types: Mapping[str, TensorType], read: Callable[[str], np.ndarray]) -> None:
    """Write the file of a layout, one weight in memory at a time."""
    at = 0
    for path, (_, offset, size) in places.items():
        file.write(bytes(offset - at))
        data = raw(read(path), types[path], path)
        file.write(data)
        at = offset + size


def total(types: Mapping[str, TensorType]) -> int:
    """Bytes of all weights."""
    return sum(known_bytes(type) for type in types.values())
