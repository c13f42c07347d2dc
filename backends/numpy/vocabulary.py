"""The words of emitted modules: those of the kernels, and those that lowerings write."""

from __future__ import annotations

from functools import cache

from ...compiler.ir import DType
from ..source import Vocabulary
from .kernels import IMPORTS, KERNELS, source

_WRITTEN = """
    absolute add argmax argsort bitwise_and bitwise_or bitwise_xor bool_ broadcast_to clip concatenate copy cos cumsum
    divide equal exp fill floor fmod greater greater_equal inf invert isnan left_shift less less_equal log matmul
    maximum minimum multiply nan negative not_equal parent power reduce reshape right_shift rint sign sin sqrt square
    subtract take tanh tile transpose view where
"""


@cache
def vocabulary() -> Vocabulary:
    """What a module of this target may say."""
    texts = [IMPORTS, *(source(name)[0] for name in KERNELS)]
    return Vocabulary.of(
        texts, [*_WRITTEN.split(), *(dtype.value for dtype in DType)], ("max", "min", "range", "slice")
    )
