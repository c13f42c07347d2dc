"""Where buffers lie in one block of memory."""

import math
from collections import deque

import numpy as np


def pack(rows: tuple) -> tuple[list[int], int]:
    """The offset of each buffer, and the bytes that hold them all.

    A row is (first use, last use, bytes). The largest goes first, each into the tightest gap between those placed
    that are in use at the same time. Offsets are multiples of 64.
    """
    count = len(rows)
    first, last, size = (np.array([row[k] for row in rows], np.int64) for k in range(3))
    size = -(-size // 64) * 64
    offsets = np.zeros(count, np.int64)
    placed = np.zeros(count, bool)
    total = 0
    for one in sorted(range(count), key=lambda k: (-size[k], k)):
        near = np.nonzero(placed & (first <= last[one]) & (last >= first[one]))[0]
        at, best, end = None, None, 0
        for other in near[np.argsort(offsets[near], kind="stable")]:
            gap = int(offsets[other]) - end
            if gap >= size[one] and (best is None or gap < best):
                at, best = end, gap
            end = max(end, int(offsets[other] + size[other]))
        offsets[one] = end if at is None else at
        placed[one] = True
        total = max(total, int(offsets[one] + size[one]))
    return [int(offset) for offset in offsets], total


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


KERNELS = (pack, Plan)
