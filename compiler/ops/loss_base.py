"""What losses share: their dtype, and how the losses of elements or examples become one number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar
from typing import Literal as OneOf

import numpy as np
from pydantic import Field

from ..ir.dims import AnyDim, product
from ..ir.graph import Builder
from ..ir.op import Access, ErrorSample, OpError, Precision, Sample, Shapes
from ..ir.types import DType, TensorType
from . import functional as fn
from .composite import Composite, need_float, widen
from .samples import normal, types
from .tensor import Tensor

Reduction = Annotated[
    OneOf["mean", "sum", "none"], Field(description="what becomes of the losses of all: none keeps each by itself")
]


class Loss(Composite):
    """Base: a scalar in the dtype of the first operand; of 16-bit floats in float32."""

    family: ClassVar[str] = "loss"
    access: ClassVar[tuple[Access, ...]] = (Access.REDUCE,)
    precision_class = Precision.KEEP

    def result(self, x: TensorType, shape: tuple[AnyDim, ...] = ()) -> TensorType:
        """The type of the loss. Raises `OpError` unless x is a float."""
        need_float(self.name, x)
        return TensorType(DType.FLOAT32 if x.dtype.is_half else x.dtype, shape)


def reduced(losses: Tensor, reduction: Reduction) -> Tensor:
    """The mean or the sum of the losses, or all of them."""
    if reduction == "none":
        return losses
    return fn.mean(losses) if reduction == "mean" else fn.reduce_sum(losses)


class Pairwise(Loss):
    """Base: x and target have one shape; the target may be bool or int."""

    operands = ("x", "target")
    reduction: Reduction = "mean"

    def infer(self, shapes: Shapes, x: TensorType, target: TensorType) -> TensorType:
        what = f"{self.name} of {x} and {target}"
        if x.rank != target.rank:
            raise OpError(f"{what}: they have different numbers of axes")
        for a, b in zip(x.shape, target.shape, strict=True):
            shapes.same(a, b, what)
        return self.result(x, x.shape if self.reduction == "none" else ())

    def formula(self, x: Tensor, target: Tensor) -> Tensor:
        """The loss of each element."""
        raise NotImplementedError(f"{type(self).__name__} declares no formula")

    def slopes(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The derivatives of `formula` by x and by the target."""
        raise NotImplementedError(f"{type(self).__name__} declares no slopes")

    def decompose(self, build: Builder, x: Tensor, target: Tensor) -> Tensor:
        wide = widen(x)
        return reduced(self.formula(wide, target.cast(wide.dtype)), self.reduction)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x, target), (g,) = operands, gradients
        wide = widen(x)
        slopes = self.slopes(wide, target.cast(wide.dtype))
        share = g / product(x.shape) if self.reduction == "mean" else g
        of_x, of_target = (slope * share for slope in slopes)
        return [of_x.cast(x.dtype), of_target.cast(target.dtype) if target.dtype.is_float else None]

    @classmethod
    def shown(cls) -> tuple[np.ndarray, np.ndarray]:
        """Operands that suit the loss."""
        return normal(4, 5) * 2, normal(4, 5, salt=1)

    @classmethod
    def samples(cls) -> list[Sample]:
        x, target = cls.shown()
        return [
            Sample(cls(), (x, target)),
            Sample(cls(), (x[0, 0], target[0, 0]), "scalars"),
            Sample(cls(), (x.astype(np.float16), target.astype(np.float16)), "float16"),
            Sample(cls(reduction="sum"), (x, target), "sum"),
            Sample(cls(reduction="none"), (x, target), "none"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[3]", "float32[3, 1]"), "different numbers of axes"),
            ErrorSample(cls, types("float32[3]", "float32[4]"), "3 and 4 differ"),
            ErrorSample(cls, types("int64[3]", "float32[3]"), "takes float"),
            ErrorSample(lambda: cls(reduction="max"), types("float32[3]", "float32[3]"), "'mean', 'sum' or 'none'"),  # type: ignore[arg-type]
        ]
