"""Random bits: Threefry-2x32 (Salmon, Moraes, Dror, Shaw, SC 2011) with the keys and counters of `jax.random.bits`."""

import numpy as np


def threefry(first: int, second: int, x: np.ndarray, y: np.ndarray) -> None:
    """20 rounds on the counters x, y (uint32), in place, under a key of two words."""
    keys = [np.uint32(word) for word in (first, second, first ^ second ^ 0x1BD11BDA)]
    x += keys[0]
    y += keys[1]
    high = np.empty_like(y)
    for group in range(5):
        for turn in ((13, 15, 26, 6), (17, 29, 16, 24))[group % 2]:
            x += y
            np.right_shift(y, np.uint32(32 - turn), out=high)
            np.left_shift(y, np.uint32(turn), out=y)
            np.bitwise_or(y, high, out=y)
            np.bitwise_xor(y, x, out=y)
        x += keys[(group + 1) % 3]
        y += keys[(group + 2) % 3]
        y += np.uint32(group + 1)


def random_bits(seed: np.ndarray, step: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Random uint32 from a seed, a step and the place in the result."""
    word = 0xFFFFFFFF
    x, y = np.zeros(1, np.uint32), np.array([int(step) & word], np.uint32)
    threefry(int(seed) >> 32 & word, int(seed) & word, x, y)
    first, second = int(x[0]), int(y[0])
    flat = out.reshape(-1)
    for start in range(0, flat.size, 65536):
        place = np.arange(start, min(start + 65536, flat.size), dtype=np.uint64)
        x, y = (place >> np.uint64(32)).astype(np.uint32), place.astype(np.uint32)
        threefry(first, second, x, y)
        np.bitwise_xor(x, y, out=flat[start : start + 65536])
    return out


KERNELS = (threefry, random_bits)
