"""What convolutions cost on a GPU in either layout: seconds, from data sheets; only the proportions count.

A tile of the product reads a block of channels of each point that it sees. With the channels last those are loads of
16 bytes, which go to shared memory on their own (``cp.async``); with the spatial axes last each element is loaded by
itself, as a window that begins anywhere is aligned nowhere. Windows of one element are a plain product, whose operand
may be read along either axis.
"""

from __future__ import annotations

import math

from ...compiler.ir import DType, Node, TensorType
from ...compiler.ops.contract import Conv

BANDWIDTH = 2.5e12
"""Bytes read or written (an H100 or H200 reaches 80 percent of 3.35e12 or less)."""
RATES = {DType.FLOAT32: 20e12, DType.FLOAT16: 250e12, DType.BFLOAT16: 250e12, DType.FLOAT64: 20e12}
"""Multiplications with their additions: half of what the data sheet promises for true float32 and for tensor cores."""
LAUNCH = 2e-6
"""A kernel in a CUDA graph."""
ELEMENTWISE_LOADS = 1.5
"""How much longer a product takes whose operand comes element by element."""
EITHER_AXIS = 1.05
"""The same for an operand that is read along its other axis."""
VECTOR = 16
"""Bytes of the widest load."""


def layout(node: Node) -> tuple[float, float] | None:
    """The natural form and the one with the channels last; None for what costs the same in both."""
    op = node.op
    if not isinstance(op, Conv):
        return None
    x, w = (value.type for value in node.inputs)
    result = node.output.type
    seen = math.prod(_sizes(w)[1:])
    products = math.prod(_sizes(result)) * seen / RATES.get(x.dtype, RATES[DType.FLOAT32])
    least = max(products, sum(map(_bytes, (x, w, result))) / BANDWIDTH) + LAUNCH
    channels = _sizes(w)[1] * x.dtype.bytes
    if channels % VECTOR:
        # Neither form has wide loads: the channels of an image, or one for each group.
        return least, least
    bare = all(size == 1 for size in _sizes(w)[2:]) and op.groups == 1
    return least * (EITHER_AXIS if bare else ELEMENTWISE_LOADS), least


def conversion(type: TensorType) -> float:
    """The axes of a tensor in another order: read once, written once."""
    return 2 * _bytes(type) / BANDWIDTH + LAUNCH


def _sizes(type: TensorType) -> list[int]:
    """The sizes, which all are whole numbers here."""
    return [size for size in type.shape if isinstance(size, int)]


def _bytes(type: TensorType) -> int:
    return math.prod(_sizes(type)) * type.dtype.bytes
