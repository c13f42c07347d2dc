"""Primitives that bring each window of a sliding grid to one number, and the way back for the largest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product as every
from typing import Any, ClassVar

import numpy as np

from ..ir.dims import AnyDim, floordiv
from ..ir.op import Access, Cost, ErrorSample, Op, OpError, Precision, Sample, Shapes
from ..ir.types import DType, TensorType
from .rules import lowest, need_at_least, need_kind, need_length, need_positive, need_same_dtype, widened
from .samples import ints, normal, types
from .shape import Pad


class Window(Op):
    """Base: a window at every position of a grid over all axes of x.

    Along each axis: ``kernel`` elements, ``dilation`` apart, every ``stride`` elements of the padded x, which gives
    ``(size + low + high - dilation * (kernel - 1) - 1) // stride + 1`` positions.
    """

    family: ClassVar[str] = "window"
    access: ClassVar[tuple[Access, ...]] = (Access.WINDOW,)
    kernel: tuple[int, ...]
    stride: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    dilation: tuple[int, ...] = ()

    @classmethod
    def settings(cls) -> list[Window]:
        """One for each freedom, for images [2, 3, 6, 5]."""
        return [
            cls(kernel=(1, 1, 2, 2), stride=(1, 1, 2, 2)),
            cls(kernel=(1, 1, 3, 2), padding=((0, 0), (0, 0), (1, 1), (0, 1))),
            cls(kernel=(1, 1, 2, 3), stride=(1, 1, 2, 1), dilation=(1, 1, 3, 1)),
            cls(kernel=(1, 3, 1, 1), padding=((0, 0), (1, 1), (0, 0), (0, 0))),
        ]

    @classmethod
    def samples(cls) -> list[Sample]:
        notes = ("strides", "uneven padding", "dilation", "across channels")
        gap = cls(kernel=(1,), stride=(2,), padding=((1, 1),))
        return [
            *(Sample(op, (normal(2, 3, 6, 5),), note) for op, note in zip(cls.settings(), notes, strict=True)),
            Sample(cls(kernel=(2, 2)), (ints(3, 4, low=-9),), "integers", exact=True),
            Sample(cls(kernel=(2,)), (np.array([1, np.nan, 2, 3, -np.inf], np.float32),), "infinity, NaN"),
            Sample(gap, (normal(3),), "windows of padding only", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        rest = types("float32[4]") if cls.operands == ("x", "dy") else ()
        image, line = (*types("float32[3, 3]"), *rest), (*types("float32[4]"), *rest)
        return [
            ErrorSample(lambda: cls(kernel=(2,)), image, "kernel has 1 entries, but there are 2 axes"),
            ErrorSample(lambda: cls(kernel=(5,)), line, "4 is less than 5"),
            ErrorSample(lambda: cls(kernel=(0,)), line, "kernel [0] has an entry below 1"),
            ErrorSample(lambda: cls(kernel=(2,), stride=(0,)), line, "stride [0] has an entry below 1"),
            ErrorSample(lambda: cls(kernel=(2,), padding=((-1, 0),)), line, "has a negative entry"),
            ErrorSample(lambda: cls(kernel=(2,)), (*types("bool[4]"), *rest), "takes"),
        ]

    def canonical(self, x: TensorType, *others: TensorType) -> Window:
        ones = (1,) * x.rank
        steps = {"kernel": self.kernel, "stride": self.stride or ones, "dilation": self.dilation or ones}
        for field, given in steps.items():
            need_length(self.name, field, given, x.rank, f"axes in {x}")
            need_positive(self.name, field, given)
        padding = self.padding or ((0, 0),) * x.rank
        need_length(self.name, "padding", padding, x.rank, f"axes in {x}")
        if any(low < 0 or high < 0 for low, high in padding):
            raise OpError(f"{self.name}: padding {list(padding)} has a negative entry")
        return self.model_copy(update={**steps, "padding": padding})

    def grid(self, shapes: Shapes, x: TensorType) -> TensorType:
        """The type of one number for each window. Raises `OpError`."""
        need_kind(self.name, x, "int", "float")
        sizes: list[AnyDim] = []
        for axis, size in enumerate(x.shape):
            low, high = self.padding[axis]
            padded, window = size + low + high, self.dilation[axis] * (self.kernel[axis] - 1) + 1
            need_at_least(shapes, padded, window, f"{self.name} of {x}: the padded axis {axis}, for the window")
            sizes.append(floordiv(padded - window, self.stride[axis]) + 1)
        return x.with_shape(tuple(sizes))

    def infer(self, shapes: Shapes, x: TensorType, *others: TensorType) -> TensorType:
        return self.grid(shapes, x)

    def cost(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Cost:
        return Cost(outputs[0].elements * math.prod(self.kernel))

    def _views(self, x: np.ndarray, fill: float) -> Iterator[np.ndarray]:
        """For each place in the window, in row-major order: what stands there, for all windows."""
        padded = np.pad(x, self.padding, constant_values=fill)
        for offset in every(*map(range, self.kernel)):
            read = []
            for axis, q in enumerate(offset):
                window = self.dilation[axis] * (self.kernel[axis] - 1) + 1
                start = q * self.dilation[axis]
                read.append(slice(start, start + padded.shape[axis] - window + 1, self.stride[axis]))
            yield padded[tuple(read)]


class WindowSum(Window):
    """The sum of each window; what lies outside x counts 0."""

    name = "window_sum"
    source = "XLA operation semantics: ReduceWindow"
    numerics = "integers wrap; 16-bit floats are summed in float32; padding adds 0"
    precision_class = Precision.KEEP

    def meaning(self, x: np.ndarray) -> np.ndarray:
        total: np.ndarray | int = 0
        with np.errstate(all="ignore"):
            for view in self._views(widened(x), 0):
                total = total + view
        return np.asarray(total).astype(x.dtype)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        # Each element gets what the windows over it got: a sum over windows of the results, spread by the stride.
        (x,), (y,), (g,) = operands, results, gradients
        low, high = [], []
        for axis, (before, _) in enumerate(self.padding):
            reach = (self.kernel[axis] - 1) * self.dilation[axis]
            low.append(reach - before)
            high.append(x.shape[axis] - (y.shape[axis] - 1) * self.stride[axis] - 1 + before)
        interior = tuple(stride - 1 for stride in self.stride)
        spread = g.then(Pad(low=tuple(low), high=tuple(high), interior=interior), g.scalar(0))
        return [spread.then(WindowSum(kernel=self.kernel, dilation=self.dilation))]


class WindowMax(Window):
    """The largest element of each window; what lies outside x counts as less than anything."""

    name = "window_max"
    source = "XLA operation semantics: ReduceWindow"
    numerics = "NaN if one is NaN; a window of padding only gives -inf, or the least integer"

    def meaning(self, x: np.ndarray) -> np.ndarray:
        wide = widened(x)
        result: np.ndarray | None = None
        for view in self._views(wide, lowest(wide.dtype)):
            result = view if result is None else np.maximum(result, view)
        return np.asarray(result).astype(x.dtype)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x,), (g,) = operands, gradients
        return [x.then(WindowMaxGrad(**self.fields()), g)]


class WindowMaxGrad(Window):
    """The gradient of `window_max` for x: each element of dy goes to the first largest element of its window.

    ``dy`` has the shape of ``window_max(x)``, the result the shape of x; elements that several windows chose get the
    sum. A window without an element of x passes nothing on.
    """

    name = "window_max_grad"
    source = "XLA operation semantics: SelectAndScatter"
    numerics = "of equal places the first in row-major order takes all; NaN counts as the largest"
    operands = ("x", "dy")
    access = (Access.WINDOW, Access.WINDOW)
    gradient = "refused: the second derivative of a maximum"

    def infer(self, shapes: Shapes, x: TensorType, *others: TensorType) -> TensorType:
        (dy,) = others
        need_kind(self.name, x, "float")
        need_same_dtype(self.name, x, dy)
        grid = self.grid(shapes, x)
        if dy.rank != grid.rank:
            raise OpError(f"window_max_grad: dy is {dy} where {grid} is needed")
        for left, right in zip(grid.shape, dy.shape, strict=True):
            shapes.same(left, right, f"window_max_grad: dy is {dy} where {grid} is needed")
        return x

    def meaning(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        wide = widened(x)
        places = np.arange(wide.size).reshape(wide.shape)
        best = np.full(dy.shape, -np.inf)
        chosen = np.full(dy.shape, -1)
        for value, place in zip(self._views(wide, -np.inf), self._views(places, -1), strict=True):
            larger = (value > best) | (np.isnan(value) & ~np.isnan(best)) | (chosen < 0)
            larger &= place >= 0
            best, chosen = np.where(larger, value, best), np.where(larger, place, chosen)
        result = np.zeros(wide.size, wide.dtype)
        np.add.at(result, chosen[chosen >= 0], widened(dy)[chosen >= 0])
        return result.reshape(x.shape).astype(x.dtype)

    def cost(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Cost:
        return Cost(inputs[1].elements * math.prod(self.kernel))

    @classmethod
    def samples(cls) -> list[Sample]:
        x = normal(2, 3, 6, 5)
        grids = [WindowMax(**op.fields()) for op in cls.settings()]
        dys = [normal(*op.canonical(_type(x)).meaning(x).shape, salt=1) for op in grids]
        notes = ("strides", "uneven padding", "dilation", "across channels")
        ties = np.array([1, 1, 0, 2, 2, 2], np.float32)
        return [
            *(Sample(op, (x, dy), note) for op, dy, note in zip(cls.settings(), dys, notes, strict=True)),
            Sample(cls(kernel=(3,)), (ties, np.array([1, 10, 100, 1000], np.float32)), "ties", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            *super().error_samples(),
            ErrorSample(lambda: cls(kernel=(2,)), types("float32[4]", "float32[4]"), "where float32[3] is needed"),
            ErrorSample(lambda: cls(kernel=(2,)), types("float32[4]", "float32[1, 3]"), "where float32[3] is needed"),
        ]


def _type(x: np.ndarray) -> TensorType:
    return TensorType(DType.of(x), x.shape)


OPS: tuple[type[Op], ...] = (WindowSum, WindowMax, WindowMaxGrad)
