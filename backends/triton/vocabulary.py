"""The words of emitted modules: those of the device functions, and those that templates write."""

from __future__ import annotations

from functools import cache

from ...compiler.ir import DType
from ..source import Vocabulary
from .expressions import NAMES
from .helpers import DEVICE

_WRITTEN = """
    abs arange broadcast_to cast cdiv constexpr cos div_rn dot erf exp expand_dims floor full load log maximum minimum
    max min num_programs program_id range reshape sin sqrt sqrt_rn static_range store sum to trans truth where zeros
    jit language dtype cumsum atomic_add item exp2
"""
"""Attributes of the text that templates write."""
_BUILTINS = ("float", "max", "min", "range", "bool", "int", "len")


@cache
def vocabulary() -> Vocabulary:
    """What a module of this target may say."""
    device = DEVICE.read_text(encoding="utf-8")
    names = [name.removeprefix("tl.") for name in NAMES.values()]
    return Vocabulary.of([device], [*_WRITTEN.split(), *names, *(dtype.value for dtype in DType)], _BUILTINS)
