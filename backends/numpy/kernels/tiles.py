"""Fused kernels a tile at a time, by a few threads where that pays.

A kernel is a function of one tile; tiles do not depend on how many threads there are, so neither do results. The pool
starts when a kernel with two tiles first runs. It holds no work of its own: whoever calls takes tiles, too, and waits
for those only that others have begun, so calls from any thread, at any time, end.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count, environ, getpid

import numpy as np

from ....compiler.packing import pack

try:
    from os import sched_getaffinity
except ImportError:
    sched_getaffinity = None  # type: ignore[assignment]


def available_cores() -> int:
    """How many threads may work: NETWRIGHT_THREADS, or one per core, 8 at most; then memory is the limit."""
    wanted = environ.get("NETWRIGHT_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return min(cpu_count() or 1 if sched_getaffinity is None else len(sched_getaffinity(0)), 8)


def tile_sizes(axes: tuple, row: int, most: int) -> tuple:
    """How far a tile of about ``most`` elements reaches along the first axes, whose elements are ``row`` elements each.

    It is 1 along some, part of the next, and all of the rest: one piece of an array in row-major order.
    """
    found, room = [1] * len(axes), max(1, most // max(1, row))
    for axis in reversed(range(len(axes))):
        found[axis] = -(-axes[axis] // max(1, -(-axes[axis] // room)))
        if found[axis] < axes[axis]:
            break
        room //= max(1, axes[axis])
    return tuple(found)


def product_tile(columns: int, *axes: int) -> tuple:
    """How much of a matrix product to make at once: 256 rows along the first axes, columns for 192 KB with them."""
    rows = tile_sizes(axes, 1, 256)
    most = max(64, 49152 // max(1, math.prod(rows)))
    return (*rows, -(-columns // max(1, -(-columns // most))))


def product_rows(columns: int, *axes: int) -> tuple:
    """How many rows of a matrix product to make at once: those of 192 KB, but 256 at least."""
    return tile_sizes(axes, 1, max(256, 49152 // max(1, columns)))


def workers_for(tiles: int, elements: int) -> int:
    """How many work at once on so many tiles: one alone where a tile is less than 256 KB."""
    return max(1, min(available_cores(), tiles)) if elements >= 65536 else 1


class Tiles:
    """How a kernel is cut along its first axes, and the scratch memory of one tile.

    A tile is a pair (start, stop) for each of these axes; ``most`` are its sizes, by default 512 KB in float32, less
    where the scratch memory would be more than an eighth of all that the kernel computes. ``table`` gives (first use,
    last use, dtype, shape) of the scratch buffers for ``sizes`` and those of a tile; ``room`` are the bytes that all
    workers need. As many work as there is room for, but one alone on tiles below 256 KB.
    """

    def __init__(self, axes: tuple, row: int, table: Callable | None, sizes: tuple, most: tuple | None = None) -> None:
        self.table, self.sizes, self.axes, self.workers = table, sizes, axes, 1
        budget = max(131072, math.prod(axes) * row // 2)
        wanted = tile_sizes(axes, row, 131072) if most is None else most
        wanted = wanted[len(wanted) - len(axes) :]
        self.places: dict = {}
        self.offsets, self.each = self.packed(wanted)
        if most is None and self.each > budget:
            wanted = tile_sizes(axes, row, max(16384, int(131072 * budget / self.each)))
            self.offsets, self.each = self.packed(wanted)
        parts = ([(at, min(at + step, size)) for at in range(0, size, step or 1)] for size, step in zip(axes, wanted))
        self.tiles = list(itertools.product(*parts))
        if most is None:
            able = budget // self.each if self.each else len(self.tiles)
            self.workers = workers_for(min(len(self.tiles), able), math.prod(wanted) * row)
        self.room = self.workers * self.each

    def packed(self, tile: tuple) -> tuple:
        """The offsets of the scratch buffers for a tile of these sizes, and their bytes."""
        if self.table is None:
            return [], 0
        rows = self.table(self.sizes, tile)
        return pack([(a, b, math.prod(shape) * np.dtype(dtype).itemsize) for a, b, dtype, shape in rows])

    def scratch(self, memory: np.ndarray | None, tile: tuple) -> list:
        """The scratch buffers for a tile, in the memory of one worker."""
        if memory is None or self.table is None:
            return []
        shape = tuple(stop - start for start, stop in tile)
        if shape not in self.places:
            rows = zip(self.table(self.sizes, shape), self.offsets)
            self.places[shape] = [
                (at, at + math.prod(shape) * np.dtype(dtype).itemsize, dtype, shape) for (*_, dtype, shape), at in rows
            ]
        return [memory[at:end].view(dtype).reshape(shape) for at, end, dtype, shape in self.places[shape]]


def run_tiles(kernel: Callable, cut: Tiles, memory: np.ndarray | None, arrays: tuple, kept: tuple) -> None:
    """Run a kernel on each tile of ``arrays``. What it raises is raised, once nobody works any more."""
    if len(cut.tiles) == 1:
        kernel(cut.tiles[0], cut.sizes, arrays, cut.scratch(memory, cut.tiles[0]), kept)
        return
    todo = deque(cut.tiles)
    parts = [None if memory is None else memory[k * cut.each : (k + 1) * cut.each] for k in range(cut.workers)]
    others: list = []
    try:
        for part in parts[1:]:
            others += Threads.submit(take_tiles, kernel, cut, part, arrays, kept, todo)
        take_tiles(kernel, cut, parts[0], arrays, kept, todo)
    finally:
        # What nobody has begun is not waited for: its tiles are done.
        problems = [other.exception() for other in others if not other.cancel()]
    for problem in problems:
        if problem is not None:
            raise problem


def take_tiles(
    kernel: Callable, cut: Tiles, memory: np.ndarray | None, arrays: tuple, kept: tuple, todo: deque
) -> None:
    """Run a kernel on tiles until there are none left, or one fails."""
    with np.errstate(all="ignore"):
        while todo:
            try:
                tile = todo.popleft()
            except IndexError:
                return
            try:
                kernel(tile, cut.sizes, arrays, cut.scratch(memory, tile), kept)
            except BaseException:
                todo.clear()
                raise


class Finish:
    """What is done with each tile of a matrix product or a convolution while it is in the cache.

    The tile is made in ``out``, or where that is None in the first scratch buffer; ``shape`` is that of all tiles.
    """

    def __init__(
        self,
        kernel: Callable,
        cut: Tiles,
        memory: np.ndarray | None,
        arrays: tuple,
        kept: tuple,
        shape: tuple,
        out: np.ndarray | None,
    ) -> None:
        self.kernel, self.cut, self.memory, self.arrays, self.kept = kernel, cut, memory, arrays, kept
        self.shape, self.out = shape, None if out is None else out.reshape(shape)
        self.scratch: list = []

    def inside(self, tile: tuple) -> tuple:
        """The tile as the kernel knows it, without a first axis of one element."""
        return tile[len(tile) - len(self.cut.axes) :]

    def place(self, tile: tuple) -> np.ndarray:
        """Where to make a tile."""
        self.scratch = self.cut.scratch(self.memory, self.inside(tile))
        if self.out is None:
            return self.scratch[0]
        return self.out[tuple(slice(start, stop) for start, stop in tile)]

    def run(self, tile: tuple) -> None:
        """Do the rest."""
        self.kernel(self.inside(tile), self.cut.sizes, self.arrays, self.scratch, self.kept)


def finished_matmul(left: np.ndarray, right: np.ndarray, axes: int, finish: Finish) -> None:
    """left [M, K] times right [K, N], a block at a time, each finished at once.

    The first ``axes`` of the result make M. A tile cuts these, and N where that is one axis.
    """
    for tile in finish.cut.tiles:
        first, count = 0, 1
        for (start, stop), size in zip(tile[:axes], finish.cut.axes):
            first, count = first * size + start, count * (stop - start)
        part = right[:, slice(*tile[axes])] if len(tile) > axes else right
        made = finish.place(tile).reshape(count, -1)
        np.matmul(left[first : first + count], part, out=made)
        finish.run(tile)


class Threads:
    """The pool of a process. It starts with its first work; a process that is forked off has none."""

    pools: dict = {}

    @classmethod
    def submit(cls, work: Callable, *arguments: object) -> list:
        """Let a thread do something; returns its future. None while the interpreter shuts down."""
        process = getpid()
        if process not in cls.pools:
            cls.pools.setdefault(process, ThreadPoolExecutor(max(1, available_cores() - 1), "netwright"))
        try:
            return [cls.pools[process].submit(work, *arguments)]
        except RuntimeError:
            return []


KERNELS = (
    available_cores,
    tile_sizes,
    product_tile,
    product_rows,
    workers_for,
    Tiles,
    run_tiles,
    take_tiles,
    Finish,
    finished_matmul,
    Threads,
)
