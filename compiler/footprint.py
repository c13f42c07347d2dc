"""The memory that a call of an entry takes on a target, beside the values that live at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .ir.dims import AnyDim, substitute
from .ir.program import Entry
from .packing import largest_live, pack
from .storage import storage


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes that a call holds at given sizes; weights, states, inputs and outputs lie elsewhere.

    ``bound`` is the largest set of values that live at once in the order of the program, where each result that can
    takes over the memory of an operand. ``live`` is the same over the target's own buffers, with what its kernels need
    besides, and ``peak`` the block of memory that holds these; both are None for a target that plans by itself.
    """

    bound: int
    live: int | None = None
    peak: int | None = None

    @property
    def ratio(self) -> float | None:
        """``peak`` in units of ``bound``; None if either is nothing."""
        return self.peak / self.bound if self.peak and self.bound else None


def footprint(
    entry: Entry, sizes: Mapping[str, int], buffers: Sequence[tuple[int, int, int]] | None = None
) -> Footprint:
    """The memory of an entry, and of ``buffers`` (first use, last use, bytes) if the target tells them.

    Every symbol must be in ``sizes``; `ValueError` otherwise.
    """

    def measure(size: AnyDim) -> int:
        known = substitute(size, sizes)
        if not isinstance(known, int):
            raise ValueError(f"{size} depends on a size that is not given")
        return known

    first = len(entry.inputs)
    last = first + len(entry.params)
    inputs = entry.graph.inputs
    bound = storage(entry.graph, measure, owned=inputs[last:], fixed=inputs[first:last], outputs=False).peak()
    if buffers is None:
        return Footprint(bound)
    return Footprint(bound, largest_live(tuple(buffers)), pack(tuple(buffers))[1])
