"""The words of emitted modules: those of the device functions, and those that templates write."""

from __future__ import annotations

from functools import cache

from ...compiler.ir import DType
from ..source import Vocabulary
from .expressions import NAMES
from .helpers import DEVICE

_WRITTEN = """
    arange atomic_add cdiv cos cumsum div_rn dot erf exp2 load program_id sin sqrt sqrt_rn static_range store truth
    zeros
"""
"""Attributes of the text that templates write."""
_BUILTINS = ("float", "max", "min", "range")


@cache
def vocabulary() -> Vocabulary:
    """What a module of this target may say."""
    device = DEVICE.read_text(encoding="utf-8")
    names = [name.removeprefix("tl.") for name in NAMES.values()]
    return Vocabulary.of([device], [*_WRITTEN.split(), *names, *(dtype.value for dtype in DType)], _BUILTINS)
