"""Lowerings by op name: each gets the scope, the node and its operands as arrays, and returns the results."""

from __future__ import annotations

from ..scope import Lowering
from . import attention, channels_last, contract, control, elementwise, fused, index, reduce, shape, source, window

LOWERINGS: dict[str, Lowering] = {
    **elementwise.LOWERINGS,
    **source.LOWERINGS,
    **shape.LOWERINGS,
    **reduce.LOWERINGS,
    **contract.LOWERINGS,
    **channels_last.LOWERINGS,
    **window.LOWERINGS,
    **index.LOWERINGS,
    **attention.LOWERINGS,
    **control.LOWERINGS,
    **fused.LOWERINGS,
}
