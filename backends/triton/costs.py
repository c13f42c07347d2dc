"""What convolutions and windows cost in either layout: seconds of one H100, from its data sheet and the memory that a
kernel touches. Only proportions count.

With the channels last, the loads of a convolution's depth are runs of 16 bytes that go to shared memory on their own;
with the spatial axes last they are single elements that wait in registers. A convolution of single points is a plain
product either way, and a depthwise one reads runs either way.
"""

from __future__ import annotations

import math

from ...compiler.ir import Node, TensorType
from ...compiler.ops.contract import Conv
from ...compiler.ops.window import Window

BANDWIDTH = 3.35e12
"""Bytes of memory in a second (NVIDIA H100 SXM data sheet)."""
CORES, LANES = 600e12, 50e12
"""Operations in a second that a product reaches in 16-bit floats and in float32 (of 989e12 and 67e12)."""
FIRST_CORES, FIRST_LANES = 0.5, 0.8
"""The share of these that is left with the spatial axes last."""
FIRST_MOVES = 0.7
"""The share of the bandwidth that strided reads of windows reach there."""
CONVERSION = 0.7
"""The share of it that a transposition reaches."""


def layout(node: Node) -> tuple[float, float] | None:
    """The natural form and the one with the channels last; None for what has one form only."""
    moved = sum(_bytes(value.type) for value in (*node.inputs, *node.outputs)) / BANDWIDTH
    if isinstance(node.op, Window):
        return moved / FIRST_MOVES, moved
    if not isinstance(node.op, Conv):
        return None
    x, w = (value.type for value in node.inputs)
    _, channels, *kernel = _sizes(w)
    if node.op.groups > 1 and channels == 1:
        return moved / FIRST_MOVES, moved
    operations = 2 * math.prod(_sizes(node.output.type)) * channels * math.prod(kernel)
    half = x.dtype.is_half
    last = operations / (CORES if half else LANES)
    plain = math.prod(kernel) == 1 and all(step == 1 for step in node.op.stride)
    share = 1.0 if plain else FIRST_CORES if half else FIRST_LANES
    return max(moved, last / share), max(moved, last)


def conversion(type: TensorType) -> float:
    """The axes of a tensor in another order: read and written once."""
    return 2 * _bytes(type) / (BANDWIDTH * CONVERSION)


def _bytes(type: TensorType) -> int:
    return math.prod(_sizes(type)) * type.dtype.bytes


def _sizes(type: TensorType) -> list[int]:
    """The sizes, which all are whole numbers here."""
    return [size for size in type.shape if isinstance(size, int)]
