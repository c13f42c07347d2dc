"""Normalisation by the operators that onnxruntime has kernels for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....compiler.ir import AnyDim, DType, Node, Shape, Value
from ....compiler.ir.dims import floordiv, product
from ..capabilities import Lowering
from ..emit import Emitter
from ..forms import Family
from .activation import FLOAT32, WIDE
from .elementwise import dtype_of


def _arguments(node: Node) -> list[Value | None]:
    return node.op.arguments(node.inputs)


def _filled(e: Emitter, given: Value | None, shape: Sequence[AnyDim], number: float, dtype: DType) -> str:
    """An operand, or a constant tensor in the place of one left out."""
    if given is not None:
        return e.full(given)
    sizes = [int(size) for size in shape]  # type: ignore[arg-type]
    return e.constant(np.full(sizes, number, dtype.numpy))


def _over_last_axes(operator: str, takes_shift: bool, opset: int) -> Lowering:
    """LayerNormalization and RMSNormalization."""

    def emit(e: Emitter, node: Node) -> None:
        op: Any = node.op
        x, scale, *rest = _arguments(node)
        assert x is not None
        dtype = dtype_of(node)
        if op.axis == x.type.rank - 1:
            name, shape = e.last_axis(x)
        else:
            name, shape = e.full(x), x.type.shape
        shift = rest[0] if takes_shift else None
        names = [name, _filled(e, scale, x.type.shape[op.axis :], 1, dtype)]
        names += [e.full(shift)] if shift is not None else []
        axis = op.axis - x.type.rank
        e.set(node.output, e.op(operator, *names, axis=axis, epsilon=float(op.eps)), shape)

    return Lowering(emit, dtypes=FLOAT32, opset=opset, refuse=_needs_sizes)


def _needs_sizes(node: Node, opset: int) -> str | None:
    x, scale, *_ = _arguments(node)
    assert x is not None
    sizes = x.type.shape[node.op.axis :]  # type: ignore[attr-defined]
    if scale is None and not all(isinstance(size, int) for size in sizes):
        return "without a scale the normalised sizes must be known"
    return None


def _group(e: Emitter, node: Node) -> None:
    """InstanceNormalization over groups as if they were channels; then scale and shift."""
    op: Any = node.op
    x, scale, shift = _arguments(node)
    assert x is not None
    dtype, shape = dtype_of(node), x.type.shape
    if op.groups == shape[1] and len(shape) > 2:
        names = [_filled(e, scale, (op.groups,), 1, dtype), _filled(e, shift, (op.groups,), 0, dtype)]
        e.set(node.output, e.op("InstanceNormalization", e.full(x), *names, epsilon=float(op.eps)))
        return
    grouped: Shape = (shape[0], op.groups, floordiv(shape[1], op.groups) * product(shape[2:]))
    ones, zeros = (e.constant(np.full(op.groups, number, dtype.numpy)) for number in (1, 0))
    result = e.op("InstanceNormalization", e.at(e.form(x), grouped), ones, zeros, epsilon=float(op.eps))
    if scale is not None or shift is not None:
        result = e.reshaped(Family({grouped: result}), shape)
        per_channel = (shape[1], *(1,) * (len(shape) - 2))
        for given, operator in ((scale, "Mul"), (shift, "Add")):
            if given is not None:
                result = e.op(operator, result, e.at(e.form(given), per_channel))
        grouped = shape
    e.set(node.output, result, grouped)


def _batch(e: Emitter, node: Node) -> None:
    op: Any = node.op
    x, scale, shift, mean, variance = _arguments(node)
    assert x is not None and mean is not None and variance is not None
    channels, dtype = (x.type.shape[1],), dtype_of(node)
    factors = [_filled(e, scale, channels, 1, dtype), _filled(e, shift, channels, 0, dtype)]
    statistics = [e.full(mean), e.full(variance)]
    e.set(node.output, e.op("BatchNormalization", e.full(x), *factors, *statistics, epsilon=float(op.eps)))


def _needs_channels(node: Node, opset: int) -> str | None:
    known = isinstance(node.inputs[0].type.shape[1], int)
    return None if known else "the number of channels must be known"


def _local_response(e: Emitter, node: Node) -> None:
    op: Any = node.op
    attributes = {"alpha": float(op.alpha), "beta": float(op.beta), "bias": float(op.k), "size": op.size}
    e.set(node.output, e.op("LRN", e.full(node.inputs[0]), **attributes))


def _other_neighbours(node: Node, opset: int) -> str | None:
    if node.op.size % 2 == 0:  # type: ignore[attr-defined]
        return "for even sizes LRN of ONNX takes one more channel behind than before, this op one more before"
    return None if node.inputs[0].type.rank == 4 else "LRN of onnxruntime takes images only"


LOWERINGS: dict[str, Lowering] = {
    "normalize_layer": _over_last_axes("LayerNormalization", takes_shift=True, opset=17),
    "normalize_rms": _over_last_axes("RMSNormalization", takes_shift=False, opset=23),
    "normalize_group": Lowering(_group, dtypes=FLOAT32, refuse=_needs_channels),
    "normalize_batch": Lowering(_batch, dtypes=WIDE, refuse=_needs_channels),
    "local_response_norm": Lowering(_local_response, dtypes=FLOAT32, refuse=_other_neighbours),
}
