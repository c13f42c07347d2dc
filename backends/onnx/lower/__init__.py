"""How each op becomes ONNX, by family. To add one: write its lowering in its family and list it there."""

from __future__ import annotations

from ..capabilities import Lowering
from . import (
    activation,
    attention,
    composite,
    contract,
    control,
    elementwise,
    index,
    normalize,
    pooling,
    random,
    reduce,
    resample,
    shape,
    source,
    window,
)

_FAMILIES: tuple[dict[str, Lowering], ...] = (
    elementwise.LOWERINGS,
    source.LOWERINGS,
    shape.LOWERINGS,
    reduce.LOWERINGS,
    contract.LOWERINGS,
    window.LOWERINGS,
    index.LOWERINGS,
    random.LOWERINGS,
    control.LOWERINGS,
    composite.LOWERINGS,
    activation.LOWERINGS,
    normalize.LOWERINGS,
    attention.LOWERINGS,
    pooling.LOWERINGS,
    resample.LOWERINGS,
)

LOWERINGS: dict[str, Lowering] = {name: lowering for family in _FAMILIES for name, lowering in family.items()}
"""By the name of the op."""
