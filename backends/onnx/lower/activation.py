"""Activations that are one operator of ONNX with a kernel. The others are as fast in parts."""

from __future__ import annotations

from typing import Any

from ....compiler.ir import DType, Node
from ..capabilities import SINGLE, Lowering
from ..emit import Emitter
from .elementwise import Make, dtype_of, operator, pointwise

FLOAT32 = frozenset({DType.FLOAT32})
WIDE = frozenset({DType.FLOAT32, DType.FLOAT64})


def _attributed(op: str, **fields: str | float) -> Make:
    """An operator whose attributes are numbers, or fields of the op."""

    def make(e: Emitter, node: Node, *names: str) -> str:
        attributes = {
            key: float(getattr(node.op, field) if isinstance(field, str) else field) for key, field in fields.items()
        }
        return e.op(op, *names, **attributes)

    return make


def _rrelu(e: Emitter, node: Node, x: str) -> str:
    op: Any = node.op
    return e.op("LeakyRelu", x, alpha=(op.lower + op.upper) / 2)


def _gelu(e: Emitter, node: Node, x: str) -> str:
    return e.op("Gelu", x, approximate=node.op.approximate)  # type: ignore[attr-defined]


def _softplus(e: Emitter, node: Node, x: str) -> str:
    beta, dtype = node.op.beta, dtype_of(node)  # type: ignore[attr-defined]
    if beta == 1:
        return e.op("Softplus", x)
    by = e.number(beta, dtype)
    return e.op("Div", e.op("Softplus", e.op("Mul", x, by)), by)


def _hard_swish(e: Emitter, node: Node, x: str) -> str:
    return e.op("Mul", x, e.op("HardSigmoid", x, alpha=1 / 6, beta=0.5))


def _bounded(e: Emitter, dtype: DType, x: str, low: float | None, high: float | None) -> str:
    """Clip with two bounds only: onnxruntime puts the largest finite number in the place of one left out."""
    if low is not None and high is not None:
        return e.op("Clip", x, e.number(low, dtype), e.number(high, dtype))
    if low is not None:
        return e.op("Max", x, e.number(low, dtype))
    return x if high is None else e.op("Min", x, e.number(high, dtype))


def _clip(e: Emitter, node: Node, x: str) -> str:
    op: Any = node.op
    return _bounded(e, dtype_of(node), x, op.low, op.high)


def _relu6(e: Emitter, node: Node, x: str) -> str:
    return _bounded(e, dtype_of(node), x, 0, 6)


def _along_axis(op: str) -> Lowering:
    """Softmax and its like, on a matrix where the axis is the last."""

    def emit(e: Emitter, node: Node) -> None:
        (x,), axis = node.inputs, node.op.axis  # type: ignore[attr-defined]
        if axis == x.type.rank - 1:
            name, shape = e.last_axis(x)
            e.set(node.output, e.op(op, name, axis=-1), shape)
        else:
            e.set(node.output, e.op(op, e.full(x), axis=axis))

    return Lowering(emit, dtypes=WIDE)


_CLIPPED = frozenset(DType) - {DType.BOOL, DType.BFLOAT16}

LOWERINGS: dict[str, Lowering] = {
    "relu": operator("Relu", dtypes=frozenset({*SINGLE, DType.FLOAT64, DType.INT8, DType.INT32})),
    "leaky_relu": pointwise(_attributed("LeakyRelu", alpha="slope"), dtypes=SINGLE),
    "parametric_relu": operator("PRelu", dtypes=SINGLE),
    "rrelu": pointwise(_rrelu, dtypes=SINGLE),
    "elu": pointwise(_attributed("Elu", alpha="alpha"), dtypes=FLOAT32),
    "selu": pointwise(_attributed("Selu", alpha=1.6732632423543772, gamma=1.0507009873554805), dtypes=FLOAT32),
    "celu": pointwise(_attributed("Celu", alpha="alpha"), dtypes=FLOAT32),
    "gelu": pointwise(_gelu, dtypes=FLOAT32, opset=20),
    "softplus": pointwise(_softplus, dtypes=FLOAT32),
    "softsign": operator("Softsign", dtypes=SINGLE),
    "hard_sigmoid": pointwise(_attributed("HardSigmoid", alpha=1 / 6, beta=0.5), dtypes=SINGLE),
    "hard_swish": pointwise(_hard_swish, dtypes=SINGLE),
    "hard_tanh": pointwise(_clip, dtypes=_CLIPPED),
    "relu6": pointwise(_relu6, dtypes=_CLIPPED),
    "clip": pointwise(_clip, dtypes=_CLIPPED),
    "ceil": operator("Ceil", dtypes=WIDE),
    "reciprocal": operator("Reciprocal", dtypes=WIDE),
    "softmax": _along_axis("Softmax"),
    "log_softmax": _along_axis("LogSoftmax"),
}
