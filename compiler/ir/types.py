"""What a value is: a dtype and a shape."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import ml_dtypes
import numpy as np

from .dims import AnyDim, Shape, bounds, product


class DType(StrEnum):
    """Element types, by the names of NumPy and of the spec language."""

    BOOL = "bool"
    INT8 = "int8"
    UINT8 = "uint8"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @cached_property
    def numpy(self) -> np.dtype:
        """The NumPy dtype (`ml_dtypes` for bfloat16)."""
        return np.dtype(ml_dtypes.bfloat16 if self is DType.BFLOAT16 else self.value)

    @property
    def kind(self) -> str:
        """One of "bool", "int", "float"."""
        return "bool" if self is DType.BOOL else "float" if "float" in self.value else "int"

    @property
    def is_float(self) -> bool:
        return self.kind == "float"

    @property
    def is_half(self) -> bool:
        """Whether this is a 16-bit float."""
        return self in (DType.FLOAT16, DType.BFLOAT16)

    @property
    def bytes(self) -> int:
        """Size of one element."""
        return self.numpy.itemsize

    @classmethod
    def of(cls, array: np.ndarray | np.generic) -> DType:
        """The dtype of an array. Raises `ValueError` for one that we do not have."""
        return cls(array.dtype.name)


@dataclass(frozen=True, slots=True)
class TensorType:
    """A dtype and a shape; dimensions are integers or symbolic."""

    dtype: DType
    shape: Shape

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def elements(self) -> AnyDim:
        return product(self.shape)

    @property
    def nbytes(self) -> AnyDim:
        """Bytes of a packed array of this type."""
        return self.elements * self.dtype.bytes

    @property
    def is_static(self) -> bool:
        return all(isinstance(size, int) for size in self.shape)

    def with_shape(self, shape: Shape) -> TensorType:
        return TensorType(self.dtype, shape)

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(dtype, self.shape)

    def __str__(self) -> str:
        return f"{self.dtype.value}[{', '.join(map(str, self.shape))}]"


MAX_BYTES = 2**40
"""Largest tensor; larger ones are refused before anything is allocated."""


def check_size(type: TensorType) -> None:
    """Raises `ValueError` for a negative or an excessive dimension, or for a tensor of 2^40 bytes or more."""
    least = type.dtype.bytes
    for size in type.shape:
        low, high = (size, size) if isinstance(size, int) else bounds(size)
        if high < 0:
            raise ValueError(f"a dimension of {type} is negative: {size}")
        if low >= 2**31:
            raise ValueError(f"a dimension of {type} is 2^31 or more: {size}")
        least *= max(low, 0)
    if least >= MAX_BYTES:
        raise ValueError(f"{type} needs 2^40 bytes or more")


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant by value: C-ordered bytes of a small array. Equal content is equal."""

    type: TensorType
    data: bytes

    @classmethod
    def of(cls, array: np.ndarray | np.generic | float, dtype: DType | None = None) -> Literal:
        """From an array (or number); ``dtype`` converts."""
        array = np.asarray(array) if dtype is None else np.asarray(array).astype(dtype.numpy)
        return cls(TensorType(DType.of(array), tuple(array.shape)), np.ascontiguousarray(array).tobytes())

    def array(self) -> np.ndarray:
        """A read-only NumPy array."""
        shape = tuple(int(size) for size in self.type.shape)  # type: ignore[arg-type]
        return np.frombuffer(self.data, dtype=self.type.dtype.numpy).reshape(shape)

    def __str__(self) -> str:
        return f"{self.type} {self.data.hex()}" if len(self.data) > 256 else f"{self.type} {self.array().tolist()}"
