"""What elementwise primitives share: operands of one shape and one dtype, and the samples of each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..ir.op import Access, ErrorSample, Op, OpError, Sample, Shapes
from ..ir.types import TensorType
from .rules import need_kind, widened
from .samples import bools, ints, normal, special, types

ROUNDING = "IEEE 754-2019, 5.9"
FUNCTIONS = "IEEE 754-2019, 9.2"
ARITHMETIC = "IEEE 754-2019, 5.4.1"
BITS = "XLA operation semantics: element-wise binary arithmetic"


class Elementwise(Op):
    """Base: operands of equal type; the result has that type unless `result` says otherwise."""

    family: ClassVar[str] = "elementwise"
    elementwise: ClassVar[bool] = True
    kinds: ClassVar[tuple[str, ...]] = ("int", "float")
    compute: ClassVar[Callable[..., Any]]
    """The NumPy function. It gets 16-bit floats as float32."""

    def infer(self, shapes: Shapes, *operands: TensorType) -> TensorType:
        first = operands[0]
        for other in operands:
            if other.dtype is not first.dtype:
                raise OpError(f"{self.name}: the operands are {first} and {other}; cast one of them")
        need_kind(self.name, first, *self.kinds)
        return self.result(first.with_shape(common_shape(self.name, shapes, operands)))

    def result(self, operand: TensorType) -> TensorType:
        """The result type from the common type of the operands."""
        return operand

    def meaning(self, *arrays: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            result = type(self).compute(*(widened(array) for array in arrays))
        return np.asarray(result).astype(arrays[0].dtype, copy=False)


def common_shape(what: str, shapes: Shapes, operands: tuple[TensorType, ...]) -> tuple[Any, ...]:
    """The one shape that all operands have. Raises `OpError`."""
    first = operands[0]
    shape = first.shape
    for other in operands[1:]:
        if other.rank != first.rank:
            raise OpError(f"{what}: the operands are {first} and {other}; their shapes differ")
        shape = tuple(
            shapes.same(a, b, f"{what} of {first} and {other}") for a, b in zip(shape, other.shape, strict=True)
        )
    return shape


class Unary(Elementwise):
    """Base: one operand, int or float."""

    operands = ("x",)
    access: ClassVar[tuple[Access, ...]] = (Access.SAME,)
    numerics = "NaN gives NaN"

    def slope(self, x: Any, y: Any) -> Any:
        """The derivative of the result y by x; both are tensors under construction."""
        raise OpError(f"{self.name} has no gradient")

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x,), (y,), (g,) = operands, results, gradients
        return [g * self.slope(x, y)]

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(3, 4),)),
            Sample(cls(), (special(),), "zeros, infinities, NaN"),
            Sample(cls(), (ints(3, 4, low=-5, high=6, dtype="int32"),), "integers", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(cls, types("bool[3]"), "takes int or float, not bool[3]")]


class FloatUnary(Unary):
    """Base: one operand, of a float dtype."""

    kinds = ("float",)
    source = FUNCTIONS
    domain: ClassVar[Callable[..., np.ndarray]] = normal
    """Makes operands for which the function is defined."""

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (cls.domain(3, 4),)),
            Sample(cls(), (cls.domain(dtype="float64"),), "a scalar"),
            Sample(cls(), (special(),), "zeros, infinities, NaN"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(cls, types("int64[3]"), "takes float, not int64[3]")]


class Binary(Elementwise):
    """Base: two operands, int or float."""

    operands = ("x", "y")
    access: ClassVar[tuple[Access, ...]] = (Access.SAME, Access.SAME)
    source = ARITHMETIC

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(3, 4), normal(3, 4, salt=1))),
            Sample(cls(), (normal(dtype="float64"), normal(dtype="float64", salt=1)), "scalars"),
            Sample(cls(), signed_pair("int32"), "integers", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[3]", "float32[4]"), "3 and 4 differ"),
            ErrorSample(cls, types("float32[3]", "float32[1, 3]"), "their shapes differ"),
            ErrorSample(cls, types("float32[3]", "int64[3]"), "cast one of them"),
            ErrorSample(cls, types("bool[3]", "bool[3]"), "takes int or float"),
        ]


class Bitwise(Binary):
    """Base: two operands of bool (logic) or of integers (bit by bit)."""

    kinds = ("bool", "int")
    gradient = "zero"
    numerics = "exact; negative integers are two's complement"
    source = BITS

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (bools(3, 4), bools(3, 4, salt=1)), "logic", exact=True),
            Sample(cls(), signed_pair("int64"), "bit by bit", exact=True),
            Sample(cls(), word_pair(), "words", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(cls, types("float32[3]", "float32[3]"), "takes bool or int")]


class Shift(Binary):
    """Base: an integer and by how many bits it moves."""

    kinds = ("int",)
    gradient = "zero"
    source = BITS

    @classmethod
    def samples(cls) -> list[Sample]:
        by = np.array([0, 1, 4, 31], np.uint32)
        return [
            Sample(cls(), (np.array([1, 0xF0F0F0F0, 0x80000001, 0xFFFFFFFF], np.uint32), by), "words", exact=True),
            Sample(cls(), (np.array([1, -9, 1234567, -(2**31)]), by.astype(np.int64)), "signed", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("bool[3]", "bool[3]"), "takes int"),
            ErrorSample(cls, types("uint32[3]", "int32[3]"), "cast one of them"),
        ]


def signed_pair(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    return ints(3, 4, low=-9, high=10, dtype=dtype), ints(3, 4, low=-9, high=10, dtype=dtype, salt=1)


def word_pair() -> tuple[np.ndarray, np.ndarray]:
    return ints(6, high=2**32, dtype="uint32"), ints(6, high=2**32, dtype="uint32", salt=1)


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)
