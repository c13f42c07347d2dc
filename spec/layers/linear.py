"""The dense layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from ...compiler.ir import Builder, OpError
from ...compiler.ir.init import KaimingUniform
from ...compiler.ops.functional import dot
from ...compiler.ops.tensor import Tensor
from .base import Layer, ParameterSpec, only
from .fields import Count, Switch, check_float, known


class Linear(Layer):
    """``x @ weight^T + bias`` over the last axis of x: ``[..., in]`` gives ``[..., features]``."""

    name = "linear"
    operands = ("x",)
    owned = ("weight", "bias")
    source = "torch.nn.Linear"

    features: Annotated[Count, Field(description="size of the last axis of the result")]
    bias: Annotated[Switch, Field(description="whether a bias is added")] = True

    def parameters(self, *operands: Tensor | None) -> Sequence[ParameterSpec]:
        """weight ``(features, in)`` and bias ``(features,)``, uniform within ``1 / sqrt(in)`` as in torch."""
        x = only(operands)
        check_float(self.name, "x", x.type)
        if x.rank == 0:
            raise OpError(f"linear: x needs an axis to contract, it is {x.type}")
        inputs = known(self.name, f"the last axis of x ({x.type})", x.shape[-1])
        first = KaimingUniform(fan_in=max(1, inputs))
        weight = ParameterSpec("weight", (self.features, inputs), first)
        return (weight, ParameterSpec("bias", (self.features,), first)) if self.bias else (weight,)

    def lower(self, build: Builder, *operands: Tensor | None, **parameters: Tensor) -> Tensor:
        x = only(operands)
        self.check(build, operands, parameters)
        result = dot(x, parameters["weight"], ((x.rank - 1,), (1,)))
        return result + parameters["bias"] if self.bias else result


LAYERS: tuple[type[Layer], ...] = (Linear,)
