"""dot as one matrix product over views that BLAS reads as they are, conv as matrix products over unrolled windows."""

from __future__ import annotations

from math import gcd

from ....compiler.ir import AnyDim, Node, Shape, TensorType
from ....compiler.ir.dims import ceildiv, decide, product
from ....compiler.ops.contract import Conv, Dot
from ..code import Array, Buffer, Computed
from ..layout import blas_reads
from ..scope import OUT, Lowering, Recipe, Scope
from .source import cast


def _wide(scope: Scope, node: Node, *operands: Array) -> tuple[list[Array], TensorType]:
    """The operands, and the type of the result, in the dtype of the sums where that is wider."""
    assert isinstance(node.op, (Dot, Conv))
    type, dtype = node.output.type, node.op.accumulate
    if dtype is None or not type.dtype.is_float or dtype.bytes <= type.dtype.bytes:
        return list(operands), type
    return [cast(scope, operand, dtype) for operand in operands], type.with_dtype(dtype)


def _dot(scope: Scope, node: Node, lhs: Array, rhs: Array) -> Array:
    op = node.op
    assert isinstance(op, Dot)
    (lhs, rhs), type = _wide(scope, node, lhs, rhs)
    left, right = matrices(scope, op, lhs, rhs)
    result = matmul(scope, left, right, (*left.shape[:-1], right.shape[-1]))
    return cast(scope, scope.reshape(result, type.shape), node.output.type.dtype)


def matrices(scope: Scope, op: Dot, lhs: Array, rhs: Array) -> tuple[Array, Array]:
    """The operands as matrices that BLAS reads, batches of them where the op has such axes."""
    rows, columns = op.free(len(lhs.shape), len(rhs.shape))
    batch = tuple(lhs.shape[axis] for axis in op.lhs_batch)
    depth = product(lhs.shape[axis] for axis in op.lhs_contract)
    down, across = (product(a.shape[axis] for axis in free) for a, free in ((lhs, rows), (rhs, columns)))
    left = scope.transpose(lhs, (*op.lhs_batch, *rows, *op.lhs_contract))
    right = scope.transpose(rhs, (*op.rhs_batch, *op.rhs_contract, *columns))
    left = readable(scope, scope.reshape(left, (*batch, down, depth)))
    return left, readable(scope, scope.reshape(right, (*batch, depth, across)))


def dot_recipe(scope: Scope, node: Node, lhs: Array, rhs: Array, axes: Shape, whole: bool) -> Recipe:
    """The call of the kernel for a product of two matrices; ``axes`` are those of its rows.

    With ``whole`` each block has all columns.
    """
    assert isinstance(node.op, Dot)
    left, right = matrices(scope, node.op, lhs, rhs)
    name = f"{scope.kernel('finished_matmul')}({{}}, {{}}, {len(axes)}, "
    tile = scope.kernel("product_rows" if whole else "product_tile")
    return Recipe(name, (left, right), Computed(tile, (right.shape[-1], *axes)))


def readable(scope: Scope, array: Array) -> Array:
    """The array, copied if BLAS cannot read its last two axes as a matrix."""
    array = scope.spelled(array)
    return array if not array.dtype.is_float or blas_reads(array.shape, array.strides) else scope.copy(array)


def matmul(scope: Scope, left: Array, right: Array, shape: Shape) -> Array:
    """``left @ right``."""
    return scope.fill(TensorType(left.dtype, shape), "np.matmul({}, {}, out={})", left, right, OUT)


def _conv(scope: Scope, node: Node, x: Array, w: Array) -> Array:
    op = node.op
    assert isinstance(op, Conv)
    (x, w), type = _wide(scope, node, x, w)
    x, w = scope.spelled(x), scope.contiguous(w)
    dense = all(step == 1 for step in op.input_dilation)
    if not dense and any(step != 1 for step in op.stride):
        op, x, dense = op.model_copy(update={"input_dilation": ()}), _spread(scope, op, x), True
    plain = dense and all(step == 1 for step in op.stride) and not any(map(any, op.padding))
    if not dense:
        result = _phases(scope, op, x, w, type)
    elif plain and all(size == 1 for size in w.shape[2:]):
        result = _pointwise(scope, op, x, w, type)
    elif op.groups > 1 and decide(w.shape[1], "==", 1) and decide(w.shape[0], "==", op.groups):
        result = _depthwise(scope, op, x, w, type)
    else:
        result = _windows(scope, op, x, w, type)
    return cast(scope, result, node.output.type.dtype)


def _pointwise(scope: Scope, op: Conv, x: Array, w: Array, type: TensorType) -> Array:
    """A kernel of one element: a matrix times the channels of each point."""
    groups = (op.groups,) if op.groups > 1 else ()
    matrix = (*groups, w.shape[0] // op.groups, w.shape[1])
    columns = (x.shape[0], *groups, w.shape[1], product(x.shape[2:]))
    left, right = scope.reshape(w, matrix), readable(scope, scope.reshape(x, columns))
    result = matmul(scope, left, right, (*columns[:-2], matrix[-2], columns[-1]))
    return scope.reshape(result, type.shape)


def _sides(op: Conv) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(low for low, _ in op.padding), tuple(high for _, high in op.padding)


def _grown(x: Array, low: tuple[int, ...], high: tuple[int, ...]) -> Shape:
    return tuple(size + a + b for size, a, b in zip(x.shape[2:], low, high, strict=True))


def _windows(scope: Scope, op: Conv, x: Array, w: Array, type: TensorType) -> Array:
    """Unroll the windows of a tile into columns, and multiply."""
    low, high = _sides(op)
    facts = (x.shape[0], x.shape[1] * product(w.shape[2:]), type.shape[2], product(type.shape[3:]))
    columns = Buffer(x.dtype, (Computed(scope.kernel("conv_columns"), facts),))
    padded: Buffer | str = "None"
    if any(low) or any(high) or not x.packed:
        elements = (*facts, x.shape[1] * product(_grown(x, low, high)))
        padded = Buffer(x.dtype, (Computed(scope.kernel("conv_padded"), elements),))
    name = f"{scope.kernel('conv')}({{}}, {{}}, {op.stride}, {low}, {high}, {op.window_dilation}, {op.groups}"
    return scope.fill(type, name + ", {}, {}, out={})", x, w, padded, columns, OUT)


def _depthwise(scope: Scope, op: Conv, x: Array, w: Array, type: TensorType) -> Array:
    """One filter for each channel: shifted products, added up."""
    low, high = _sides(op)
    padded: Buffer | str = "None"
    if any(low) or any(high) or not x.packed:
        padded = Buffer(x.dtype, (*x.shape[:2], *_grown(x, low, high)))
    facts = (x.shape[1], product(_grown(x, low, high)))
    products = Buffer(x.dtype, (Computed(scope.kernel("depthwise_products"), facts),))
    name = f"{scope.kernel('depthwise_conv')}({{}}, {{}}, {op.stride}, {low}, {high}, {op.window_dilation}"
    return scope.fill(type, name + ", {}, {}, out={})", x, w, padded, products, OUT)


def _spread(scope: Scope, op: Conv, x: Array) -> Array:
    """x with zeros between its elements."""
    interior = (0, 0, *(step - 1 for step in op.input_dilation))
    sizes = [(size - 1) * step + 1 for size, step in zip(x.shape[2:], op.input_dilation, strict=True)]
    type = TensorType(x.dtype, (*x.shape[:2], *sizes))
    return scope.fill(type, scope.kernel("pad") + "({}, 0, {}, {}, {})", x, (0,) * len(x.shape), interior, OUT)


def _phases(scope: Scope, op: Conv, x: Array, w: Array, type: TensorType) -> Array:
    """A dilated input (a transposed convolution): one dense convolution for each phase of the result.

    So each weight meets elements only, never an inserted zero. The weights are sorted into phases where they are
    known: for frozen ones, once.
    """
    steps, (before, after) = op.input_dilation, _sides(op)
    low, high = (tuple(max(size // step, 0) for size, step in zip(pad, steps, strict=True)) for pad in (before, after))
    padded: Buffer | str = "None"
    if any(low) or any(high) or not x.packed:
        padded = Buffer(x.dtype, (*x.shape[:2], *_grown(x, low, high)))
    split = f"{scope.kernel('conv_phases')}({{}}, {before}, {low}, {op.window_dilation}, {steps}, {op.groups})"
    phases = scope.view(w, split, shape=w.shape, strides=w.strides)
    taps: AnyDim = 1
    for size, dilation, step in zip(w.shape[2:], op.window_dilation, steps, strict=True):
        taps = taps * ceildiv(size, step // gcd(step, dilation))
    rows, *rest = (ceildiv(size, step) for size, step in zip(type.shape[2:], steps, strict=True))
    columns = Computed(scope.kernel("conv_columns"), (1, x.shape[1] * taps, rows, product(rest)))
    scratch = (Buffer(x.dtype, (columns,)), Buffer(x.dtype, (w.shape[0] * rows * product(rest),)))
    name = f"{scope.kernel('phase_conv')}({{}}, {{}}, {low}, {steps}, {op.groups}, {{}}, {{}}, {{}}, out={{}})"
    return scope.fill(type, name, x, phases, padded, *scratch, OUT)


LOWERINGS: dict[str, Lowering] = {"dot": _dot, "conv": _conv}
