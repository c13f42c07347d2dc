"""Primitives that multiply and add: dot and conv."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as every
from typing import ClassVar

import numpy as np

from ..ir.dims import AnyDim, decide, floordiv, product
from ..ir.op import Access, Cost, ErrorSample, OneOf, Op, OpError, Precision, Sample, Shapes
from ..ir.types import DType, TensorType
from .rules import need_at_least, need_kind, need_length, need_same_dtype, normal_axes
from .samples import ints, normal, types

Multiply = OneOf["highest", "tf32", "bf16"]
Axes = tuple[int, ...]


class _Contraction(Op):
    """Base. The result has the dtype of the operands.

    ``accumulate`` is the dtype of the sums; None is float32 for 16-bit floats and the dtype of the operands otherwise.
    ``precision`` is how a target may round float32 operands before it multiplies; "highest" is not at all.
    """

    family: ClassVar[str] = "contract"
    precision_class = Precision.LOW
    accumulate: DType | None = None
    precision: Multiply = "highest"

    def _sum_dtype(self, operand: np.ndarray) -> np.dtype:
        """What the meaning sums in. It never sums float64 in less, so that a widened program stays wide."""
        dtype = DType.of(operand)
        if dtype is DType.FLOAT64:
            return operand.dtype
        if self.accumulate is not None:
            return self.accumulate.numpy
        return np.dtype(np.float32) if dtype.is_half else operand.dtype


def _default_sum(dtype: DType) -> DType:
    return DType.FLOAT32 if dtype.is_half else dtype


class Dot(_Contraction):
    """Sums of products over paired axes: axis ``lhs_contract[i]`` of lhs with axis ``rhs_contract[i]`` of rhs.

    ``lhs_batch[i]`` and ``rhs_batch[i]`` run side by side. The axes of the result are the batch axes, then what is
    left of lhs, then what is left of rhs, in order.
    """

    name = "dot"
    operands = ("lhs", "rhs")
    access = (Access.CONTRACT, Access.CONTRACT)
    lhs_contract: Axes
    rhs_contract: Axes
    lhs_batch: Axes = ()
    rhs_batch: Axes = ()

    def canonical(self, lhs: TensorType, rhs: TensorType) -> Dot:
        normal = {}
        for side, type, other in (("lhs", lhs, "rhs"), ("rhs", rhs, "lhs")):
            contract, batch = getattr(self, f"{side}_contract"), getattr(self, f"{side}_batch")
            need_length("dot", f"{side}_contract", contract, len(getattr(self, f"{other}_contract")), f"in {other}_contract")
            need_length("dot", f"{side}_batch", batch, len(getattr(self, f"{other}_batch")), f"in {other}_batch")
            both = normal_axes("dot", (*contract, *batch), type.rank)
            normal[f"{side}_contract"], normal[f"{side}_batch"] = both[: len(contract)], both[len(contract) :]
        accumulate = None if self.accumulate is _default_sum(lhs.dtype) else self.accumulate
        return self.model_copy(update={**normal, "accumulate": accumulate})

    def free(self, lhs_rank: int, rhs_rank: int) -> tuple[Axes, Axes]:
        """The axes of lhs and of rhs that are neither summed nor batch, in order."""
        left, right = {*self.lhs_contract, *self.lhs_batch}, {*self.rhs_contract, *self.rhs_batch}
        return (
            tuple(axis for axis in range(lhs_rank) if axis not in left),
            tuple(axis for axis in range(rhs_rank) if axis not in right),
        )

    def infer(self, shapes: Shapes, lhs: TensorType, rhs: TensorType) -> TensorType:
        need_kind("dot", lhs, "int", "float")
        need_same_dtype("dot", lhs, rhs)
        for a, b in zip(self.lhs_contract, self.rhs_contract, strict=True):
            shapes.same(lhs.shape[a], rhs.shape[b], f"dot of {lhs} and {rhs}, axis {a} with axis {b}")
        batch = tuple(
            shapes.same(lhs.shape[a], rhs.shape[b], f"dot of {lhs} and {rhs}, batch axis {a} with axis {b}")
            for a, b in zip(self.lhs_batch, self.rhs_batch, strict=True)
        )
        rows, columns = self.free(lhs.rank, rhs.rank)
        return lhs.with_shape((*batch, *(lhs.shape[a] for a in rows), *(rhs.shape[b] for b in columns)))

    def meaning(self, lhs: np.ndarray, rhs: np.ndarray) -> np.ndarray:
        rows, columns = self.free(lhs.ndim, rhs.ndim)
        dtype = self._sum_dtype(lhs)
        left = lhs.astype(dtype).transpose(*self.lhs_batch, *rows, *self.lhs_contract)
        right = rhs.astype(dtype).transpose(*self.rhs_batch, *self.rhs_contract, *columns)
        batch = left.shape[: len(self.lhs_batch)]
        m, n = left.shape[len(batch) : len(batch) + len(rows)], right.shape[right.ndim - len(columns) :]
        k = int(np.prod([lhs.shape[axis] for axis in self.lhs_contract], dtype=int))
        matrices = left.reshape(*batch, int(np.prod(m, dtype=int)), k) @ right.reshape(*batch, k, int(np.prod(n, dtype=int)))
        return matrices.reshape(*batch, *m, *n).astype(lhs.dtype)

    def cost(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Cost:
        summed = product(inputs[0].shape[axis] for axis in self.lhs_contract)
        macs = outputs[0].elements * summed
        return Cost(2 * macs, macs)


class Conv(_Contraction):
    """Cross-correlation of x ``[N, C, *spatial]`` with w ``[O, C / groups, *kernel]``, over 1 to 3 spatial axes.

    ``y[n, o, p] = sum over c, q of x'[n, c, p * stride + q * window_dilation] * w[o, c, q]``, where x' is x with
    ``input_dilation - 1`` zeros between neighbours and then ``padding`` zeros (low, high) around; negative padding cuts.
    Output channel o sees the input channels of group ``o // (O / groups)``. Each spatial axis of the result has
    ``(size + low + high - window_dilation * (kernel - 1) - 1) // stride + 1`` elements.
    """

    name = "conv"
    operands = ("x", "w")
    access = (Access.WINDOW, Access.CONTRACT)
    stride: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    input_dilation: tuple[int, ...] = ()
    window_dilation: tuple[int, ...] = ()
    groups: int = 1

    def canonical(self, x: TensorType, w: TensorType) -> Conv:
        spatial = x.rank - 2
        if not 1 <= spatial <= 3:
            raise OpError(f"conv: x has a batch, a channel and 1 to 3 spatial axes, not {x}")
        if w.rank != x.rank:
            raise OpError(f"conv: {x} needs weights with {x.rank} axes, not {w}")
        ones = (1,) * spatial
        filled = {
            "stride": self.stride or ones,
            "padding": self.padding or ((0, 0),) * spatial,
            "input_dilation": self.input_dilation or ones,
            "window_dilation": self.window_dilation or ones,
        }
        for field, given in filled.items():
            need_length("conv", field, given, spatial, f"spatial axes in {x}")
            if field != "padding" and min(given) < 1:
                raise OpError(f"conv: {field} {list(given)} has an entry below 1")
        if self.groups < 1:
            raise OpError(f"conv: {self.groups} groups")
        accumulate = None if self.accumulate is _default_sum(x.dtype) else self.accumulate
        return self.model_copy(update={**filled, "accumulate": accumulate})

    def infer(self, shapes: Shapes, x: TensorType, w: TensorType) -> TensorType:
        need_kind("conv", x, "float")
        need_same_dtype("conv", x, w)
        what = f"conv of {x} with {w}" + (f" in {self.groups} groups" if self.groups > 1 else "")
        shapes.same(x.shape[1], w.shape[1] * self.groups, f"{what}: the channels")
        if decide(w.shape[0] % self.groups, "!=", 0):
            raise OpError(f"{what}: {w.shape[0]} output channels are no multiple of the groups")
        sizes: list[AnyDim] = []
        for axis in range(x.rank - 2):
            low, high = self.padding[axis]
            padded = (x.shape[2 + axis] - 1) * self.input_dilation[axis] + 1 + low + high
            window = (w.shape[2 + axis] - 1) * self.window_dilation[axis] + 1
            need_at_least(shapes, padded, window, f"{what}: the padded input, for the kernel")
            sizes.append(floordiv(padded - window, self.stride[axis]) + 1)
        return x.with_shape((x.shape[0], w.shape[0], *sizes))

    def meaning(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        dtype = self._sum_dtype(x)
        padded = _padded(x.astype(dtype), self.input_dilation, self.padding)
        kernel = w.shape[2:]
        sizes = [
            (size - dilation * (k - 1) - 1) // stride + 1
            for size, dilation, k, stride in zip(padded.shape[2:], self.window_dilation, kernel, self.stride, strict=True)
        ]
        batch, groups, points = x.shape[0], self.groups, int(np.prod(sizes))
        weights = w.astype(dtype).reshape(groups, w.shape[0] // groups, w.shape[1], *kernel)
        total = np.zeros((batch, groups, w.shape[0] // groups, points), dtype)
        for offset in every(*map(range, kernel)):
            at = [q * dilation for q, dilation in zip(offset, self.window_dilation, strict=True)]
            read = tuple(
                slice(a, a + (size - 1) * stride + 1, stride) for a, size, stride in zip(at, sizes, self.stride, strict=True)
            )
            seen = padded[(slice(None), slice(None), *read)].reshape(batch, groups, w.shape[1], points)
            total += weights[(..., *offset)] @ seen
        return total.reshape(batch, w.shape[0], *sizes).astype(x.dtype)

    def cost(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Cost:
        macs = outputs[0].elements * product(inputs[1].shape[1:])
        return Cost(2 * macs, macs)


def _padded(x: np.ndarray, dilation: Sequence[int], padding: Sequence[tuple[int, int]]) -> np.ndarray:
    """x with zeros between the elements of its spatial axes and around them."""
    spread = np.zeros([*x.shape[:2], *((n - 1) * d + 1 for n, d in zip(x.shape[2:], dilation, strict=True))], x.dtype)
    spread[(slice(None), slice(None), *(slice(None, None, d) for d in dilation))] = x
    around = np.pad(spread, [(0, 0), (0, 0), *((max(a, 0), max(b, 0)) for a, b in padding)])
    kept = tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(padding, around.shape[2:], strict=True))
    return around[(slice(None), slice(None), *kept)]


OPS: tuple[type[Op], ...] = (Dot, Conv)
