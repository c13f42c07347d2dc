"""The node that fusion makes: several ordinary ops that a target runs as one kernel."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..ir.graph import Graph, Value
from ..ir.op import ErrorSample, OneOf, Op, OpError, Sample, Shapes
from ..ir.types import TensorType
from .contract import Dot
from .control import Region, check_region, region
from .elementwise import Add, Div, Exp, Max, Sub
from .reduce import ReduceMax, ReduceSum
from .samples import normal, types
from .shape import Broadcast, Reshape

Kind = OneOf["pointwise", "rows", "dot", "conv", "conv_channels_last", "attention", "window"]
"""The shape of a kernel: elementwise work, reductions with their neighbours, or an anchor with what is around it."""


class Fused(Op):
    """What its region computes, in one kernel. The region takes the operands and gives the results, one to one.

    Inside stand elementwise ops, casts, scalar constants, reshapes, transposes and broadcasts; reductions over one set
    of axes (kind "rows"), or one anchor that gives the kind its name. The pass `fuse` makes it for targets that ask.
    """

    name = "fused"
    source = "XLA: fusion"
    numerics = "that of its body"
    family: ClassVar[str] = "control"
    operands = ("operands*",)
    listed: ClassVar[bool] = True
    gradient = "refused: ops are fused when all gradients are there"
    kind: Kind = "pointwise"

    def infer(
        self, shapes: Shapes, operands: list[TensorType], *, regions: tuple[Graph, ...] = ()
    ) -> tuple[TensorType, ...]:
        if len(regions) != 1:
            raise OpError("fused: has one region")
        check_region("fused", regions[0], operands, shapes)
        return tuple(value.type for value in regions[0].outputs)

    def meaning(self, operands: list[np.ndarray], *, regions: tuple[Region, ...]) -> tuple[np.ndarray, ...]:
        return regions[0](*operands)

    @classmethod
    def samples(cls) -> list[Sample]:
        def shifted(emit: Any, x: Value, bias: Value, other: Value) -> list[Value]:
            wide = emit(Broadcast(shape=(2, 3, 4), axes=(2,)), bias)
            total = emit(Add(), x, wide)
            return [emit(Max(), total, other), emit(Exp(), total)]

        def softmax(emit: Any, x: Value) -> list[Value]:
            back = Broadcast(shape=(5, 7), axes=(0,))
            raised = emit(Exp(), emit(Sub(), x, emit(back, emit(ReduceMax(axes=(1,)), x))))
            return [emit(Div(), raised, emit(back, emit(ReduceSum(axes=(1,)), raised)))]

        def linear(emit: Any, x: Value, w: Value, bias: Value) -> list[Value]:
            flat = emit(Dot(lhs_contract=(1,), rhs_contract=(0,)), x, w)
            heads = emit(Reshape(shape=(3, 2, 4)), flat)
            return [emit(Add(), heads, emit(Broadcast(shape=(3, 2, 4), axes=(1, 2)), bias))]

        many = (normal(2, 3, 4), normal(4, salt=1), normal(2, 3, 4, salt=2))
        return [
            Sample(
                cls(),
                many,
                "two results",
                regions=(region(shifted, "float32[2, 3, 4]", "float32[4]", "float32[2, 3, 4]"),),
            ),
            Sample(cls(kind="rows"), (normal(5, 7),), "softmax", regions=(region(softmax, "float32[5, 7]"),)),
            Sample(
                cls(kind="dot"),
                (normal(3, 5), normal(5, 8, salt=1), normal(2, 4, salt=2)),
                "an epilogue behind a reshape",
                regions=(region(linear, "float32[3, 5]", "float32[5, 8]", "float32[2, 4]"),),
            ),
        ]

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        return [ErrorSample(cls, types("float32[3]"), "has one region")]


OPS: tuple[type[Op], ...] = (Fused,)
