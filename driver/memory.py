"""Whether a program of these sizes fits into this machine at all, before anything is allocated."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..backends.executable import InputError
from ..compiler.ir import Program
from ..compiler.summary import summarize


def check_memory(program: Program, sizes: Mapping[str, int], factor: float = 1.0) -> None:
    """Raises InputError if the weights and the values of a program that live at once exceed this machine's memory.

    ``factor`` multiplies the values, for a target that holds them in a wider dtype. Sizes out of range are left to
    whoever binds them.
    """
    room = physical_memory()
    if room is None:
        return
    known = {symbol.name: symbol for entry in program.entries.values() for symbol in entry.symbols}
    usable = {
        name: size for name, size in sizes.items() if name in known and known[name].low <= size <= known[name].high
    }
    try:
        found = summarize(program, usable)
    except ValueError:
        return
    values = max((entry.activation_bytes for entry in found.entries), default=0)
    need = found.parameter_bytes + int(values * factor)
    if need > room:
        at = ", ".join(f"{name} = {size}" for name, size in usable.items())
        with_sizes = f" with {at}" if at else ""
        raise InputError(
            f"{program.name}{with_sizes} needs about {gibibytes(need)}, this machine has {gibibytes(room)}"
        )


def physical_memory() -> int | None:
    """The bytes of memory of this machine, None where that cannot be known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def gibibytes(size: int) -> str:
    """A size in GiB with one decimal."""
    return f"{size / 2**30:,.1f} GiB"
