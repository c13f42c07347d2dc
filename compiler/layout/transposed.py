"""A transposed convolution whose windows meet but do not overlap, as one product with the channels last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from ..ir.graph import Builder, Node, Value
from ..ops.channels_last import to_last
from ..ops.contract import Conv, Dot
from ..ops.shape import Reshape, Reverse, Transpose
from .form import Form
from .variant import Variant


def as_product(node: Node) -> Variant | None:
    """The variant of a `conv` that gives each point of x a block of results of its own, the size of the kernel.

    Result ``i * k + a`` sees nothing but element i of x, through weight ``k - 1 - a``: a product of the channels of
    each point with all weights, whose results are then put side by side. None for any other convolution.
    """
    op, (x, w) = cast(Conv, node.op), node.inputs
    kernel, rank = w.type.shape[2:], x.type.rank
    ones = (1,) * len(kernel)
    plain = op.groups == 1 and op.stride == ones and op.window_dilation == ones
    if (
        not plain
        or op.input_dilation != kernel
        or op.padding != tuple((size - 1, size - 1) for size in op.input_dilation)
    ):
        return None
    blocks = len(kernel)
    # [N, *spatial, *kernel, O] to [N, spatial 0, kernel 0, spatial 1, kernel 1, ..., O]
    woven = (0, *(axis for k in range(blocks) for axis in (1 + k, 1 + blocks + k)), 1 + 2 * blocks)
    result = Form.permuted(node.output.type.shape, to_last(rank))
    product = Dot(lhs_contract=(rank - 1,), rhs_contract=(0,), accumulate=op.accumulate, precision=op.precision)

    def emit(build: Builder, inputs: Sequence[Value]) -> Sequence[Value]:
        points, weights = inputs
        (weights,) = build.emit(Reverse(axes=tuple(range(2, rank))), [weights])
        (weights,) = build.emit(Transpose(axes=(1, *range(2, rank), 0)), [weights])
        (each,) = build.emit(product, [points, weights])
        (side_by_side,) = build.emit(Transpose(axes=woven), [each])
        return build.emit(Reshape(shape=result.stored), [side_by_side])

    return Variant((Form.permuted(x.type.shape, to_last(rank)), Form.natural(w.type.shape)), (result,), emit)
