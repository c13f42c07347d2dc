"""The matrix product of NumPy over `dot`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ..ir.graph import Builder
from ..ir.op import Access, ErrorSample, Op, OpError, Precision, Sample, Shapes
from ..ir.types import TensorType
from . import functional as fn
from .composite import Composite
from .rules import need_kind, need_same_dtype
from .samples import ints, normal, types
from .tensor import Tensor, broadcast_shapes


class Matmul(Composite):
    """x @ y as in NumPy: rows of x times columns of y over the last two axes, the axes before them broadcast.

    A vector x is one row and a vector y one column, whose axis of size 1 is dropped from the result.
    """

    name = "matmul"
    family: ClassVar[str] = "contract"
    operands = ("x", "y")
    access: ClassVar[tuple[Access, ...]] = (Access.CONTRACT, Access.CONTRACT)
    precision_class = Precision.LOW

    def infer(self, shapes: Shapes, x: TensorType, y: TensorType) -> TensorType:
        need_kind("matmul", x, "int", "float")
        need_same_dtype("matmul", x, y)
        what = f"matmul of {x} and {y}"
        if x.rank == 0 or y.rank == 0:
            raise OpError(f"{what}: a scalar has no rows and columns; multiply with *")
        shapes.same(x.shape[-1], y.shape[max(y.rank - 2, 0)], f"{what}: the summed axes")
        batch = broadcast_shapes([x.shape[:-2], y.shape[:-2]], what)
        return x.with_shape((*batch, *x.shape[:-1][-1:], *(y.shape[-1:] if y.rank > 1 else ())))

    def decompose(self, build: Builder, x: Tensor, y: Tensor) -> Tensor:
        summed = max(y.rank - 2, 0)
        if y.rank <= 2:
            return fn.dot(x, y, ((x.rank - 1,), (summed,)))
        batch = broadcast_shapes([x.shape[:-2], y.shape[:-2]], "matmul")
        x = x.broadcast_to((*batch, *x.shape[-2:])) if x.rank > 1 else x.broadcast_to((*batch, *x.shape))
        y = y.broadcast_to((*batch, *y.shape[-2:]))
        axes = tuple(range(len(batch)))
        return fn.dot(x, y, ((x.rank - 1,), (y.rank - 2,)), (axes, axes))

    @classmethod
    def samples(cls) -> list[Sample]:
        shapes: Sequence[tuple[tuple[int, ...], tuple[int, ...], str]] = (
            ((3, 4), (4, 5), ""),
            ((4,), (4,), "two vectors"),
            ((4,), (4, 5), "a row"),
            ((3, 4), (4,), "a column"),
            ((2, 3, 4), (4, 5), "one matrix for all"),
            ((2, 3, 4), (2, 4, 5), "a matrix each"),
            ((2, 1, 3, 4), (7, 4, 5), "broadcast"),
            ((3, 4), (2, 4, 5), "broadcast rows"),
            ((4,), (2, 6, 4, 5), "a row for all"),
            ((2, 6, 3, 4), (4,), "a column for all"),
        )
        found = [Sample(cls(), (normal(*a), normal(*b, salt=1)), note) for a, b, note in shapes]
        return [
            *found,
            Sample(cls(), (ints(3, 4, low=-5), ints(4, 2)), "integers", exact=True),
            Sample(cls(), (normal(3, 64, dtype="float16"), normal(64, 5, dtype="float16", salt=1)), "float16"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [
            ErrorSample(cls, types("float32[3, 4]", "float32[3, 5]"), "summed axes: 4 and 3 differ"),
            ErrorSample(cls, types("float32[2, 3, 4]", "float32[3, 4, 5]"), "do not go together"),
            ErrorSample(cls, types("float32[3, 4]", "float64[4, 5]"), "different dtypes"),
            ErrorSample(cls, types("float32[]", "float32[4]"), "multiply with"),
        ]


OPS: tuple[type[Op], ...] = (Matmul,)
