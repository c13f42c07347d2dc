"""Reductions, running sums and order. onnxruntime drops NaN where ours keep it; the lowerings put it back."""

from __future__ import annotations

from collections.abc import Callable

from ....compiler.ir import DType, Node
from ..capabilities import NUMBERS, Lowering
from ..emit import Emitter
from .elementwise import dtype_of, through

_NATIVE = {
    "ReduceSum": (DType.INT32, DType.INT64),
    "ReduceProd": (DType.INT32, DType.INT64),
    "ReduceMax": (DType.INT8, DType.UINT8, DType.INT32, DType.INT64),
    "ReduceMin": (DType.INT8, DType.UINT8, DType.INT32, DType.INT64),
    "CumSum": (DType.INT32, DType.INT64),
    "ArgMax": (DType.INT8, DType.UINT8, DType.INT32, DType.INT64),
    "TopK": (DType.INT8, DType.UINT8, DType.INT32, DType.INT64),
}
"""Integers with a kernel."""


def _reduction(op: str) -> Callable[[Emitter, Node], None]:
    def emit(e: Emitter, node: Node) -> None:
        (x,), dtype = node.inputs, dtype_of(node)
        axes: tuple[int, ...] = node.op.axes  # type: ignore[attr-defined]
        if not axes:
            e.alias(node.output, e.form(x))
            return
        name, shape = e.last_axis(x) if axes == (x.type.rank - 1,) else (e.full(x), x.type.shape)
        if shape != x.type.shape:
            axes = (1,)
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
        if dtype.is_float or dtype in _NATIVE[op]:
            result = reduced(e, op, name, axes, dtype)
        else:
            result = through(e, DType.INT64, dtype, lambda wide: reduced(e, op, wide, axes, DType.INT64), name)
        e.set(node.output, result, kept)

    return emit


def reduced(e: Emitter, op: str, name: str, axes: tuple[int, ...], dtype: DType) -> str:
    """A reduction that leaves its axes with size 1; NaN propagates."""
    result = e.op(op, name, e.ints(axes), keepdims=1)
    if op in ("ReduceMax", "ReduceMin") and dtype.is_float:
        nan = any_nan(e, name, axes)
        result = e.op("Where", nan, e.number(float("nan"), dtype), result)
    return result


def any_nan(e: Emitter, name: str, axes: tuple[int, ...]) -> str:
    """Whether there is a NaN along the axes, which stay with size 1."""
    flags = e.op("IsNaN", name)
    if e.opset >= 20:
        return e.op("ReduceMax", flags, e.ints(axes), keepdims=1)
    return e.cast(e.op("ReduceMax", e.cast(flags, DType.INT32), e.ints(axes), keepdims=1), DType.BOOL)


def _arg_max(e: Emitter, node: Node) -> None:
    (x,), dtype, axis = node.inputs, dtype_of(node), node.op.axis  # type: ignore[attr-defined]
    name = e.full(x)
    kept = tuple(1 if k == axis else size for k, size in enumerate(x.type.shape))
    if not dtype.is_float and dtype not in _NATIVE["ArgMax"]:
        name = e.cast(name, DType.INT64)
    result = e.op("ArgMax", name, axis=axis, keepdims=1)
    if dtype.is_float:
        flags = e.cast(e.op("IsNaN", name), DType.INT32)
        first = e.op("ArgMax", flags, axis=axis, keepdims=1)
        result = e.op("Where", any_nan(e, name, (axis,)), first, result)
    e.set(node.output, result, kept)


def _cumulative_sum(e: Emitter, node: Node) -> None:
    (x,), dtype, op = node.inputs, dtype_of(node), node.op
    axis = e.number(op.axis, DType.INT64)  # type: ignore[attr-defined]
    flags = {"exclusive": int(op.exclusive), "reverse": int(op.reverse)}  # type: ignore[attr-defined]

    def running(name: str) -> str:
        return e.op("CumSum", name, axis, **flags)

    native = dtype.is_float or dtype in _NATIVE["CumSum"]
    e.set(node.output, running(e.full(x)) if native else through(e, DType.INT64, dtype, running, e.full(x)))


def _top_k(e: Emitter, node: Node) -> None:
    (x,), dtype, op = node.inputs, dtype_of(node), node.op
    values, indices = node.outputs
    axis, count = op.axis, e.sizes.one(op.k)  # type: ignore[attr-defined]
    name = key = e.full(x)
    if dtype.is_float:
        # NaN comes first, before infinity: in float64 there is room between infinity and the other values.
        wide = key if dtype is DType.FLOAT64 else e.cast(key, DType.FLOAT64)
        finite = e.op("Min", wide, e.number(_BELOW_INFINITY, DType.FLOAT64))
        key = e.op("Where", e.op("IsNaN", wide), e.number(float("inf"), DType.FLOAT64), finite)
    elif dtype not in _NATIVE["TopK"]:
        key = e.cast(key, DType.INT64)
    top, places = e.ops("TopK", [key, count], 2, axis=axis, largest=1, sorted=1)
    e.set(values, e.op("GatherElements", name, places, axis=axis) if key != name else top)
    e.set(indices, places)


_BELOW_INFINITY = 1.7976931348623157e308

LOWERINGS: dict[str, Lowering] = {
    "reduce_sum": Lowering(_reduction("ReduceSum"), dtypes=NUMBERS),
    "reduce_prod": Lowering(_reduction("ReduceProd"), dtypes=NUMBERS),
    "reduce_max": Lowering(_reduction("ReduceMax"), dtypes=NUMBERS),
    "reduce_min": Lowering(_reduction("ReduceMin"), dtypes=NUMBERS),
    "arg_max": Lowering(_arg_max, dtypes=NUMBERS),
    "cumulative_sum": Lowering(_cumulative_sum, dtypes=NUMBERS),
    "top_k": Lowering(_top_k, dtypes=NUMBERS),
}
