"""Primitives that make tensors from attributes, and those that change only what the bits stand for."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field, InstanceOf

from ..ir.op import Access, Cost, ErrorSample, Op, OpError, Sample, Shapes, Size
from ..ir.types import DType, Literal, TensorType
from .rules import need_kind, widened
from .samples import ints, normal, types


class _Source(Op):
    """Base: what costs no arithmetic."""

    family: ClassVar[str] = "source"
    gradient = "zero"

    def cost(self, inputs: Any, outputs: Any) -> Cost:
        return Cost(0)


class Constant(_Source):
    """An array that is known when the program is compiled."""

    name = "constant"
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


class Iota(_Source):
    """0, 1, 2, ..., length - 1, along one axis."""

    name = "iota"
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


class Dimension(_Source):
    """A size that is found at run time, as an int64 scalar."""

    name = "dimension"
    operands = ()
    access = ()
    size: Size

    def infer(self, shapes: Shapes) -> TensorType:
        return TensorType(DType.INT64, ())

    def meaning(self) -> np.ndarray:
        return np.asarray(int(self.size), np.int64)


class Cast(_Source):
    """The values of x in another dtype.

    Float to int drops the fraction and stays inside the range of the target; NaN gives 0. Int to int keeps the low
    bits. To bool is x != 0; from bool gives 0 and 1. To a narrower float rounds to the nearest, halves to even.
    """

    name = "cast"
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


def _saturated(x: np.ndarray, target: np.dtype) -> np.ndarray:
    low, high = int(np.iinfo(target).min), int(np.iinfo(target).max)
    inside = (x > low) & (x < high)
    edges = np.where(x >= high, np.array(high, target), np.array(low, target))
    edges = np.where(np.isnan(x), np.array(0, target), edges)
    return np.where(inside, np.where(inside, x, 0).astype(target), edges)


class Bitcast(_Source):
    """The bits of x read as another dtype of the same width: int or uint as float, or back, or one as the other."""

    name = "bitcast"
    access = (Access.SAME,)
    dtype: DType

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        kinds = {x.dtype.kind, self.dtype.kind}
        if "bool" in kinds or kinds == {"float"} and x.dtype is not self.dtype:
            raise OpError(f"bitcast: between int and float or int and int, not from {x} to {self.dtype.value}")
        if x.dtype.bytes != self.dtype.bytes:
            raise OpError(f"bitcast: {x} has {x.dtype.bytes} bytes an element, {self.dtype.value} {self.dtype.bytes}")
        return x.with_dtype(self.dtype)

    def meaning(self, x: np.ndarray) -> np.ndarray:
        target = self.dtype.numpy
        # An evaluator that widens floats passes float64 where float32 is meant; the integer side keeps its width.
        if x.dtype.itemsize > target.itemsize:
            x = x.astype(np.float32)
        elif x.dtype.itemsize < target.itemsize:
            return x.view(np.float32).astype(target)
        return np.ascontiguousarray(x).view(target).reshape(x.shape)


class StopGradient(_Source):
    """x, through which no gradient flows."""

    name = "stop_gradient"
    access = (Access.SAME,)

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        return x

    def meaning(self, x: np.ndarray) -> np.ndarray:
        return x


OPS: tuple[type[Op], ...] = (Constant, Iota, Dimension, Cast, Bitcast, StopGradient)
