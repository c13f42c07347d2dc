"""Composites of arithmetic and of shapes that have an operator of their own."""

from __future__ import annotations

from typing import Any

from ....compiler.ir import DType, Node
from ..capabilities import SINGLE, Lowering
from ..emit import Emitter
from ..forms import Form
from .activation import WIDE
from .elementwise import dtype_of

_MULTIPLIED = frozenset({DType.FLOAT16, DType.FLOAT32, DType.FLOAT64, DType.INT32, DType.INT64, DType.UINT32})


def _matmul(e: Emitter, node: Node) -> None:
    x, y = map(e.full, node.inputs)
    e.set(node.output, e.op("MatMul", x, y))


def _is_gemm(node: Node, opset: int) -> str | None:
    return "a matrix for all is a Gemm, which takes in a bias" if node.inputs[1].type.rank <= 2 else None


def _mean(e: Emitter, node: Node) -> None:
    op: Any = node.op
    (x,) = node.inputs
    if not op.axes:
        e.alias(node.output, e.form(x))
        return
    if op.axes == tuple(range(2, x.type.rank)) and dtype_of(node) is DType.FLOAT32 and x.type.rank <= 5:
        # Known to onnxruntime's blocked layout, which ReduceMean is not.
        kept = (*x.type.shape[:2], *(1,) * len(op.axes))
        e.set(node.output, e.op("GlobalAveragePool", e.full(x)), kept)
        return
    name, shape = e.last_axis(x) if op.axes == (x.type.rank - 1,) else (e.full(x), x.type.shape)
    axes = op.axes if shape == x.type.shape else (1,)
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    e.set(node.output, e.op("ReduceMean", name, e.ints(axes), keepdims=1), kept)


def _split(e: Emitter, node: Node) -> None:
    op: Any = node.op
    (x,) = node.inputs
    if len(node.outputs) == 1:
        e.alias(node.outputs[0], e.form(x))
        return
    name, shape = e.last_axis(x) if op.axis == x.type.rank - 1 else (e.full(x), x.type.shape)
    axis = op.axis if shape == x.type.shape else 1
    parts = e.ops("Split", [name, e.sizes.vector(op.sizes)], len(op.sizes), axis=axis)
    for value, part, size in zip(node.outputs, parts, op.sizes, strict=True):
        e.set(value, part, (*shape[:axis], size, *shape[axis + 1 :]))


def _triangle(upper: int) -> Lowering:
    def emit(e: Emitter, node: Node) -> None:
        diagonal = e.number(node.op.diagonal, DType.INT64)  # type: ignore[attr-defined]
        e.set(node.output, e.op("Trilu", e.full(node.inputs[0]), diagonal, upper=upper))

    return Lowering(emit, dtypes=frozenset({*SINGLE, DType.FLOAT64, DType.INT32, DType.INT64, DType.BOOL}))


def _test(operator: str) -> Lowering:
    """All or any over axes: the least or the largest of bools."""

    def emit(e: Emitter, node: Node) -> None:
        op: Any = node.op
        (x,) = node.inputs
        if not op.axes:
            e.alias(node.output, Form(node.output.type, e.family(e.form(x))))
            return
        kept = tuple(1 if axis in op.axes else size for axis, size in enumerate(x.type.shape))
        e.set(node.output, e.op(operator, e.full(x), e.ints(op.axes), keepdims=1), kept)

    return Lowering(emit, opset=20)


LOWERINGS: dict[str, Lowering] = {
    "matmul": Lowering(_matmul, dtypes=_MULTIPLIED, refuse=_is_gemm),
    "reduce_mean": Lowering(_mean, dtypes=WIDE),
    "split": Lowering(_split),
    "lower_triangle": _triangle(0),
    "upper_triangle": _triangle(1),
    "all": _test("ReduceMin"),
    "any": _test("ReduceMax"),
}
