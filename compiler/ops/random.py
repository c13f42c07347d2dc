"""The one primitive that makes random numbers: counter-based, the same bits on every target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ..ir.op import Access, Cost, ErrorSample, Op, OpError, Sample, Shapes, Sizes
from ..ir.types import DType, TensorType
from .samples import types

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_LOW = np.uint64(0xFFFFFFFF)

Pair = tuple[np.ndarray, np.ndarray]


class RandomBits(Op):
    """Random uint32, a pure function of ``seed``, ``step`` and the place in the result.

    The key is ``threefry((seed >> 32, seed mod 2^32), (0, step mod 2^32))``; the element at row-major place i is
    ``a xor b`` with ``(a, b) = threefry(key, (i >> 32, i mod 2^32))``. That is
    ``jax.random.bits(jax.random.fold_in(jax.random.key(seed), step), shape, "uint32")``.
    """

    name = "random_bits"
    source = "Salmon, Moraes, Dror, Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011; jax.random.bits"
    numerics = "equal on every target, bit for bit"
    family: ClassVar[str] = "random"
    operands = ("seed", "step")
    access = (Access.BROADCAST, Access.BROADCAST)
    gradient = "zero"
    shape: Sizes

    def infer(self, shapes: Shapes, seed: TensorType, step: TensorType) -> TensorType:
        for word, type in (("seed", seed), ("step", step)):
            if type != TensorType(DType.INT64, ()):
                raise OpError(f"random_bits: the {word} is int64[], not {type}")
        return TensorType(DType.UINT32, self.shape)

    def meaning(self, seed: np.ndarray, step: np.ndarray) -> np.ndarray:
        shape = tuple(int(size) for size in self.shape)
        key = threefry(_words(np.asarray(seed)), (np.zeros((), np.uint32), _words(np.asarray(step))[1]))
        first, second = threefry(key, _words(np.arange(int(np.prod(shape, dtype=int)))))
        return (first ^ second).reshape(shape)

    def cost(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Cost:
        return Cost(_OPERATIONS * outputs[0].elements)

    @classmethod
    def samples(cls) -> list[Sample]:
        def case(seed: int, step: int, shape: tuple[int, ...], note: str) -> Sample:
            return Sample(cls(shape=shape), (np.array(seed), np.array(step)), note, exact=True)

        return [
            case(0, 0, (3, 4), "zeros"),
            case(42, 7, (5,), "a seed and a step"),
            case(2**40 + 3, 1, (2, 2), "a seed of 64 bits"),
            case(-1, 2**31 - 1, (2, 1, 3), "a negative seed, a late step"),
            case(1, 2, (), "a scalar"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(lambda: cls(shape=(2,)), types("int64[1]", "int64[]"), "the seed is int64[]"),
            ErrorSample(lambda: cls(shape=(2,)), types("int64[]", "int32[]"), "the step is int64[]"),
            ErrorSample(lambda: cls(shape=(-2,)), types("int64[]", "int64[]"), "is negative"),
        ]


def _words(value: np.ndarray) -> Pair:
    """The high and the low 32 bits of integers."""
    bits = value.astype(np.int64).view(np.uint64)
    return (bits >> np.uint64(32)).astype(np.uint32), (bits & _LOW).astype(np.uint32)


def threefry(key: Pair, counter: Pair) -> Pair:
    """Threefry-2x32 with 20 rounds: two words from a key of two and a counter of two (arrays of uint32).

    Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    keys = (key[0], key[1], key[0] ^ key[1] ^ _PARITY)
    with np.errstate(over="ignore"):
        x, y = counter[0] + keys[0], counter[1] + keys[1]
        for group in range(5):
            for rotation in _ROTATIONS[group % 2]:
                x = x + y
                y = (y << np.uint32(rotation)) | (y >> np.uint32(32 - rotation))
                y = y ^ x
            x = x + keys[(group + 1) % 3]
            y = y + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


_OPERATIONS = 2 + 5 * (4 * 5 + 3) + 1
"""Per result element: the first two additions, five groups of four rounds and a key, and the last xor."""

OPS: tuple[type[Op], ...] = (RandomBits,)
