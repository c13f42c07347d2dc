"""What weights files have in common: entries by key, each read when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ...compiler.ir import DType


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor of a file. ``dtype`` is None for a type of element that we do not have; ``stored`` is its name there."""

    key: str
    shape: tuple[int, ...]
    dtype: DType | None
    stored: str
    file: Path
    bytes: int
    """How many it takes in the file, unpacked."""


class TensorFile(Protocol):
    """Tensors by key. `read` gives an array as it is stored, read-only, and may map the file instead of copying it."""

    @property
    def path(self) -> Path:
        """What a person calls it: the file, index or folder that was opened."""

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Every tensor, in the order of the file."""

    def read(self, key: str) -> np.ndarray:
        """Raises `WeightsError` if the file has changed or is damaged, and for an entry without dtype."""
