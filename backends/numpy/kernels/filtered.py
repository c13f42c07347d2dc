"""Convolutions with 3 x 3 kernels over sizes that only a call knows: filtered where there are many tiles, else direct.

Transformed weights take four times the memory of the others; they are made when a call first wants them. So the deep
layers of a network, where the picture is small and the weights are many, never have them.
"""

import threading

import numpy as np

from .channels_last import last_band, last_columns, last_conv, last_tile, shape_of
from .tiles import Finish
from .winograd import winograd_conv, winograd_rows, winograd_scratch, winograd_weights


class Filters:
    """Weights w [3, 3, C, O], and transformed ones once they are asked for."""

    def __init__(self, w: np.ndarray) -> None:
        self.w, self.made, self.lock = w, (), threading.Lock()

    def turned(self) -> tuple:
        """As `winograd_conv` takes them."""
        with self.lock:
            self.made = self.made or winograd_weights(self.w)
        return self.made


def many_tiles(batch: int, rows: int, columns: int) -> bool:
    """Whether there are so many tiles of 4 x 4 results that reading transformed weights costs less than they save."""
    return batch * -(-rows // 4) * -(-columns // 4) >= 32


def filtered_rows(batch: int, channels: int, filters: int, rows: int, columns: int) -> tuple[int, int]:
    """How many images, and how many rows of the result, are made at once."""
    if many_tiles(batch, rows, columns):
        return winograd_rows(batch, channels, filters, rows, columns)
    return last_tile(batch, 9 * channels, rows, columns, filters)


def filtered_scratch(batch: int, channels: int, filters: int, rows: int, columns: int) -> int:
    """The elements of memory that one tile needs."""
    if many_tiles(batch, rows, columns):
        return winograd_scratch(batch, channels, filters, rows, columns)
    facts = (batch, 9 * channels, rows, columns, filters)
    return last_columns(*facts) + last_band(*facts, 1, 3, channels * (columns + 2))


def filtered_conv(
    x: np.ndarray, w: Filters, low: tuple, scratch: np.ndarray, out: np.ndarray | None, finish: Finish | None = None
) -> np.ndarray | None:
    """x [N, H, W, C] convolved into out [N, H', W', O]; for finish see `last_conv`."""
    _, rows, columns, filters = shape_of(out, finish)
    if many_tiles(len(x), rows, columns):
        return winograd_conv(x, w.turned(), low, scratch, out, finish)
    room = last_columns(len(x), 9 * x.shape[-1], rows, columns, filters)
    return last_conv(x, w.w, (1, 1), low, (1, 1), 1, scratch[room:], scratch[:room], out, finish)


KERNELS = (Filters, many_tiles, filtered_rows, filtered_scratch, filtered_conv)
