"""The arenas of an entry: one block of memory for all buffers of a call."""

import math
from collections import deque

import numpy as np

from ....compiler.packing import PACKING, pack


class Plan:
    """What an entry needs for one set of sizes: a layout of its buffers, and the arenas that no call uses now."""

    def __init__(self, table: tuple, sized: tuple) -> None:
        self.table = [(dtype, shape, math.prod(shape) * np.dtype(dtype).itemsize) for _, _, dtype, shape in table]
        rows = tuple((row[0], row[1], place[2]) for row, place in zip(table, self.table))
        self.offsets, self.bytes = pack(rows)
        self.sized = sized
        self.free: deque = deque()

    def take(self) -> list[np.ndarray]:
        """The buffers of an arena, for one call."""
        try:
            return self.free.pop()
        except IndexError:
            memory = np.empty(self.bytes + 64, np.uint8)
            start = -memory.ctypes.data % 64
            return [
                memory[start + offset : start + offset + size].view(dtype).reshape(shape)
                for (dtype, shape, size), offset in zip(self.table, self.offsets)
            ]

    def give(self, buffers: list) -> None:
        """Put an arena back."""
        self.free.append(buffers)


KERNELS = (*PACKING, Plan)
