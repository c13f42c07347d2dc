"""The words of emitted modules: those of the helpers and of what serves them, and those that lowerings write."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ...compiler.ir import DType
from ..source import Vocabulary

_WRITTEN = """
    T mT abs add argmax argsort array asarray astype at bitcast_convert_type bool_ broadcast_to concatenate cond
    conv_general_dilated core cos cumsum div dot_general dynamic_slice dynamic_update_slice erf exp floor full gelu
    get_tensor iinfo inf iota isnan jit keys log log_softmax logistic matmul max max_dim maximum mean min min_dim
    minimum nan ndarray nn ones pad parent power prod reduce_window rem reshape rev round scan set shape sigmoid sign
    silu sin slice slice_in_dim softmax sqrt square stop_gradient sum take take_along_axis tanh transpose
    update where while_loop zeros
"""
_NAMES = ("bool", "dict", "float", "int", "len", "max", "min", "range", "str", "tuple")
_WEIGHTS = "from pathlib import Path\nfrom safetensors import safe_open"


@cache
def vocabulary() -> Vocabulary:
    """What a module of this target may say."""
    ours = [Path(__file__).with_name(file).read_text(encoding="utf-8") for file in ("helpers.py", "serve.py")]
    return Vocabulary.of([*ours, _WEIGHTS], [*_WRITTEN.split(), *(dtype.value for dtype in DType)], _NAMES)
