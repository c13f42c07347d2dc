"""A value with arithmetic: how decompositions and the formulas of specs build nodes.

The rules are those of the spec language: a number beside a tensor takes its dtype; of two tensors bool yields to int
and int to float, and two widths of one kind are an error; shapes broadcast as in NumPy. What comes out has no implicit
broadcasting left: every elementwise node has operands of one shape and one dtype.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import Any, Union

import numpy as np

from ..ir.dims import AnyDim, Dim, Shape, bounds, decide, maximum
from ..ir.graph import Builder, Graph, Value
from ..ir.op import Op, OpError
from ..ir.types import DType, Literal, TensorType
from .elementwise import Add, And, Compare, Div, Mul, Neg, Not, Or, Pow, Rem, Sub
from .shape import Broadcast, Reshape, Reverse, Slice
from .source import Cast, Constant, Dimension

Scalar = int | float | bool | Dim
Operand = Union["Tensor", int, float, bool, Dim]
Item = int | Dim | slice | EllipsisType | None


class Tensor:
    """A value under construction. Immutable; arithmetic appends nodes to ``build``."""

    __slots__ = ("build", "value")

    def __init__(self, build: Builder, value: Value) -> None:
        self.build = build
        self.value = value

    @property
    def type(self) -> TensorType:
        return self.value.type

    @property
    def dtype(self) -> DType:
        return self.value.type.dtype

    @property
    def shape(self) -> Shape:
        return self.value.type.shape

    @property
    def rank(self) -> int:
        return len(self.value.type.shape)

    def __repr__(self) -> str:
        return f"Tensor({self.type})"

    def __add__(self, other: Operand) -> Tensor:
        return elementwise(self.build, Add(), self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return elementwise(self.build, Add(), other, self)

    def __sub__(self, other: Operand) -> Tensor:
        return elementwise(self.build, Sub(), self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return elementwise(self.build, Sub(), other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return elementwise(self.build, Mul(), self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return elementwise(self.build, Mul(), other, self)

    def __truediv__(self, other: Operand) -> Tensor:
        return true_divide(self.build, self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return true_divide(self.build, other, self)

    def __pow__(self, other: Operand) -> Tensor:
        return elementwise(self.build, Pow(), self, other)

    def __rpow__(self, other: Operand) -> Tensor:
        return elementwise(self.build, Pow(), other, self)

    def __neg__(self) -> Tensor:
        return apply(self.build, Neg(), self)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return compare(self.build, "eq", self, other)  # type: ignore[arg-type]

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return compare(self.build, "ne", self, other)  # type: ignore[arg-type]

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: Operand) -> Tensor:
        return compare(self.build, "lt", self, other)

    def __le__(self, other: Operand) -> Tensor:
        return compare(self.build, "le", self, other)

    def __gt__(self, other: Operand) -> Tensor:
        return compare(self.build, "gt", self, other)

    def __ge__(self, other: Operand) -> Tensor:
        return compare(self.build, "ge", self, other)

    def __and__(self, other: Operand) -> Tensor:
        return elementwise(self.build, And(), self, other)

    def __or__(self, other: Operand) -> Tensor:
        return elementwise(self.build, Or(), self, other)

    def __invert__(self) -> Tensor:
        return apply(self.build, Not(), self)

    def __bool__(self) -> bool:
        raise OpError("a tensor has no truth value when the spec is read; use where")

    def rem(self, other: Operand) -> Tensor:
        """Remainder with the sign of the dividend (C's and ONNX's fmod)."""
        return elementwise(self.build, Rem(), self, other)

    def __getitem__(self, items: Item | tuple[Item, ...]) -> Tensor:
        return index(self, items if isinstance(items, tuple) else (items,))

    def cast(self, dtype: DType) -> Tensor:
        """The values in another dtype."""
        return self if dtype is self.dtype else apply(self.build, Cast(dtype=dtype), self)

    def reshape(self, *shape: AnyDim) -> Tensor:
        """The elements in row-major order under another shape."""
        return self if shape == self.shape else apply(self.build, Reshape(shape=shape), self)

    def like(self, value: Scalar) -> Tensor:
        """One number in the shape and dtype of this tensor."""
        return full(self.build, self.shape, value, self.dtype)

    def scalar(self, value: Scalar) -> Tensor:
        """One number in the dtype of this tensor, without axes."""
        return number(self.build, value, self.dtype)

    def then(self, op: Op, *operands: Any) -> Any:
        """``op`` with this as its first operand; see `apply`."""
        return apply(self.build, op, self, *operands)

    def broadcast_to(self, shape: Shape) -> Tensor:
        """NumPy's broadcast_to: axes are lined up from the last; sizes of 1 repeat. Raises `OpError`."""
        return broadcast_to(self, shape)


def apply(build: Builder, op: Op, *operands: Any, regions: tuple[Graph, ...] = ()) -> Any:
    """Append ``op``. Operands are tensors, None for an optional one left out, a list for a variadic one.

    Returns a Tensor for one unnamed result, else a list of them (in the order of ``op.results`` if that has names).
    """
    lined = list(operands) + [None] * (len(op.operands) - len(operands))
    op, flat = op.with_present(lined)
    values = build.emit(op, [tensor.value for tensor in flat], regions)
    if len(values) == 1 and not op.results and not getattr(op, "listed", False):
        return Tensor(build, values[0])
    return [Tensor(build, value) for value in values]


def constant(build: Builder, value: Any, dtype: DType) -> Tensor:
    """A literal array or number."""
    return apply(build, Constant(value=Literal.of(value, dtype)))


def number(build: Builder, value: Scalar, dtype: DType) -> Tensor:
    """A scalar of ``dtype``: a constant, or a dimension that is found at run time."""
    if isinstance(value, Dim):
        return apply(build, Dimension(size=value)).cast(dtype)
    return constant(build, value, dtype)


def full(build: Builder, shape: Shape, value: Scalar, dtype: DType) -> Tensor:
    """A tensor filled with one number."""
    return number(build, value, dtype).broadcast_to(shape)


def lift(build: Builder, operands: Sequence[Operand], what: str) -> list[Tensor]:
    """Tensors of one dtype from tensors and numbers. Raises `OpError` where the language wants a cast."""
    tensors = [operand for operand in operands if isinstance(operand, Tensor)]
    ranks = {"bool": 0, "int": 1, "float": 2}
    dtype: DType | None = None
    for tensor in tensors:
        if dtype is None or ranks[tensor.dtype.kind] > ranks[dtype.kind]:
            dtype = tensor.dtype
        elif tensor.dtype.kind == dtype.kind and tensor.dtype is not dtype:
            raise OpError(f"{what}: {dtype} and {tensor.dtype} do not mix; cast one, as in {dtype}(x)")
    for operand in operands:
        if isinstance(operand, Tensor):
            continue
        whole = isinstance(operand, (int, Dim)) or (isinstance(operand, float) and operand.is_integer())
        if dtype is None:
            dtype = (
                DType.BOOL
                if isinstance(operand, bool)
                else DType.INT64
                if isinstance(operand, (int, Dim))
                else DType.FLOAT32
            )
        elif dtype is DType.BOOL and not isinstance(operand, bool):
            dtype = DType.INT64 if isinstance(operand, (int, Dim)) else DType.FLOAT32
        elif dtype.kind == "int" and not whole:
            raise OpError(f"{what}: the number {operand} stands beside {dtype}; cast the tensor to a float first")
    assert dtype is not None
    return [o.cast(dtype) if isinstance(o, Tensor) else number(build, o, dtype) for o in operands]


def broadcast_shapes(shapes: Sequence[Shape], what: str) -> Shape:
    """NumPy's common shape. Sizes that may or may not be equal are taken as equal (the broadcast guards them).

    Raises `OpError` that names the shapes.
    """
    rank = max(len(shape) for shape in shapes)
    result: list[AnyDim] = []
    for axis in range(-rank, 0):
        size: AnyDim = 1
        for shape in shapes:
            other = shape[axis] if len(shape) >= -axis else 1
            if other == 1 or other == size:
                continue
            if size == 1:
                size = other
            elif decide(size, "==", other) is False:
                listed = " and ".join("[" + ", ".join(map(str, each)) + "]" for each in shapes)
                raise OpError(f"{what}: the shapes {listed} do not go together ({size} against {other})")
            elif isinstance(other, int):
                size = other
        result.append(size)
    return tuple(result)


def broadcast_to(tensor: Tensor, shape: Shape) -> Tensor:
    """See `Tensor.broadcast_to`."""
    if tensor.shape == shape:
        return tensor
    offset = len(shape) - tensor.rank
    if offset < 0:
        raise OpError(f"expand: {tensor.type} has more axes than [{', '.join(map(str, shape))}]")
    return apply(tensor.build, Broadcast(shape=shape, axes=tuple(range(offset, len(shape)))), tensor)


def elementwise(build: Builder, op: Op, *operands: Operand) -> Tensor:
    """``op`` on operands that are brought to one dtype and one shape first."""
    tensors = lift(build, operands, op.name)
    shape = broadcast_shapes([tensor.shape for tensor in tensors], op.name)
    return apply(build, op, *(tensor.broadcast_to(shape) for tensor in tensors))


def compare(build: Builder, direction: str, left: Operand, right: Operand) -> Tensor:
    """A comparison, as bool."""
    return elementwise(build, Compare(direction=direction), left, right)  # type: ignore[arg-type]


def true_divide(build: Builder, left: Operand, right: Operand) -> Tensor:
    """``left / right`` as a float: two integers give float32."""
    x, y = lift(build, (left, right) if _any_float(left, right) else (_to_float(left), _to_float(right)), "/")
    return elementwise(build, Div(), x, y)


def _any_float(*operands: Operand) -> bool:
    return any(isinstance(operand, Tensor) and operand.dtype.is_float for operand in operands)


def _to_float(operand: Operand) -> Operand:
    return operand.cast(DType.FLOAT32) if isinstance(operand, Tensor) else operand


def index(tensor: Tensor, items: tuple[Item, ...]) -> Tensor:
    """NumPy's basic indexing by whole numbers, slices, ``...`` and None. Raises `OpError`."""
    used = sum(1 for item in items if item is not None and item is not Ellipsis)
    if used > tensor.rank:
        raise OpError(f"{used} indices for {tensor.type}")
    if sum(1 for item in items if item is Ellipsis) > 1:
        raise OpError("an index has one ... at most")
    if Ellipsis not in items:
        items = (*items, Ellipsis)
    at = items.index(Ellipsis)
    items = (*items[:at], *(slice(None) for _ in range(tensor.rank - used)), *items[at + 1 :])
    starts: list[AnyDim] = []
    stops: list[AnyDim] = []
    strides: list[int] = []
    reversed_axes: list[int] = []
    shape: list[AnyDim] = []
    axis = 0
    for item in items:
        if item is None:
            shape.append(1)
            continue
        size = tensor.shape[axis]
        if isinstance(item, slice):
            start, stop, stride, flipped = _slice_bounds(item, size)
            if flipped:
                reversed_axes.append(axis)
            count = (stop - start + stride - 1) // stride if stride > 1 else stop - start
            shape.append(count)
        else:
            start = _position(item, size, tensor.type, axis)
            stop, stride = start + 1, 1
        starts.append(start)
        stops.append(stop)
        strides.append(stride)
        axis += 1
    result = tensor
    if reversed_axes:
        result = apply(tensor.build, Reverse(axes=tuple(reversed_axes)), result)
    if any(s != 0 for s in starts) or tuple(stops) != tensor.shape or any(s != 1 for s in strides):
        result = apply(tensor.build, Slice(start=tuple(starts), stop=tuple(stops), stride=tuple(strides)), result)
    return result.reshape(*shape)


def _position(item: Any, size: AnyDim, type: TensorType, axis: int) -> AnyDim:
    if not isinstance(item, (int, Dim)) or isinstance(item, bool):
        raise OpError(f"{item} is no index; by tensor: op gather")
    position = item + size if bounds(item)[1] < 0 else item
    if decide(position, ">=", size) or decide(position, "<", 0):
        raise OpError(f"index {item} is outside axis {axis} of {type}")
    return position


def _slice_bounds(item: slice, size: AnyDim) -> tuple[AnyDim, AnyDim, int, bool]:
    stride = 1 if item.step is None else item.step
    if not isinstance(stride, int) or stride == 0:
        raise OpError(f"a slice steps by a whole number, not {stride}")
    if stride < 0:
        if item.start is not None or item.stop is not None:
            raise OpError("a slice that steps backward takes the whole axis: x[::-1]")
        return 0, size, -stride, True

    def clamp(value: AnyDim | None, default: AnyDim) -> AnyDim:
        if value is None:
            return default
        if bounds(value)[1] < 0:
            return maximum(value + size, 0)
        return size if decide(value, ">", size) else value

    start, stop = clamp(item.start, 0), clamp(item.stop, size)
    return start, maximum(stop, start), stride, False


def as_array(values: Any, dtype: DType) -> np.ndarray:
    """Nested lists of numbers as an array. Raises `OpError` if they are ragged or no numbers."""
    try:
        return np.asarray(values).astype(dtype.numpy)
    except (TypeError, ValueError) as error:
        raise OpError(f"not an array of {dtype}: {error}") from error
