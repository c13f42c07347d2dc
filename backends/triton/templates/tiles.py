"""Which tiles a product may run with, the likely best first: what the tuner tries, and what runs without it.

The order comes from an estimate: programs are dealt to processors in waves, and a wave takes as long as a tile needs.
Small tiles waste less of a small result, large ones reuse what they load. The shares of the peak that a tile shape
reaches are those known of Triton's own matrix products on Ampere and Hopper.
"""

from __future__ import annotations

from collections.abc import Mapping

from ....compiler.ir import AnyDim, Dim
from ....compiler.ir.dims import substitute, symbols
from ..kernel import Config

PROCESSORS = 132
"""Multiprocessors of the device that tiles are chosen for (H100 SXM data sheet: 132; A100: 108)."""
NOMINAL = 128
"""What a symbol counts as when tiles are chosen, within its range."""
CANDIDATES = 10
DEEP = 512
"""Elements of the depth that a part of a split product has at least."""
MOST_PARTS = 32
RICH = 64
"""Sums of one thread beside which there are registers for more than a bias and an activation."""
ADDRESSES = 16
"""Elements of a scattered operand that one thread loads at once."""
SCATTERED_DEPTH = 32
SHARED = 160 * 2**10
"""Bytes of shared memory that a first choice may take, so that it runs on each device (sm_80 has 163 KiB)."""

Shape = tuple[int, int, int, int, int, float]
"""BLOCK_M, BLOCK_N, BLOCK_K, warps, stages, and the share of the peak that a full device reaches with it."""
CORES: tuple[Shape, ...] = (
    (128, 256, 64, 8, 3, 1.0),
    (256, 128, 64, 8, 3, 0.98),
    (128, 128, 64, 8, 4, 0.88),
    (128, 128, 64, 4, 3, 0.86),
    (64, 256, 64, 8, 3, 0.8),
    (128, 64, 64, 4, 4, 0.68),
    (64, 128, 64, 4, 4, 0.68),
    (64, 64, 64, 4, 4, 0.5),
    (128, 32, 64, 4, 4, 0.42),
    (32, 128, 64, 4, 4, 0.38),
    (64, 32, 64, 4, 4, 0.32),
    (32, 64, 64, 4, 5, 0.3),
    (128, 16, 64, 4, 4, 0.24),
    (16, 128, 128, 4, 4, 0.22),
    (32, 32, 64, 4, 5, 0.2),
    (16, 64, 128, 4, 5, 0.16),
    (64, 16, 64, 4, 4, 0.15),
    (16, 32, 128, 2, 5, 0.1),
    (32, 16, 128, 2, 5, 0.1),
    (16, 16, 128, 1, 5, 0.06),
)
"""For 16-bit floats on tensor cores; half as deep for tf32."""
LANES: tuple[Shape, ...] = (
    (128, 128, 16, 8, 3, 1.0),
    (128, 64, 16, 4, 3, 0.95),
    (64, 128, 16, 4, 3, 0.95),
    (64, 64, 32, 4, 3, 0.85),
    (64, 64, 16, 4, 4, 0.84),
    (128, 32, 32, 4, 3, 0.72),
    (32, 128, 32, 4, 3, 0.7),
    (32, 64, 32, 4, 3, 0.62),
    (64, 32, 32, 4, 3, 0.62),
    (128, 16, 32, 4, 3, 0.45),
    (32, 32, 32, 4, 4, 0.42),
    (16, 64, 32, 4, 4, 0.34),
    (64, 16, 32, 4, 4, 0.32),
    (16, 32, 64, 2, 4, 0.22),
    (16, 16, 64, 1, 4, 0.12),
)
"""For float32 in full, which fused multiply-adds do."""
DOUBLES: tuple[Shape, ...] = ((64, 64, 16, 8, 2, 1.0), (32, 32, 16, 4, 2, 0.6), (16, 16, 16, 2, 2, 0.2))
WHOLE: tuple[Shape, ...] = ((16, 16, 16, 4, 2, 1.0), (32, 16, 8, 4, 2, 1.0))
"""For whole numbers, whose products stand side by side before they are summed."""


def nominal(size: AnyDim) -> int:
    """The size that stands for a symbolic one when tiles are chosen."""
    if not isinstance(size, Dim):
        return size
    likely = {each.name: min(max(NOMINAL, each.low), each.high) for each in symbols(size)}
    found = substitute(size, likely)
    assert isinstance(found, int)
    return found


def choose(
    shapes: tuple[Shape, ...],
    rows: AnyDim,
    columns: AnyDim,
    batch: AnyDim,
    depth: AnyDim,
    bytes: int,
    constants: Mapping[str, int],
    rich: bool = False,
    scattered: bool = False,
) -> tuple[Config, ...]:
    """Configs of BLOCK_M, BLOCK_N, BLOCK_K and the given constants, the likely best first.

    A ``rich`` epilogue needs registers beside the sums. The left operand is ``scattered`` where neighbours of a tile
    are none in memory: each element then takes an address in registers. Tiles that would not fit come last.
    """
    m, n, k, count = nominal(rows), nominal(columns), max(nominal(depth), 1), nominal(batch)
    timed = []
    for place, (tall, broad, deep, warps, stages, share) in enumerate(shapes):
        deep = max(16, min(deep * 2 // max(2, bytes) if shapes is CORES else deep, power(k)))
        deep = min(deep, SCATTERED_DEPTH) if scattered else deep
        threads = 32 * warps
        programs = -(-m // tall) * -(-n // broad) * count
        waves = -(-programs // PROCESSORS)
        steps = -(-k // deep) * deep
        heavy = (tall + broad) * deep * bytes * stages > SHARED
        heavy |= rich and tall * broad > RICH * threads
        heavy |= scattered and (tall * deep > ADDRESSES * threads or tall * broad > RICH * threads)
        time = waves * steps * tall * broad / share
        timed.append((heavy, time, tall * broad, place, (tall, broad, deep, warps, stages)))
    timed.sort()
    return tuple(
        Config({"BLOCK_M": tall, "BLOCK_N": broad, "BLOCK_K": deep, **constants}, warps, stages)
        for *_, (tall, broad, deep, warps, stages) in timed[:CANDIDATES]
    )


def interpreted(rows: AnyDim, columns: AnyDim, depth: AnyDim, constants: Mapping[str, int], most: int = 1024) -> Config:
    """Tiles for the interpreter: as large as the work, within what Triton takes for a tile."""
    m, n, k = (max(16, power(min(nominal(size), most))) for size in (rows, columns, depth))
    n, k = min(n, 512), min(k, 512)
    return Config({"BLOCK_M": m, "BLOCK_N": n, "BLOCK_K": k, **constants})


def power(size: int) -> int:
    """The least power of two that is not less."""
    return 1 << max(size - 1, 0).bit_length()


def parts_of(rows: AnyDim, columns: AnyDim, batch: AnyDim, depth: AnyDim) -> int:
    """Into how many parts a depth is split so that a small result keeps the device busy; 1 for no split."""
    programs = -(-nominal(rows) // 64) * -(-nominal(columns) // 64) * nominal(batch)
    if programs == 0 or not isinstance(depth, int):
        return 1
    return max(1, min(PROCESSORS // programs, depth // DEEP, MOST_PARTS))


def adding(rows: AnyDim, columns: AnyDim) -> tuple[tuple[Config, ...], Config]:
    """Tiles for the kernel that adds up parts, on a device and in the interpreter."""
    m, n = power(nominal(rows)), power(nominal(columns))
    broad = min(n, 256)
    tall = min(m, max(1, 512 // broad))
    slow = {"BLOCK_M": min(m, 256), "BLOCK_N": min(n, 1024), "GROUP": 1}
    return (Config({"BLOCK_M": tall, "BLOCK_N": broad, "GROUP": 1}, 4, 2),), Config(slow)
