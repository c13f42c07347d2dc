"""Primitives that work element by element on operands of one shape and one dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..ir.op import Access, ErrorSample, OneOf, Op, OpError, Precision, Sample, Shapes
from ..ir.types import DType, TensorType
from .samples import ints, normal, positive, types

KINDS_ALL = ("bool", "int", "float")


class Elementwise(Op):
    """Base: operands of equal type; the result has that type unless `result` says otherwise."""

    family: ClassVar[str] = "elementwise"
    access: ClassVar[tuple[Access, ...]] = (Access.SAME,)
    elementwise: ClassVar[bool] = True
    kinds: ClassVar[tuple[str, ...]] = ("int", "float")
    compute: ClassVar[Callable[..., Any]]
    """The NumPy function."""

    def infer(self, shapes: Shapes, *operands: TensorType) -> TensorType:
        first = operands[0]
        for other in operands:
            if other.dtype is not first.dtype:
                raise OpError(f"{self.name}: the operands are {first} and {other}; cast one of them")
            if other.rank != first.rank:
                raise OpError(f"{self.name}: the operands are {first} and {other}; their shapes differ")
        if first.dtype.kind not in self.kinds:
            raise OpError(f"{self.name}: takes {' or '.join(self.kinds)}, not {first}")
        shape = first.shape
        for other in operands[1:]:
            what = f"{self.name} of {first} and {other}"
            shape = tuple(shapes.same(a, b, what) for a, b in zip(shape, other.shape, strict=True))
        return self.result(TensorType(first.dtype, shape))

    def result(self, operand: TensorType) -> TensorType:
        """The result type from the common type of the operands."""
        return operand

    def meaning(self, *arrays: np.ndarray) -> np.ndarray:
        return np.asarray(type(self).compute(*arrays)).astype(self.result_dtype(arrays[0]), copy=False)

    def result_dtype(self, array: np.ndarray) -> np.dtype:
        """The NumPy dtype of the result for an operand like ``array``."""
        return array.dtype


class Add(Elementwise):
    """x + y. Integers wrap."""

    name = "add"
    operands = ("x", "y")
    compute = np.add

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(3, 4), normal(3, 4))),
            Sample(cls(), (ints(3, 4, high=2**62, dtype="int64"), ints(3, 4, high=2**62, dtype="int64")), "wraps", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[3]", "float32[4]"), "3 and 4 differ"),
            ErrorSample(cls, types("float32[3]", "int64[3]"), "cast one of them"),
            ErrorSample(cls, types("bool[3]", "bool[3]"), "takes int or float"),
        ]


class Div(Elementwise):
    """x / y. Integers truncate toward zero; a zero divisor of integers is undefined."""

    name = "div"
    operands = ("x", "y")
    numerics = "integers truncate toward zero (-7/2 is -3); x/0 is inf or NaN for floats, undefined for integers"

    def meaning(self, *arrays: np.ndarray) -> np.ndarray:
        x, y = arrays
        if x.dtype.kind in "iu":
            return x // y + ((x % y != 0) & ((x < 0) != (y < 0))).astype(x.dtype)
        return np.divide(x, y)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(3, 4), positive(3, 4))),
            Sample(cls(), (np.array([-7, 7, -7, 7]), np.array([2, 2, -2, -2])), "truncates", exact=True),
        ]


class Compare(Elementwise):
    """x == y, x < y, ... as bool. Any comparison with NaN is false, except `ne`, which is true."""

    name = "compare"
    operands = ("x", "y")
    kinds = KINDS_ALL
    direction: OneOf["eq", "ne", "lt", "le", "gt", "ge"]
    numerics = "comparisons with NaN are false, ne is true"
    gradient = "zero"

    def result(self, operand: TensorType) -> TensorType:
        return operand.with_dtype(DType.BOOL)

    def meaning(self, *arrays: np.ndarray) -> np.ndarray:
        x, y = arrays
        return {
            "eq": np.equal,
            "ne": np.not_equal,
            "lt": np.less,
            "le": np.less_equal,
            "gt": np.greater,
            "ge": np.greater_equal,
        }[self.direction](x, y)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(direction=direction), (np.array([1.0, 2.0, np.nan, 4.0], np.float32),
                                              np.array([1.0, 3.0, np.nan, 3.0], np.float32)), "NaN", exact=True)
            for direction in ("eq", "ne", "lt", "le", "gt", "ge")
        ]


class Exp(Elementwise):
    """e to the x."""

    name = "exp"
    kinds = ("float",)
    precision_class = Precision.KEEP
    compute = np.exp

    @classmethod
    def samples(cls) -> list[Sample]:
        return [Sample(cls(), (normal(3, 4),)),
                Sample(cls(), (np.array([-np.inf, np.inf, 0, 100], np.float32),), "saturates to 0 and inf")]
