"""A model on a device: how long it takes there at least, and how much memory a target needs for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..backends.api import BackendError
from ..backends.executable import InputError
from ..compiler import pipeline
from ..compiler.devices import CPU, DEVICES, Device, UnknownDevice, canonical
from ..compiler.footprint import Footprint, footprint
from ..compiler.fusion import Fusion
from ..compiler.ir import Node, Program
from ..compiler.passes.context import Context, Policy
from ..compiler.passes.inline import InlineError
from ..compiler.roofline import Roofline, roofline
from .build import Compiled
from .collector import paused
from .cpu import Report, cpu
from .model import Model
from .summary import FEWEST_PARTS, MOST_DEPTH

_WHOLE = frozenset(["attention"])
"""Composites that the best kernels compute whole: their scores never reach memory."""
_ANCHORS = frozenset(["dot", "conv", "attention", "window_sum", "window_max"])
_PROLOGUES = frozenset(["dot", "conv"])


def device_named(name: str, report: Report = lambda message: None, cache: Path | None = None) -> Device:
    """A device by its name; ``cpu`` is this machine's, measured if that was not done before.

    Raises InputError for an unknown name.
    """
    try:
        found = canonical(name)
    except UnknownDevice as error:
        raise InputError(str(error)) from error
    return cpu(report, cache) if found == CPU else DEVICES[found]


def claims(node: Node) -> str | None:
    """What an ideal target takes as it is: primitives, kernels, and attention."""
    return "is taken apart" if node.op.is_composite() and node.op.name not in _WHOLE else None


def ideal(model: Model) -> Program:
    """The program as a target would run it that fuses all that may be fused. Raises SpecError, BackendError."""
    context = Context(
        target="an ideal target",
        claims=claims,
        requires=frozenset({"fuse"}),
        fusion=Fusion(anchors=_ANCHORS, prologues=_PROLOGUES),
        precision=Policy(keep_float32=model.lowered.keep_float32),
    )
    try:
        with paused():
            return pipeline.run(model.program, context)
    except InlineError as error:
        raise BackendError(str(error)) from error


def roofline_of(program: Program, device: Device, sizes: Mapping[str, int], depth: int | None = None) -> Roofline:
    """The least time of a program on a device. Every symbol is in ``sizes``.

    Parts are by the first ``depth`` names of labels; by default by as few as give `FEWEST_PARTS` parts.
    """
    found = roofline(program, device, sizes, depth or 1)
    for deeper in range(2, MOST_DEPTH + 1):
        if depth is not None or max(len(entry.parts) for entry in found.entries) >= FEWEST_PARTS:
            break
        found = roofline(program, device, sizes, deeper)
    return found


def footprints(compiled: Compiled, sizes: Mapping[str, int]) -> dict[str, Footprint]:
    """The memory of each entry on a target. Every symbol is in ``sizes``."""
    rows = compiled.backend.buffers(compiled.program, sizes)
    return {
        name: footprint(entry, sizes, None if rows is None else rows[name])
        for name, entry in compiled.program.entries.items()
    }
