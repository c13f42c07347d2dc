"""What convolutions and windows cost in either layout: seconds of one core, from what a few shapes took.

Measured on an AVX-512 machine with NumPy 2.4; only the proportions count. With the channels last, what a window sees
are long runs to copy, and 3 x 3 kernels can be filtered by Winograd's method.
"""

from __future__ import annotations

import math

from ...compiler.ir import DType, Node, TensorType
from ...compiler.ops.contract import Conv, Dot
from ...compiler.ops.window import Window
from .lower.channels_last import winograd_saves

PRODUCT = 1 / 60e9
"""A multiplication with its addition, in a matrix product."""
TURNED = 1.1
"""The time of a product with few rows and many columns, to that of the product with few columns and many rows."""
NARROW = 16
"""Rows or columns below which a product is bound by reading the weights, in either order."""
WIDE = 1 << 22
"""Elements of a result, as scores of all words are, beyond which turning it back costs what was saved."""
MOVE = 0.5e-9
"""An element brought into another order."""
TAP_FIRST, TAP_LAST = 0.6e-9, 0.2e-9
"""An element of a window, seen and combined, with the spatial axes last or the channels last."""
COPY_FIRST, COPY_LAST = 0.35e-9, 0.2e-9
"""An element of unrolled windows."""
RUN = 8e-9
"""A stretch of elements that lie together, where an inner loop of NumPy starts again."""


def layout(node: Node) -> tuple[float, float] | None:
    """The natural form and the one with the channels last; None for what has one form only."""
    if isinstance(node.op, Window) and len(node.inputs[0].type.shape) > 1:
        taps = _elements(node.outputs[0].type) * math.prod(node.op.kernel)
        sizes = [max(1, size) for size in _numbers(node.outputs[0].type)]
        width, channels = sizes[-1], sizes[1]
        return taps * (TAP_FIRST + RUN / width), taps * (TAP_LAST + RUN / channels)
    if isinstance(node.op, Dot):
        return _product(node, node.op)
    if not isinstance(node.op, Conv) or any(step != 1 for step in node.op.input_dilation):
        return None
    op, result = node.op, node.output.type
    (_, channels, *_), (filters, *window) = (_numbers(value.type) for value in node.inputs)
    seen = math.prod(window)
    points = _elements(result) // max(1, filters)
    if op.groups > 1 and window[0] == 1:
        taps = _elements(result) * seen
        return taps * TAP_FIRST, taps * TAP_LAST
    products = _elements(result) * seen * PRODUCT
    bare = seen == channels and all(step == 1 for step in op.stride)
    columns = 0 if bare else points * seen * op.groups
    batch, _, *sizes = _numbers(result)
    # A bias is added to runs of one channel, or of all.
    natural = columns * (COPY_FIRST + RUN / max(1, sizes[-1])) + _elements(result) * RUN / max(1, math.prod(sizes))
    last = columns * (COPY_LAST + RUN / max(1, channels * window[-1])) + _elements(result) * RUN / max(1, filters)
    natural, last = products + natural, products + last
    if len(sizes) == 2 and winograd_saves(op, tuple(window[1:]), channels, (batch, *sizes, filters), result.dtype):
        # A quarter of the products, and transforms.
        tiles = points / 16
        last = products / 4 + tiles * 36 * (36 * channels + 16 * filters) * PRODUCT + tiles * 52 * channels * MOVE
    return natural, last


def _product(node: Node, op: Dot) -> tuple[float, float] | None:
    """Where few rows meet many weights, OpenBLAS is faster if the result has the features first."""
    lhs, rhs = (_numbers(value.type) for value in node.inputs)
    rows, columns = op.free(len(lhs), len(rhs))
    sides = math.prod(lhs[axis] for axis in rows), math.prod(rhs[axis] for axis in columns)
    if op.lhs_batch or min(sides) < NARROW or math.prod(sides) > WIDE or node.output.type.dtype is not DType.FLOAT32:
        return None
    products = math.prod(sides) * math.prod(lhs[axis] for axis in op.lhs_contract) * PRODUCT
    return products * (TURNED if sides[0] < sides[1] else 1.0), products


def conversion(type: TensorType) -> float:
    """The axes of a tensor in another order."""
    return _elements(type) * MOVE


def _elements(type: TensorType) -> int:
    return math.prod(_numbers(type))


def _numbers(type: TensorType) -> list[int]:
    """The sizes, which all are whole numbers here."""
    return [size for size in type.shape if isinstance(size, int)]
