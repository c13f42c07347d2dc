"""Pooling as one operator.

MaxPool of onnxruntime drops NaN. What puts it back (`keep_nan`) is measured to cost up to 19 % of a network's time.
"""

from __future__ import annotations

from typing import Any

from ....compiler.ir import AnyDim, DType, Node
from ..capabilities import FLOATS, Lowering
from ..emit import Emitter
from .activation import FLOAT32
from .elementwise import dtype_of
from .shape import cut
from .window import max_pool


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


def _rounds_up(node: Node, opset: int) -> str | None:
    return "what rounding up adds is counted in different ways" if node.op.ceil else None  # type: ignore[attr-defined]


def _adaptive(e: Emitter, node: Node) -> None:
    op: Any = node.op
    (x,) = node.inputs
    if set(op.size) == {1}:
        e.set(node.output, e.op("GlobalAveragePool", e.full(x)))
        return
    kernel = [size // wanted for size, wanted in zip(x.type.shape[2:], op.size, strict=True)]
    e.set(node.output, e.op("AveragePool", e.full(x), kernel_shape=kernel, strides=kernel))


def _uneven(node: Node, opset: int) -> str | None:
    size: tuple[int, int] = node.op.size  # type: ignore[attr-defined]
    given = node.inputs[0].type.shape[2:]
    if set(size) == {1} or all(isinstance(n, int) and n % wanted == 0 for n, wanted in zip(given, size, strict=True)):
        return None
    return "the regions are of different sizes"


def _max(e: Emitter, node: Node) -> None:
    op: Any = node.op
    (x,) = node.inputs
    axes = op.axes(x.type)
    attributes = {
        "kernel_shape": op.kernel,
        "strides": op.stride,
        "pads": [*(axis.low for axis in axes), *(axis.high + axis.extra for axis in axes)],
        "dilations": op.dilation,
    }
    pooled = max_pool if e.keep_nan else _plain
    name = pooled(e, e.full(x), dtype_of(node), attributes)
    late = [2 + k for k, axis in enumerate(axes) if axis.size != _windows(op, k, x.type.shape[2 + k], axis)]
    sizes = [node.output.type.shape[axis] for axis in late]
    e.set(node.output, cut(e, name, late, [0] * len(late), sizes))


def _plain(e: Emitter, x: str, dtype: DType, attributes: dict[str, Any]) -> str:
    return e.op("MaxPool", x, **attributes)


def _windows(op: Any, k: int, size: AnyDim, axis: Any) -> AnyDim:
    """How many windows there are with the padding that rounding up adds, those to be dropped included."""
    padded = size + axis.low + axis.high + axis.extra
    return (padded - op.dilation[k] * (op.kernel[k] - 1) - 1) // op.stride[k] + 1


def _padded_beyond(node: Node, opset: int) -> str | None:
    op: Any = node.op
    axes = op.axes(node.inputs[0].type)
    if any(max(axis.low, axis.high + axis.extra) >= size for axis, size in zip(axes, op.kernel, strict=True)):
        return "onnxruntime pads by less than a window"
    return None


_MAX = Lowering(_max, dtypes=FLOATS, refuse=_padded_beyond)
_AVERAGE = Lowering(_average, dtypes=FLOAT32, refuse=_rounds_up)

LOWERINGS: dict[str, Lowering] = {
    "max_pool1d": _MAX,
    "max_pool2d": _MAX,
    "max_pool3d": _MAX,
    "avg_pool1d": _AVERAGE,
    "avg_pool2d": _AVERAGE,
    "avg_pool3d": _AVERAGE,
    "adaptive_avg_pool2d": Lowering(_adaptive, dtypes=FLOAT32, refuse=_uneven),
}
