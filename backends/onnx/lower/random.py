"""Random bits: Threefry-2x32 with 20 rounds in unsigned 32-bit operators, bit for bit what the op means.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import numpy as np

from ....compiler.ir import DType, Node
from ....compiler.ir.dims import bounds, product
from ..capabilities import Lowering
from ..emit import Emitter
from .elementwise import UINT64

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_WORD = 2**32

Pair = tuple[str, str]


def _random_bits(e: Emitter, node: Node) -> None:
    seed, step = map(e.full, node.inputs)
    shape = node.output.type.shape
    count = product(shape)
    zero = e.number(0, DType.UINT32)
    key = _threefry(e, (_high(e, seed), _low(e, seed)), (zero, _low(e, step)))
    first, by = (e.number(value, DType.INT64) for value in (0, 1))
    places = e.op("Range", first, e.sizes.scalar(count), by)
    high = zero if bounds(count)[1] <= _WORD else _high(e, places)
    e.set(node.output, e.op("BitwiseXor", *_threefry(e, key, (high, _low(e, places)))), (count,))


def _high(e: Emitter, x: str) -> str:
    """The high 32 bits of int64."""
    bits = e.op("Cast", x, to=UINT64)
    return e.cast(e.op("BitShift", bits, e.constant(np.asarray(32, np.uint64)), direction="RIGHT"), DType.UINT32)


def _low(e: Emitter, x: str) -> str:
    """The low 32 bits of int64."""
    return e.cast(x, DType.UINT32)


def _threefry(e: Emitter, key: Pair, counter: Pair) -> Pair:
    parity = e.number(_PARITY, DType.UINT32)
    keys = (*key, e.op("BitwiseXor", e.op("BitwiseXor", *key), parity))
    x, y = (e.op("Add", word, part) for word, part in zip(counter, key, strict=True))
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            x = e.op("Add", x, y)
            y = e.op("BitwiseXor", _rotated(e, y, rotation), x)
        x = e.op("Add", x, keys[(group + 1) % 3])
        y = e.op("Add", e.op("Add", y, keys[(group + 2) % 3]), e.number(group + 1, DType.UINT32))
    return x, y


def _rotated(e: Emitter, x: str, by: int) -> str:
    left = e.op("BitShift", x, e.number(by, DType.UINT32), direction="LEFT")
    right = e.op("BitShift", x, e.number(32 - by, DType.UINT32), direction="RIGHT")
    return e.op("BitwiseOr", left, right)


LOWERINGS: dict[str, Lowering] = {"random_bits": Lowering(_random_bits)}
