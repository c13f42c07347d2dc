"""Convolution of tensors whose channels are the last axis, as the layout pass chooses it where that is cheaper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ..ir.graph import Builder
from ..ir.op import Cost, ErrorSample, Op, Sample, Shapes
from ..ir.types import TensorType
from . import functional as fn
from .composite import Composite
from .contract import Convolution
from .samples import normal, types
from .tensor import Tensor


def to_last(rank: int) -> tuple[int, ...]:
    """The axes of ``[N, C, *spatial]`` in the order ``[N, *spatial, C]``."""
    return (0, *range(2, rank), 1)


def to_first(rank: int) -> tuple[int, ...]:
    """The axes of ``[N, *spatial, C]`` in the order ``[N, C, *spatial]``."""
    return (0, rank - 1, *range(1, rank - 1))


def kernel_to_last(rank: int) -> tuple[int, ...]:
    """The axes of ``[O, C, *kernel]`` in the order ``[*kernel, C, O]``."""
    return (*range(2, rank), 1, 0)


def kernel_to_first(rank: int) -> tuple[int, ...]:
    """The axes of ``[*kernel, C, O]`` in the order ``[O, C, *kernel]``."""
    return (rank - 1, rank - 2, *range(rank - 2))


class ConvChannelsLast(Composite, Convolution):
    """`conv` of x ``[N, *spatial, C]`` with w ``[*kernel, C / groups, O]``, which gives ``[N, *spatial, O]``."""

    name = "conv_channels_last"
    family: ClassVar[str] = "contract"

    def infer(self, shapes: Shapes, x: TensorType, w: TensorType) -> TensorType:
        last = x.rank - 1
        of_x, of_w = (tuple(range(1, last)), last), (tuple(range(last - 1)), last - 1, last)
        return x.with_shape((x.shape[0], *self.grid(shapes, x, w, of_x, of_w), w.shape[last]))

    def decompose(self, build: Builder, x: Tensor, w: Tensor) -> Tensor:
        fields = {key: value for key, value in self.fields().items() if key != "present"}
        first = fn.conv(fn.transpose(x, to_first(x.rank)), fn.transpose(w, kernel_to_first(w.rank)), **fields)
        return fn.transpose(first, to_last(x.rank))

    def cost(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Cost:
        x, w = inputs
        return self.work(x, outputs[0], w.shape[-1], w.shape[-2], w.shape[:-2], 1)

    @classmethod
    def samples(cls) -> list[Sample]:
        x, w = normal(2, 7, 6, 4), normal(3, 2, 4, 6)
        uneven = cls(stride=(2, 1), padding=((1, 2), (0, 1)), window_dilation=(1, 2))
        spread = cls(input_dilation=(2, 3), padding=((2, 1), (0, 3)))
        dilated = cls(stride=(2, 2), padding=((1, 1), (1, 1)), groups=4)
        return [
            Sample(cls(), (x, w)),
            Sample(uneven, (x, w), "stride, uneven padding, dilation"),
            Sample(spread, (x, w), "input dilation (transposed)"),
            Sample(cls(padding=((-1, 0), (1, -2))), (x, w), "negative padding cuts"),
            Sample(cls(groups=2), (x, normal(3, 2, 2, 6)), "groups"),
            Sample(cls(groups=4, padding=((1, 1), (1, 1))), (x, normal(3, 3, 1, 4)), "depthwise"),
            Sample(dilated, (x, normal(3, 3, 1, 8)), "depthwise with a multiplier and a stride"),
            Sample(cls(), (x, normal(1, 1, 4, 5)), "pointwise"),
            Sample(cls(stride=(2, 3)), (x, normal(1, 1, 4, 5)), "pointwise with a stride"),
            Sample(cls(padding=((2, 0),)), (normal(2, 8, 3), normal(3, 3, 4)), "one axis, causal"),
            Sample(cls(stride=(1, 2, 1)), (normal(1, 4, 5, 4, 2), normal(2, 3, 2, 2, 3)), "three axes"),
            Sample(cls(), (normal(1, 5, 5, 3, dtype="float16"), normal(3, 3, 3, 2, dtype="float16")), "16 bits"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        x, w = "float32[1, 8, 8, 4]", "float32[3, 3, 4, 6]"

        def grouped(groups: int) -> Op:
            return cls(groups=groups)

        return [
            ErrorSample(cls, types(x, "float32[3, 3, 3, 6]"), "the channels: 4 and 3 differ"),
            ErrorSample(lambda: grouped(4), types(x, "float32[3, 3, 1, 6]"), "6 output channels are no multiple"),
            ErrorSample(lambda: grouped(0), types(x, w), "conv_channels_last: 0 groups"),
            ErrorSample(cls, types("float32[1, 2, 8, 4]", w), "2 is less than 3"),
            ErrorSample(cls, types(x, "float32[3, 4, 6]"), "needs weights with 4 axes"),
            ErrorSample(cls, types("float32[4, 8]", "float32[4, 8]"), "1 to 3 spatial axes"),
            ErrorSample(lambda: cls(stride=(1,)), types(x, w), "stride has 1 entries, but there are 2 spatial axes"),
            ErrorSample(lambda: cls(padding=((1, 1),)), types(x, w), "padding has 1 entries"),
            ErrorSample(cls, types(x, "float64[3, 3, 4, 6]"), "different dtypes"),
            ErrorSample(cls, types("int64[1, 8, 8, 4]", "int64[3, 3, 4, 6]"), "takes float"),
        ]


OPS: tuple[type[Op], ...] = (ConvChannelsLast,)
