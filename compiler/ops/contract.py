"""Primitives that multiply and add: dot and conv."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product as every
from typing import Any, ClassVar
from typing import Literal as OneOf

import numpy as np

from ..ir.dims import AnyDim, Shape, decide, floordiv, product
from ..ir.op import Access, Cost, ErrorSample, Op, OpError, Precision, Sample, Shapes
from ..ir.types import DType, TensorType
from .rules import need_at_least, need_kind, need_length, need_positive, need_same_dtype, normal_axes
from .samples import ints, normal, types
from .shape import Pad, Reverse, Slice, Transpose

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
    source = "XLA operation semantics: DotGeneral"
    numerics = "integers wrap; 16-bit floats are summed in float32; the order of the sum is open"
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
            for field, given in (("contract", contract), ("batch", batch)):
                pairs = len(getattr(self, f"{other}_{field}"))
                need_length("dot", f"{side}_{field}", given, pairs, f"in {other}_{field}")
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
        left = lhs.astype(dtype).transpose((*self.lhs_batch, *rows, *self.lhs_contract))
        right = rhs.astype(dtype).transpose((*self.rhs_batch, *self.rhs_contract, *columns))
        batch = left.shape[: len(self.lhs_batch)]
        m, n = [lhs.shape[axis] for axis in rows], [rhs.shape[axis] for axis in columns]
        k = math.prod(lhs.shape[axis] for axis in self.lhs_contract)
        matrices = left.reshape(*batch, math.prod(m), k) @ right.reshape(*batch, k, math.prod(n))
        return matrices.reshape((*batch, *m, *n)).astype(lhs.dtype)

    def cost(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Cost:
        summed = product(inputs[0].shape[axis] for axis in self.lhs_contract)
        macs = outputs[0].elements * summed
        return Cost(2 * macs, macs)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (lhs, rhs), (g,) = operands, gradients
        rows, columns = self.free(lhs.rank, rhs.rank)
        batch = tuple(range(len(self.lhs_batch)))
        of_rows = tuple(range(len(batch), len(batch) + len(rows)))
        of_columns = tuple(range(len(batch) + len(rows), g.rank))
        # The axes of each product, named as those of the operand that it is the gradient of.
        right = tuple(self.lhs_contract[self.rhs_contract.index(axis)] for axis in sorted(self.rhs_contract))
        left = tuple(self.rhs_contract[self.lhs_contract.index(axis)] for axis in sorted(self.lhs_contract))
        return [
            self._product((g, of_columns, batch), (rhs, columns, self.rhs_batch), self.lhs_batch, rows, right),
            self._product((g, of_rows, batch), (lhs, rows, self.lhs_batch), self.rhs_batch, columns, left),
        ]

    def _product(
        self, first: tuple[Any, Axes, Axes], second: tuple[Any, Axes, Axes], batch: Axes, free: Axes, rest: Axes
    ) -> Any:
        """The product of two tensors over the axes that each names, with the batch axes that each names.

        ``batch``, ``free`` and ``rest`` name the axes of the result: those of the batch, of the first and of the second
        tensor. It comes back with them in order, by the product that needs no transpose where there is one.
        """
        names = (*batch, *free, *rest)
        if names != tuple(sorted(names)) and (turned := (*batch, *rest, *free)) == tuple(sorted(turned)):
            first, second, names = second, first, turned
        (x, contract, of_x), (y, summed, of_y) = first, second
        fields = {"lhs_contract": contract, "rhs_contract": summed, "lhs_batch": of_x, "rhs_batch": of_y}
        result = x.then(self.model_copy(update=fields), y)
        order = tuple(names.index(axis) for axis in range(len(names)))
        return result if order == tuple(range(len(names))) else result.then(Transpose(axes=order))

    @classmethod
    def samples(cls) -> list[Sample]:
        matmul = cls(lhs_contract=(1,), rhs_contract=(0,))
        batched = cls(lhs_contract=(3,), rhs_contract=(2,), lhs_batch=(0, 1), rhs_batch=(0, 1))
        mixed = cls(lhs_contract=(0, -1), rhs_contract=(2, 0), lhs_batch=(2,), rhs_batch=(3,))
        return [
            Sample(matmul, (normal(3, 4), normal(4, 5)), "matrices"),
            Sample(cls(lhs_contract=(1,), rhs_contract=(1,)), (normal(3, 4), normal(5, 4)), "rows with rows"),
            Sample(cls(lhs_contract=(0,), rhs_contract=(0,)), (normal(4), normal(4, salt=1)), "vectors"),
            Sample(cls(lhs_contract=(), rhs_contract=()), (normal(3), normal(2)), "every pair"),
            Sample(cls(lhs_contract=(2,), rhs_contract=(0,)), (normal(2, 3, 4), normal(4, 5)), "rows of a batch"),
            Sample(batched, (normal(2, 3, 4, 5), normal(2, 3, 5, 6)), "batched matrices"),
            Sample(mixed, (normal(2, 3, 4, 5), normal(5, 6, 2, 4)), "axes in other orders"),
            Sample(matmul, (ints(3, 4, low=-9), ints(4, 5, low=-9)), "integers", exact=True),
            Sample(matmul, (normal(3, 4, dtype="float16"), normal(4, 5, dtype="float16")), "16 bits"),
            Sample(matmul, (normal(3, 0), normal(0, 2)), "sums of nothing", exact=True),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        def matmul() -> Op:
            return cls(lhs_contract=(1,), rhs_contract=(0,))

        def batched() -> Op:
            return cls(lhs_contract=(2,), rhs_contract=(1,), lhs_batch=(0,), rhs_batch=(0,))

        return [
            ErrorSample(matmul, types("float32[3, 4]", "float32[5, 6]"), "float32[3, 4] and float32[5, 6]"),
            ErrorSample(matmul, types("float32[3, 4]", "float64[4, 5]"), "different dtypes"),
            ErrorSample(matmul, types("float32[3]", "float32[3]"), "axis 1 of a tensor with 1 axes"),
            ErrorSample(matmul, types("bool[3, 4]", "bool[4, 5]"), "takes int or float"),
            ErrorSample(batched, types("float32[2, 3, 4]", "float32[3, 4, 5]"), "batch axis 0"),
            ErrorSample(
                lambda: cls(lhs_contract=(0, 1), rhs_contract=(0,)),
                types("float32[3, 4]", "float32[3, 4]"),
                "lhs_contract has 2 entries",
            ),
            ErrorSample(
                lambda: cls(lhs_contract=(0,), rhs_contract=(0,), lhs_batch=(0,), rhs_batch=(1,)),
                types("float32[3, 4]", "float32[3, 4]"),
                "an axis stands twice",
            ),
        ]


class Convolution(_Contraction):
    """Base: a kernel at every position of a grid over 1 to 3 spatial axes, for each group of channels."""

    source = "Dumoulin, Visin, A guide to convolution arithmetic for deep learning, 2016; XLA operation semantics: Conv"
    numerics = "16-bit floats are summed in float32; the order of the sum is open"
    operands = ("x", "w")
    access = (Access.WINDOW, Access.CONTRACT)
    stride: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    input_dilation: tuple[int, ...] = ()
    window_dilation: tuple[int, ...] = ()
    groups: int = 1

    def canonical(self, x: TensorType, w: TensorType) -> Convolution:
        name, spatial = self.name, x.rank - 2
        if not 1 <= spatial <= 3:
            raise OpError(f"{name}: x has a batch, a channel and 1 to 3 spatial axes, not {x}")
        if w.rank != x.rank:
            raise OpError(f"{name}: {x} needs weights with {x.rank} axes, not {w}")
        ones = (1,) * spatial
        steps = {
            "stride": self.stride or ones,
            "input_dilation": self.input_dilation or ones,
            "window_dilation": self.window_dilation or ones,
        }
        for field, given in steps.items():
            need_length(name, field, given, spatial, f"spatial axes in {x}")
            need_positive(name, field, given)
        padding = self.padding or ((0, 0),) * spatial
        need_length(name, "padding", padding, spatial, f"spatial axes in {x}")
        if self.groups < 1:
            raise OpError(f"{name}: {self.groups} groups")
        accumulate = None if self.accumulate is _default_sum(x.dtype) else self.accumulate
        return self.model_copy(update={**steps, "padding": padding, "accumulate": accumulate})

    def grid(
        self, shapes: Shapes, x: TensorType, w: TensorType, of_x: tuple[Axes, int], of_w: tuple[Axes, int, int]
    ) -> Shape:
        """The sizes of the result along the spatial axes.

        ``of_x`` tells the spatial axes of x and that of its channels, ``of_w`` those of w and that of the output
        channels. Raises `OpError`.
        """
        need_kind(self.name, x, "float")
        need_same_dtype(self.name, x, w)
        (space, channels), (kernel, depth, filters) = of_x, of_w
        what = f"{self.name} of {x} with {w}" + (f" in {self.groups} groups" if self.groups > 1 else "")
        shapes.same(x.shape[channels], w.shape[depth] * self.groups, f"{what}: the channels")
        if decide(w.shape[filters] % self.groups, "!=", 0):
            raise OpError(f"{what}: {w.shape[filters]} output channels are no multiple of the groups")
        sizes: list[AnyDim] = []
        for axis, (over, taps) in enumerate(zip(space, kernel, strict=True)):
            low, high = self.padding[axis]
            padded = (x.shape[over] - 1) * self.input_dilation[axis] + 1 + low + high
            window = (w.shape[taps] - 1) * self.window_dilation[axis] + 1
            need_at_least(shapes, padded, window, f"{what}: the padded input, for the kernel")
            sizes.append(floordiv(padded - window, self.stride[axis]) + 1)
        return tuple(sizes)

    def work(
        self, x: TensorType, y: TensorType, filters: AnyDim, depth: AnyDim, kernel: Sequence[AnyDim], first: int
    ) -> Cost:
        """A multiply-accumulate for each tap of each result, or of each element of x where those are fewer.

        They are fewer where x is spread, or padded by more than the window: zeros there are no work.
        ``filters`` are the output channels, ``depth`` the input channels that each of them sees, ``first`` is the
        first spatial axis of x and y.
        """
        macs: AnyDim = x.shape[0] * filters * depth
        for axis, taps in enumerate(kernel):
            low, high = self.padding[axis]
            window = (taps - 1) * self.window_dilation[axis]
            spread = self.input_dilation[axis] > 1 or decide(window, "<", low + high) is True
            at = first + axis
            macs = macs * taps * (x.shape[at] if spread and self.stride[axis] == 1 else y.shape[at])
        return Cost(2 * macs, macs)


class Conv(Convolution):
    """Cross-correlation of x ``[N, C, *spatial]`` with w ``[O, C / groups, *kernel]``, over 1 to 3 spatial axes.

    ``y[n, o, p] = sum over c, q of x'[n, c, p * stride + q * window_dilation] * w[o, c, q]``, where x' is x with
    ``input_dilation - 1`` zeros between neighbours, then ``padding`` zeros (low, high) around; negative padding cuts.
    Output channel o sees the input channels of group ``o // (O / groups)``. Each spatial axis of the result has
    ``(size + low + high - window_dilation * (kernel - 1) - 1) // stride + 1`` elements.
    """

    name = "conv"

    def infer(self, shapes: Shapes, x: TensorType, w: TensorType) -> TensorType:
        spatial = tuple(range(2, x.rank))
        return x.with_shape((x.shape[0], w.shape[0], *self.grid(shapes, x, w, (spatial, 1), (spatial, 1, 0))))

    def meaning(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        dtype, kernel, spatial = self._sum_dtype(x), w.shape[2:], range(x.ndim - 2)
        stride, dilation = self.stride, self.window_dilation
        padded = _padded(x.astype(dtype), self.input_dilation, self.padding)
        sizes = [(padded.shape[2 + k] - dilation[k] * (kernel[k] - 1) - 1) // stride[k] + 1 for k in spatial]
        batch, groups, points = x.shape[0], self.groups, math.prod(sizes)
        weights = w.astype(dtype).reshape(groups, w.shape[0] // groups, w.shape[1], *kernel)
        weights = np.moveaxis(weights, (0, 1, 2), (-3, -2, -1))
        total = np.zeros((batch, groups, w.shape[0] // groups, points), dtype)
        for offset in every(*map(range, kernel)):
            first = [offset[k] * dilation[k] for k in spatial]
            read = [slice(first[k], first[k] + (sizes[k] - 1) * stride[k] + 1, stride[k]) for k in spatial]
            seen = padded[(slice(None), slice(None), *read)].reshape(batch, groups, w.shape[1], points)
            total += weights[offset] @ seen
        return total.reshape(batch, w.shape[0], *sizes).astype(x.dtype)

    def cost(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Cost:
        x, w = inputs
        return self.work(x, outputs[0], w.shape[0], w.shape[1], w.shape[2:], 2)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x, w), (g,) = operands, gradients
        return [self._of_x(x, w, g), self._of_w(x, w, g)]

    def _rest(self, x: Any, w: Any, g: Any, axis: int) -> AnyDim:
        """How much of the padded x along a spatial axis stands behind the last window."""
        padded = (x.shape[2 + axis] - 1) * self.input_dilation[axis] + 1 + sum(self.padding[axis])
        window = (w.shape[2 + axis] - 1) * self.window_dilation[axis] + 1
        return padded - window - (g.shape[2 + axis] - 1) * self.stride[axis]

    def _of_x(self, x: Any, w: Any, g: Any) -> Any:
        """A convolution of g, spread by the stride, with the kernels turned around and their channels exchanged."""
        groups, (filters, depth, *kernel) = self.groups, w.shape
        turned = w.then(Reverse(axes=tuple(range(2, w.rank))))
        turned = turned.reshape(groups, filters // groups, depth, *kernel)
        turned = turned.then(Transpose(axes=(0, 2, 1, *range(3, w.rank + 1))))
        turned = turned.reshape(groups * depth, filters // groups, *kernel)
        padding, cut = [], []
        for axis, (low, high) in enumerate(self.padding):
            reach = (kernel[axis] - 1) * self.window_dilation[axis]
            rest = self._rest(x, w, g, axis)
            # Not known before the run: room for the most that it can be, and away with what is too much.
            room = rest if isinstance(rest, int) else self.stride[axis] - 1
            padding.append((reach - low, reach - high + room))
            cut.append(rest - room)
        op = self.model_copy(
            update={"stride": (1,) * len(kernel), "input_dilation": self.stride, "padding": tuple(padding)}
        )
        result = g.then(op, turned)
        if any(size != 0 for size in cut):
            result = result.then(Pad(low=(0,) * x.rank, high=(0, 0, *cut)), g.scalar(0))
        if max(self.input_dilation) > 1:
            stride = (1, 1, *self.input_dilation)
            result = result.then(Slice(start=(0,) * x.rank, stop=result.shape, stride=stride))
        return result

    def _of_w(self, x: Any, w: Any, g: Any) -> Any:
        """A convolution of x with g as kernels, where examples are channels and channels examples."""
        groups, (count, channels) = self.groups, x.shape[:2]
        rest = range(3, x.rank + 1)
        seen = x.reshape(count, groups, channels // groups, *x.shape[2:]).then(Transpose(axes=(2, 1, 0, *rest)))
        seen = seen.reshape(channels // groups, groups * count, *x.shape[2:])
        taps = g.then(Transpose(axes=(1, 0, *range(2, g.rank))))
        # What the last window does not reach is cut away, so that g has a place for each tap and no more.
        ends = tuple((low, high - self._rest(x, w, g, axis)) for axis, (low, high) in enumerate(self.padding))
        changed = {"stride": self.window_dilation, "window_dilation": self.stride}
        if all(isinstance(high, int) for _, high in ends):
            op = self.model_copy(update={**changed, "padding": ends})
        else:
            interior = (0, 0, *(step - 1 for step in self.input_dilation))
            low, high = ((0, 0, *each) for each in zip(*ends, strict=True))
            seen = seen.then(Pad(low=low, high=high, interior=interior), x.scalar(0))
            op = self.model_copy(update={**changed, "padding": (), "input_dilation": ()})
        return seen.then(op, taps).then(Transpose(axes=(1, 0, *range(2, x.rank))))

    @classmethod
    def samples(cls) -> list[Sample]:
        x, w = normal(2, 4, 7, 6), normal(6, 4, 3, 2)
        uneven = cls(stride=(2, 1), padding=((1, 2), (0, 1)), window_dilation=(1, 2))
        spread = cls(input_dilation=(2, 3), padding=((2, 1), (0, 3)))
        return [
            Sample(cls(), (x, w)),
            Sample(uneven, (x, w), "stride, uneven padding, dilation"),
            Sample(spread, (x, w), "input dilation (transposed)"),
            Sample(cls(padding=((-1, 0), (1, -2))), (x, w), "negative padding cuts"),
            Sample(cls(groups=2), (x, normal(6, 2, 3, 2)), "groups"),
            Sample(cls(groups=4, padding=((1, 1), (1, 1))), (x, normal(4, 1, 3, 3)), "depthwise"),
            Sample(cls(), (x, normal(5, 4, 1, 1)), "pointwise"),
            Sample(cls(padding=((2, 0),)), (normal(2, 3, 8), normal(4, 3, 3)), "one axis, causal"),
            Sample(cls(stride=(1, 2, 1)), (normal(1, 2, 4, 5, 4), normal(3, 2, 2, 3, 2)), "three axes"),
            Sample(cls(), (normal(1, 3, 5, 5, dtype="float16"), normal(2, 3, 3, 3, dtype="float16")), "16 bits"),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        x, w = "float32[1, 4, 8, 8]", "float32[6, 4, 3, 3]"
        return [
            ErrorSample(cls, types(x, "float32[6, 3, 3, 3]"), "the channels: 4 and 3 differ"),
            ErrorSample(lambda: cls(groups=4), types(x, "float32[6, 1, 3, 3]"), "6 output channels are no multiple"),
            ErrorSample(lambda: cls(groups=0), types(x, w), "0 groups"),
            ErrorSample(cls, types("float32[1, 4, 2, 8]", w), "2 is less than 3"),
            ErrorSample(cls, types(x, "float32[6, 4, 3]"), "needs weights with 4 axes"),
            ErrorSample(cls, types("float32[4, 8]", "float32[4, 8]"), "1 to 3 spatial axes"),
            ErrorSample(lambda: cls(stride=(1,)), types(x, w), "stride has 1 entries, but there are 2 spatial axes"),
            ErrorSample(lambda: cls(stride=(0, 1)), types(x, w), "stride [0, 1] has an entry below 1"),
            ErrorSample(cls, types(x, "float64[6, 4, 3, 3]"), "different dtypes"),
            ErrorSample(cls, types("int64[1, 4, 8, 8]", "int64[6, 4, 3, 3]"), "takes float"),
        ]


def _padded(x: np.ndarray, dilation: Sequence[int], padding: Sequence[tuple[int, int]]) -> np.ndarray:
    """x with zeros between the elements of its spatial axes and around them."""
    spread = np.zeros([*x.shape[:2], *((n - 1) * d + 1 for n, d in zip(x.shape[2:], dilation, strict=True))], x.dtype)
    spread[(slice(None), slice(None), *(slice(None, None, d) for d in dilation))] = x
    around = np.pad(spread, [(0, 0), (0, 0), *((max(a, 0), max(b, 0)) for a, b in padding)])
    kept = tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(padding, around.shape[2:], strict=True))
    return around[(slice(None), slice(None), *kept)]


OPS: tuple[type[Op], ...] = (Dot, Conv)
