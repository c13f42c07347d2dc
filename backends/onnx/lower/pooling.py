"""Average pooling as one operator, which counts by itself what lies in the padding."""

from __future__ import annotations

from typing import Any

from ....compiler.ir import Node
from ..capabilities import Lowering
from ..emit import Emitter
from .activation import FLOAT32


def _average(e: Emitter, node: Node) -> None:
    op: Any = node.op
    lows, highs = ([pair[side] for pair in op.padding] for side in (0, 1))
    result = e.op(
        "AveragePool",
        e.full(node.inputs[0]),
        kernel_shape=op.kernel,
        strides=op.stride,
        pads=[*lows, *highs],
        count_include_pad=int(op.count_include_pad),
    )
    e.set(node.output, result)


def _rounds_up(node: Node) -> str | None:
    return "what rounding up adds is counted in different ways" if node.op.ceil else None  # type: ignore[attr-defined]


def _adaptive(e: Emitter, node: Node) -> None:
    op: Any = node.op
    (x,) = node.inputs
    if set(op.size) == {1}:
        e.set(node.output, e.op("GlobalAveragePool", e.full(x)))
        return
    kernel = [size // wanted for size, wanted in zip(x.type.shape[2:], op.size, strict=True)]  # type: ignore[operator]
    e.set(node.output, e.op("AveragePool", e.full(x), kernel_shape=kernel, strides=kernel))


def _uneven(node: Node) -> str | None:
    size: tuple[int, int] = node.op.size  # type: ignore[attr-defined]
    given = node.inputs[0].type.shape[2:]
    if set(size) == {1} or all(isinstance(n, int) and n % wanted == 0 for n, wanted in zip(given, size, strict=True)):
        return None
    return "the regions are of different sizes"


_AVERAGE = Lowering(_average, dtypes=FLOAT32, refuse=_rounds_up)

LOWERINGS: dict[str, Lowering] = {
    "avg_pool1d": _AVERAGE,
    "avg_pool2d": _AVERAGE,
    "avg_pool3d": _AVERAGE,
    "adaptive_avg_pool2d": Lowering(_adaptive, dtypes=FLOAT32, refuse=_uneven),
}
