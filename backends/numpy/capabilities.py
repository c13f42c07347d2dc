"""What the emitter takes as it is."""

from __future__ import annotations

from ...compiler.fusion import Fusion
from ...compiler.ir import DType, Node
from ...compiler.ops.channels_last import ConvChannelsLast
from .lower import LOWERINGS

MOVES = frozenset(
    [
        "reshape",
        "transpose",
        "broadcast",
        "concat",
        "slice",
        "reverse",
        "pad",
        "gather",
        "gather_elements",
        "dynamic_slice",
        "dynamic_update_slice",
        "constant",
        "iota",
        "cast",
        "bitcast",
        "stop_gradient",
        "where",
        "call",
        "scan",
        "while",
        "cond",
        "fused",
    ]
)
"""Ops that compute nothing with the elements: these take 16-bit floats."""


ANCHORS = frozenset(["dot", "conv", "conv_channels_last"])
"""What computes a tile of its result at a time, so that more can be done with it while it is in the cache."""


def _unfit(node: Node) -> str | None:
    """Why a node is no part of a region."""
    if any(value.type.dtype is DType.BFLOAT16 for value in (*node.inputs, *node.outputs)):
        return "the bits of bfloat16 are unpacked once, not in each kernel"
    return None


FUSION = Fusion(anchors=ANCHORS, refuse=_unfit)


def refusal(node: Node) -> str | None:
    """None if the emitter takes the node, else why not."""
    op = node.op
    if isinstance(op, ConvChannelsLast) and any(step != 1 for step in op.input_dilation):
        return "a transposed convolution has a form of its own with the channels first only"
    if op.is_composite():
        if op.name not in LOWERINGS:
            return f"NumPy has no form of {op.name} of its own"
        floats = {value.type.dtype for value in (*node.inputs, *node.outputs) if value.type.dtype.is_float}
        return None if floats == {DType.FLOAT32} else f"{op.name} has a form of its own in float32 only"
    if op.name not in LOWERINGS:
        return "is not known to this target"
    moves = op.name in MOVES or (op.name.startswith("scatter") and getattr(op, "mode", "") == "set")
    if not moves and any(value.type.dtype.is_half for value in (*node.inputs, *node.outputs)):
        return "NumPy computes with 16-bit floats slowly or not at all; they are storage here"
    return None
