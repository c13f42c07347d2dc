"""Softmax and its logarithm, log-sum-exp, and gated linear units: activations that couple the elements of an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from ..ir.dims import floordiv
from ..ir.graph import Builder
from ..ir.op import Access, ErrorSample, Op, Sample, Shapes
from ..ir.types import TensorType
from . import functional as fn
from .activation import Relu
from .activation_smooth import gelu
from .composite import Precise, in_float32, need_float
from .rules import normal_axis
from .samples import normal, types
from .tensor import Tensor, apply

Axis = Annotated[int, Field(ge=-64, le=63)]


class _Softmax(Precise):
    """Base: normalises along one axis."""

    family: ClassVar[str] = "activation"
    access: ClassVar[tuple[Access, ...]] = (Access.REDUCE,)
    source = "Bridle (1990), Probabilistic Interpretation of Feedforward Classification Network Outputs"
    axis: Axis = -1

    def canonical(self, x: TensorType) -> Op:
        return self.model_copy(update={"axis": normal_axis(self.name, self.axis, x.rank)})

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        need_float(self.name, x)
        return x

    @classmethod
    def samples(cls) -> list[Sample]:
        masked = np.array([[1, -np.inf, 0.5], [-np.inf, -np.inf, 3], [-np.inf] * 3, [500, 400, -500]], np.float32)
        return [
            Sample(cls(), (normal(3, 5) * 4,)),
            Sample(cls(axis=1), (normal(2, 7, 3) * 4,), "an inner axis"),
            Sample(cls(), (masked,), "masked, all masked (NaN), large"),
            Sample(cls(axis=0), (normal(1, 4, dtype="float64"),), "one element"),
            Sample(cls(), (normal(3, 33, dtype="float16"),), "float16"),
            Sample(cls(), (normal(3, 33, dtype="bfloat16"),), "bfloat16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(axis=2), types("float32[3, 4]"), "axis 2 of a tensor with 2 axes"),
            ErrorSample(cls, types("int64[3]"), "takes float"),
            ErrorSample(cls, types("float32[]"), "axis -1"),
        ]


class Softmax(_Softmax):
    """exp(x) / sum(exp(x)) along an axis, shifted by the maximum so that nothing overflows.

    An element of -inf gives 0; where all are -inf the result is NaN (`attention` gives 0 there).
    """

    name = "softmax"

    def formula(self, build: Builder, x: Tensor) -> Tensor:
        return softmax(x, self.axis)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        return [in_float32(self._pulled, results[0], gradients[0])]

    def _pulled(self, y: Tensor, g: Tensor) -> Tensor:
        return y * (g - fn.reduce_sum(g * y, self.axis, keep=True))


class LogSoftmax(_Softmax):
    """log(softmax(x)) along an axis: x - max - log(sum(exp(x - max))). NaN where all are -inf."""

    name = "log_softmax"

    def formula(self, build: Builder, x: Tensor) -> Tensor:
        return log_softmax(x, self.axis)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        return [in_float32(self._pulled, results[0], gradients[0])]

    def _pulled(self, y: Tensor, g: Tensor) -> Tensor:
        return g - fn.exp(y) * fn.reduce_sum(g, self.axis, keep=True)


class Logsumexp(Precise):
    """log(sum(exp(x))) over axes (None: all), shifted by the maximum. -inf where all are -inf, inf where one is inf."""

    name = "logsumexp"
    family: ClassVar[str] = "reduce"
    access: ClassVar[tuple[Access, ...]] = (Access.REDUCE,)
    axes: tuple[int, ...] | int | None = None
    keep: bool = False

    def canonical(self, x: TensorType) -> Op:
        return self.model_copy(update={"axes": fn.all_axes(self.name, self.axes, x.rank)})

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        need_float(self.name, x)
        return super().infer(shapes, x)  # type: ignore[return-value]

    def formula(self, build: Builder, x: Tensor) -> Tensor:
        top = self._top(x)
        total = fn.log(fn.reduce_sum(fn.exp(x - top), self.axes, keep=True)) + top
        return total if self.keep else fn.reduce_sum(total, self.axes)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        return [in_float32(self._pulled, operands[0], gradients[0])]

    def _pulled(self, x: Tensor, g: Tensor) -> Tensor:
        # The softmax, by shifted elements: the result has lost digits where it is large. Of elements that are all -inf
        # each has the share 0.
        raised = fn.exp(x - self._top(x))
        total = fn.reduce_sum(raised, self.axes, keep=True)
        return raised * (g.reshape(*total.shape) / fn.where(total == 0, 1, total))

    def _top(self, x: Tensor) -> Tensor:
        """The largest element; 0 where that is no finite number."""
        top = fn.reduce_max(x, self.axes, keep=True)
        return fn.where(fn.absolute(top) == np.inf, 0, top)

    @classmethod
    def samples(cls) -> list[Sample]:
        edges = np.array([[-np.inf] * 3, [np.inf, 0, 1], [500, 499, -500]], np.float32)
        return [
            Sample(cls(), (normal(3, 5) * 4,)),
            Sample(cls(axes=-1, keep=True), (normal(2, 3, 5),)),
            Sample(cls(axes=(0, 2)), (normal(2, 3, 5, dtype="float16"),), "float16"),
            Sample(cls(axes=1), (edges,), "infinite, large"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(lambda: cls(axes=3), types("float32[3, 4]"), "axis 3 of a tensor with 2 axes")]


class _Gated(Precise):
    """Base: x is cut into halves along an axis, value and gate."""

    family: ClassVar[str] = "activation"
    source = "Dauphin et al. (2016), Language Modeling with Gated Convolutional Networks; Shazeer (2020), GLU Variants"
    axis: Axis = -1

    def canonical(self, x: TensorType) -> Op:
        return self.model_copy(update={"axis": normal_axis(self.name, self.axis, x.rank)})

    def infer(self, shapes: Shapes, x: TensorType) -> TensorType:
        need_float(self.name, x)
        size = x.shape[self.axis]
        half = floordiv(size, 2)
        shapes.same(size, 2 * half, f"{self.name} cuts axis {self.axis} of {x} into halves")
        return x.with_shape((*x.shape[: self.axis], half, *x.shape[self.axis + 1 :]))

    def gate(self, x: Tensor) -> Tensor:
        """What the second half does to the first."""
        raise NotImplementedError(f"{type(self).__name__} declares no gate")

    def formula(self, build: Builder, x: Tensor) -> Tensor:
        size = x.shape[self.axis]
        half = floordiv(size, 2)
        return fn.slice_axis(x, self.axis, 0, half) * self.gate(fn.slice_axis(x, self.axis, half, 2 * half))

    @classmethod
    def samples(cls) -> list[Sample]:
        return [
            Sample(cls(), (normal(3, 8),)),
            Sample(cls(axis=1), (normal(2, 6, 5),), "an inner axis"),
            Sample(cls(axis=0), (normal(2, dtype="float16"),), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[3, 5]"), "into halves: 5 and 4 differ"),
            ErrorSample(cls, types("int64[3, 4]"), "takes float"),
        ]


class Glu(_Gated):
    """a sigmoid(b), with a and b the halves of x."""

    name = "glu"

    def gate(self, x: Tensor) -> Tensor:
        return fn.sigmoid(x)


class Reglu(_Gated):
    """a max(b, 0), with a and b the halves of x."""

    name = "reglu"

    def gate(self, x: Tensor) -> Tensor:
        return apply(x.build, Relu(), x)


class Geglu(_Gated):
    """a gelu(b), with a and b the halves of x."""

    name = "geglu"

    def gate(self, x: Tensor) -> Tensor:
        return gelu(x)


class Swiglu(_Gated):
    """a silu(b), with a and b the halves of x."""

    name = "swiglu"

    def gate(self, x: Tensor) -> Tensor:
        return x * fn.sigmoid(x)


class Bilinear(_Gated):
    """a b, with a and b the halves of x."""

    name = "bilinear"

    def gate(self, x: Tensor) -> Tensor:
        return x


def softmax(x: Tensor, axis: int) -> Tensor:
    """exp(x) / sum(exp(x)) along an axis."""
    e = fn.exp(x - fn.reduce_max(x, axis, keep=True))
    return e / fn.reduce_sum(e, axis, keep=True)


def log_softmax(x: Tensor, axis: int) -> Tensor:
    """Logarithm of the softmax."""
    shifted = x - fn.reduce_max(x, axis, keep=True)
    return shifted - fn.log(fn.reduce_sum(fn.exp(shifted), axis, keep=True))


OPS: tuple[type[Op], ...] = (Softmax, LogSoftmax, Logsumexp, Glu, Reglu, Geglu, Swiglu, Bilinear)
