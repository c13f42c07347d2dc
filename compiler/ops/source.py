"""Primitives that make tensors from attributes, and those that change only what the bits stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, InstanceOf

from ..ir.op import Access, Cost, ErrorSample, Op, OpError, Sample, Shapes, Size
from ..ir.types import DType, Literal, TensorType
from .rules import widened
from .samples import bools, ints, normal, special, types


class _Source(Op):
    """Base: what costs no arithmetic."""

    family: ClassVar[str] = "source"
    gradient = "zero"

    def cost(self, inputs: Any, outputs: Any) -> Cost:
        return Cost(0)


class Constant(_Source):
    """An array that is known when the program is compiled."""

    name = "constant"
    source = "ONNX Constant"
    numerics = "exact"
    operands = ()
    access = ()
    value: InstanceOf[Literal] = Field(json_schema_extra={"internal": True})

    @classmethod
    def attributes(cls) -> tuple[str, ...]:
        return ()

    def infer(self, shapes: Shapes) -> TensorType:
        return self.value.type

    def meaning(self) -> np.ndarray:
        return self.value.array()

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(value=Literal.of(normal(2, 3))), (), exact=True),
            Sample(cls(value=Literal.of(special())), (), "zeros, infinities, NaN"),
            Sample(cls(value=Literal.of(ints(4, low=-9))), (), "integers", exact=True),
            Sample(cls(value=Literal.of(True)), (), "a scalar", exact=True),
        ]


class Iota(_Source):
    """0, 1, 2, ..., length - 1, along one axis."""

    name = "iota"
    source = "XLA operation semantics: Iota; numpy.arange"
    numerics = "exact up to the whole numbers that the dtype has"
    operands = ()
    access = ()
    length: Size
    dtype: DType = DType.INT64

    def infer(self, shapes: Shapes) -> TensorType:
        if self.dtype is DType.BOOL:
            raise OpError("iota: counts in int or float, not bool")
        return TensorType(self.dtype, (self.length,))

    def meaning(self) -> np.ndarray:
        return np.arange(int(self.length)).astype(self.dtype.numpy)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(length=5), (), exact=True),
            Sample(cls(length=0), (), "empty", exact=True),
            Sample(cls(length=5, dtype=DType.FLOAT32), (), "floats", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(length=3, dtype=DType.BOOL), (), "counts in int or float"),
            ErrorSample(lambda: cls(length=-1), (), "is negative"),
        ]


class Dimension(_Source):
    """A size that is found at run time, as an int64 scalar."""

    name = "dimension"
    source = "ONNX Shape"
    numerics = "exact"
    operands = ()
    access = ()
    size: Size

    def infer(self, shapes: Shapes) -> TensorType:
        return TensorType(DType.INT64, ())

    def meaning(self) -> np.ndarray:
        return np.asarray(int(self.size), np.int64)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(size=7), (), exact=True),
        ]


class Cast(_Source):
    """The values of x in another dtype.

    Float to int drops the fraction and stays inside the range of the target; NaN gives 0. Int to int keeps the low
    bits. To bool is x != 0; from bool gives 0 and 1. To a narrower float rounds to the nearest, halves to even.
    """

    name = "cast"
    source = "XLA operation semantics: ConvertElementType; IEEE 754-2019, 5.4"
    numerics = "float to int saturates, NaN gives 0; int to int keeps the low bits; NaN to bool is true"
    access = (Access.SAME,)
    gradient = "differentiable"
    dtype: DType

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        return x.with_dtype(self.dtype)

    def meaning(self, x: np.ndarray) -> np.ndarray:
        target = self.dtype.numpy
        with np.errstate(all="ignore"):
            if self.dtype is DType.BOOL:
                return np.asarray(widened(x) != 0)
            if self.dtype.kind == "int" and DType.of(x).is_float:
                return _saturated(x.astype(np.float64), target)
            return x.astype(target)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x,), (g,) = operands, gradients
        return [g.cast(x.dtype)]

    @classmethod
    def samples(cls) -> list[Sample]:
        floats = np.array([-1e30, -2.7, -0.5, 0, 0.5, 2.7, 300, 1e30, np.inf, -np.inf, np.nan], np.float32)
        whole = np.array([-1, 0, 1, 127, 128, 255, 256, 2**31, -(2**31) - 1])
        dtypes = (DType.INT8, DType.UINT8, DType.INT32, DType.UINT32, DType.INT64)
        return [
            *(Sample(cls(dtype=dtype), (floats,), "float to int saturates", exact=True) for dtype in dtypes),
            *(Sample(cls(dtype=dtype), (whole,), "int to int wraps", exact=True) for dtype in dtypes),
            *(Sample(cls(dtype=dtype), (bools(5),), "bool to number", exact=True) for dtype in DType),
            Sample(cls(dtype=DType.BOOL), (floats,), "float to bool", exact=True),
            Sample(cls(dtype=DType.BOOL), (whole,), "int to bool", exact=True),
            Sample(cls(dtype=DType.FLOAT32), (whole,), "int to float", exact=True),
            Sample(cls(dtype=DType.FLOAT32), (normal(5, dtype="float64"),), "rounds to the nearest", exact=True),
            Sample(cls(dtype=DType.FLOAT16), (normal(5),), "rounds to the nearest", exact=True),
            Sample(cls(dtype=DType.BFLOAT16), (normal(5),), "rounds to the nearest", exact=True),
            Sample(cls(dtype=DType.FLOAT32), (normal(5, dtype="bfloat16"),), "widens", exact=True),
        ]


def _saturated(x: np.ndarray, target: np.dtype) -> np.ndarray:
    low, high = int(np.iinfo(target).min), int(np.iinfo(target).max)
    inside = (x > low) & (x < high)
    edges = np.where(x >= high, np.array(high, target), np.array(low, target))
    edges = np.where(np.isnan(x), np.array(0, target), edges)
    return np.where(inside, np.where(inside, x, 0).astype(target), edges)


class Bitcast(_Source):
    """The bits of x read as another dtype of the same width: int or uint as float, or back, or one as the other."""

    name = "bitcast"
    source = "XLA operation semantics: BitcastConvertType"
    numerics = "exact; which bits a NaN has is undefined"
    access = (Access.SAME,)
    dtype: DType

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        kinds = {x.dtype.kind, self.dtype.kind}
        if "bool" in kinds or (kinds == {"float"} and x.dtype is not self.dtype):
            raise OpError(f"bitcast: between int and float or int and int, not from {x} to {self.dtype.value}")
        if x.dtype.bytes != self.dtype.bytes:
            raise OpError(f"bitcast: {x} has {x.dtype.bytes} bytes an element, {self.dtype.value} {self.dtype.bytes}")
        return x.with_dtype(self.dtype)

    def meaning(self, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x).view(self.dtype.numpy).reshape(x.shape)

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(dtype=DType.UINT32), (normal(2, 3),), "float as word", exact=True),
            Sample(cls(dtype=DType.FLOAT32), (normal(2, 3).view(np.uint32),), "word as float", exact=True),
            Sample(cls(dtype=DType.INT32), (ints(4, high=2**32, dtype="uint32"),), "unsigned as signed", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(dtype=DType.INT64), types("float32[3]"), "has 4 bytes an element, int64 8"),
            ErrorSample(lambda: cls(dtype=DType.UINT8), types("bool[3]"), "between int and float"),
            ErrorSample(lambda: cls(dtype=DType.BFLOAT16), types("float16[3]"), "between int and float"),
        ]


class StopGradient(_Source):
    """x, through which no gradient flows."""

    name = "stop_gradient"
    source = "jax.lax.stop_gradient"
    numerics = "exact"
    access = (Access.SAME,)

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        return x

    def meaning(self, x: np.ndarray) -> np.ndarray:
        return x

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(2, 3),), exact=True),
        ]


OPS: tuple[type[Op], ...] = (Constant, Iota, Dimension, Cast, Bitcast, StopGradient)
