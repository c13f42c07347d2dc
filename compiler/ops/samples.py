"""Arrays and types for the samples of ops. Deterministic: a sample never changes between runs."""

from __future__ import annotations

import re

import numpy as np

from ..ir.dims import AnyDim, symbol
from ..ir.types import DType, TensorType


def _generator(shape: tuple[int, ...], salt: int) -> np.random.Generator:
    return np.random.default_rng([salt, *shape])


def normal(*shape: int, dtype: str = "float32", salt: int = 0) -> np.ndarray:
    """Standard normal values."""
    return _generator(shape, salt).standard_normal(shape).astype(DType(dtype).numpy)


def positive(*shape: int, dtype: str = "float32", salt: int = 0) -> np.ndarray:
    """Values in [0.5, 2)."""
    return _generator(shape, salt).uniform(0.5, 2, shape).astype(DType(dtype).numpy)


def unit(*shape: int, dtype: str = "float32", salt: int = 0) -> np.ndarray:
    """Values in (-1, 1)."""
    return _generator(shape, salt).uniform(-1, 1, shape).astype(DType(dtype).numpy)


def ints(*shape: int, low: int = 0, high: int = 10, dtype: str = "int64", salt: int = 0) -> np.ndarray:
    """Whole numbers from ``low`` to ``high - 1``."""
    return _generator(shape, salt).integers(low, high, shape).astype(DType(dtype).numpy)


def bools(*shape: int, salt: int = 0) -> np.ndarray:
    """Fair coins."""
    return _generator(shape, salt).integers(0, 2, shape).astype(bool)


def special() -> np.ndarray:
    """Both zeros, halves, whole numbers, both infinities and NaN."""
    values = [-np.inf, -2.5, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.5, np.inf, np.nan]
    return np.array(values, np.float32)


def types(*texts: str | None) -> tuple[TensorType | None, ...]:
    """Types from texts like ``float32[N, 3]``; a capital is a symbol."""
    return tuple(None if text is None else tensor_type(text) for text in texts)


def tensor_type(text: str) -> TensorType:
    """One type from ``dtype[sizes]``, sizes being whole numbers or symbols."""
    match = re.fullmatch(r"(\w+)\[(.*)\]", text)
    if match is None:
        raise ValueError(f"not a type: {text}")
    sizes: list[AnyDim] = []
    for size in filter(None, (part.strip() for part in match[2].split(","))):
        sizes.append(symbol(size) if size[0].isupper() else int(size))
    return TensorType(DType(match[1]), tuple(sizes))
