"""dot and conv, each with the bias that is added to its result.

A dot without batch axes is a Gemm over matrices, whatever the rank of its operands: what follows it stays a matrix for
as long as it can. A convolution of a dilated input is a ConvTranspose where that has the same padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....compiler.ir import AnyDim, DType, Node, Shape, Value
from ....compiler.ir.dims import product
from ..capabilities import NUMBERS, SINGLE, Lowering
from ..emit import Emitter
from ..forms import Family, Form
from .elementwise import dtype_of
from .shape import padded, spread, turned

_MATMUL_INTS = (DType.INT32, DType.INT64, DType.UINT32)


def _waits_for_bias(e: Emitter, node: Node) -> bool:
    """Whether the result goes into one addition only, which may be its bias."""
    user = e.sole_user(node.output)
    return user is not None and user.op.name == "add" and dtype_of(node).is_float


def _add(e: Emitter, node: Node) -> None:
    for position in (0, 1):
        value, other = node.inputs[position], node.inputs[1 - position]
        form = e.forms[value]
        if form.deferred is None or value is other:
            continue
        bias = _vector(e.form(other), form.deferred)
        if bias is not None:
            product_node, e.forms[value] = form.deferred, Form(form.type)
            emit = _dot if product_node.op.name == "dot" else _conv
            emit(e, product_node, e.reshaped(*bias), node.output)
            return
    e.elementwise(node, lambda x, y: e.op("Add", x, y))


def _vector(form: Form, node: Node) -> tuple[Family, Shape] | None:
    """The other operand of an addition as a bias of a dot or conv: one number per column or channel."""
    if form.thin is None:
        return None
    shape, family = form.thin
    result = node.output.type.shape
    if node.op.name == "conv":
        wanted: Shape = (result[1], *(1,) * (len(result) - 2))
    elif not node.op.lhs_batch and len(node.op.free(*(value.type.rank for value in node.inputs))[1]) == 1:  # type: ignore[attr-defined]
        wanted = (result[-1],)
    else:
        return None
    return (family, wanted[:1]) if shape == wanted else None


# ---- dot


def _dot_alone(e: Emitter, node: Node) -> None:
    _dot(e, node, "", node.output)


def _dot(e: Emitter, node: Node, bias: str, output: Value) -> None:
    op: Any = node.op
    if op.lhs_batch:
        _batched(e, node, output)
        return
    dtype = dtype_of(node)
    lhs, rhs = node.inputs
    rows, columns = op.free(lhs.type.rank, rhs.type.rank)
    pairs = sorted(zip(op.lhs_contract, op.rhs_contract, strict=True))
    left, left_turned = _matrix(e, lhs, rows, [a for a, _ in pairs])
    right, right_turned = _matrix(e, rhs, columns, [b for _, b in pairs])
    m, n = (product(value.type.shape[a] for a in axes) for value, axes in ((lhs, rows), (rhs, columns)))
    if dtype.is_float:
        flags = {key: 1 for key, on in (("transA", left_turned), ("transB", not right_turned)) if on}
        result = e.op("Gemm", left, right, bias, **flags)
    else:
        left = e.op("Transpose", left, perm=(1, 0)) if left_turned else left
        right = right if right_turned else e.op("Transpose", right, perm=(1, 0))
        result = _integers(e, dtype, left, right)
    e.set(output, result, (m, n))


def _matrix(e: Emitter, value: Value, free: Sequence[int], summed: Sequence[int]) -> tuple[str, bool]:
    """An operand as a matrix `[free, summed]`, or turned, `[summed, free]`, if that needs no Transpose."""
    shape = value.type.shape
    sizes = tuple(product(shape[axis] for axis in axes) for axes in (free, summed))
    order = [*free, *summed]
    if order == list(range(len(shape))):
        return e.at(e.form(value), sizes), False
    if [*summed, *free] == list(range(len(shape))):
        return e.at(e.form(value), sizes[::-1]), True
    moved = tuple(shape[axis] for axis in order)
    return e.reshaped(Family({moved: e.op("Transpose", e.full(value), perm=order)}), sizes), False


def _batched(e: Emitter, node: Node, output: Value) -> None:
    op: Any = node.op
    lhs, rhs = node.inputs
    rows, columns = op.free(lhs.type.rank, rhs.type.rank)
    batch = tuple(lhs.type.shape[axis] for axis in op.lhs_batch)
    left = _arranged(e, lhs, op.lhs_batch, rows, op.lhs_contract)
    right = _arranged(e, rhs, op.rhs_batch, op.rhs_contract, columns)
    dtype = dtype_of(node)
    result = e.op("MatMul", left, right) if dtype.is_float else _integers(e, dtype, left, right)
    m, n = (product(value.type.shape[a] for a in axes) for value, axes in ((lhs, rows), (rhs, columns)))
    e.set(output, result, (*batch, m, n))


def _arranged(e: Emitter, value: Value, batch: Sequence[int], rows: Sequence[int], columns: Sequence[int]) -> str:
    """An operand with its axes in this order, rows and columns each as one."""
    shape = value.type.shape
    order = [*batch, *rows, *columns]
    family = e.family(e.form(value))
    if order != list(range(len(shape))):
        moved = tuple(shape[axis] for axis in order)
        family = Family({moved: e.op("Transpose", e.full(value), perm=order)})
    sizes: list[AnyDim] = [shape[axis] for axis in batch]
    sizes += [product(shape[axis] for axis in axes) for axes in (rows, columns)]
    return e.reshaped(family, tuple(sizes))


def _integers(e: Emitter, dtype: DType, left: str, right: str) -> str:
    if dtype in _MATMUL_INTS:
        return e.op("MatMul", left, right)
    return e.cast(e.op("MatMul", e.cast(left, DType.INT32), e.cast(right, DType.INT32)), dtype)


# ---- conv


def _conv_alone(e: Emitter, node: Node) -> None:
    _conv(e, node, "", node.output)


def _conv(e: Emitter, node: Node, bias: str, output: Value) -> None:
    op: Any = node.op
    x, w = map(e.full, node.inputs)
    zero = e.number(0, dtype_of(node))
    if any(dilation != 1 for dilation in op.input_dilation):
        transposed = _transposed_padding(node)
        if transposed is not None:
            e.set(output, _conv_transpose(e, node, x, w, bias, *transposed))
            return
        between = (0, 0, *(dilation - 1 for dilation in op.input_dilation))
        x = spread(e, Family({node.inputs[0].type.shape: x}), node.inputs[0].type.shape, between, zero)
    cuts = [(min(low, 0), min(high, 0)) for low, high in op.padding]
    if any(low or high for low, high in cuts):
        x = padded(e, x, (0, 0, *(low for low, _ in cuts)), (0, 0, *(high for _, high in cuts)), zero)
    attributes: dict[str, Any] = {
        "kernel_shape": _kernel(node),
        "pads": [*(max(low, 0) for low, _ in op.padding), *(max(high, 0) for _, high in op.padding)],
        "strides": op.stride,
        "dilations": op.window_dilation,
        "group": op.groups,
    }
    e.set(output, e.op("Conv", x, w, bias, **{key: value for key, value in attributes.items() if value is not None}))


def _kernel(node: Node) -> tuple[int, ...] | None:
    kernel = node.inputs[1].type.shape[2:]
    return tuple(kernel) if all(isinstance(size, int) for size in kernel) else None  # type: ignore[arg-type]


def _transposed_padding(node: Node) -> tuple[list[int], list[int], list[int]] | None:
    """Low pads, high pads and output padding of the equal ConvTranspose, if there is one."""
    op: Any = node.op
    kernel = _kernel(node)
    if kernel is None or any(stride != 1 for stride in op.stride):
        return None
    if not all(isinstance(size, int) for size in node.inputs[1].type.shape):
        return None
    lows, highs, extra = [], [], []
    each = zip(kernel, op.padding, op.input_dilation, op.window_dilation, strict=True)
    for size, (low, high), apart, dilation in each:
        span = dilation * (size - 1)
        more = max(high - span, 0)
        if low > span or more >= apart:
            return None
        lows.append(span - low)
        highs.append(max(span - high, 0))
        extra.append(more)
    return lows, highs, extra


def _conv_transpose(
    e: Emitter, node: Node, x: str, w: str, bias: str, lows: list[int], highs: list[int], extra: list[int]
) -> str:
    op: Any = node.op
    return e.op(
        "ConvTranspose",
        x,
        _turned_weight(e, node.inputs[1], w, op.groups),
        bias,
        kernel_shape=_kernel(node) or (),
        pads=[*lows, *highs],
        output_padding=extra,
        strides=op.input_dilation,
        dilations=op.window_dilation,
        group=op.groups,
    )


def _turned_weight(e: Emitter, value: Value, w: str, groups: int) -> str:
    """A weight ``[O, C / groups, *kernel]`` as ConvTranspose has it: reversed, ``[C, O / groups, *kernel]``."""
    outputs, inputs, *kernel = value.type.shape
    spatial = list(range(2, 2 + len(kernel)))
    w = turned(e, w, spatial)
    if groups == 1:
        return e.op("Transpose", w, perm=(1, 0, *spatial))
    apart = (groups, outputs // groups, inputs, *kernel)
    family = Family({value.type.shape: w})
    swapped = e.op("Transpose", e.reshaped(family, apart), perm=(0, 2, 1, *(axis + 1 for axis in spatial)))
    moved = (groups, inputs, outputs // groups, *kernel)
    return e.reshaped(Family({moved: swapped}), (groups * inputs, outputs // groups, *kernel))


LOWERINGS: dict[str, Lowering] = {
    "dot": Lowering(_dot_alone, dtypes=NUMBERS, deferrable=_waits_for_bias),
    "conv": Lowering(_conv_alone, dtypes=SINGLE, deferrable=_waits_for_bias),
    "add": Lowering(_add, dtypes=NUMBERS),
}
