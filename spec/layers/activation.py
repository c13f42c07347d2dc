"""Activations that learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from ...compiler.ir import Builder, OpError
from ...compiler.ir.dims import decide
from ...compiler.ir.init import Constant
from ...compiler.ops.functional import along, where
from ...compiler.ops.tensor import Tensor
from .base import Layer, ParameterSpec, only
from .fields import Count, check_float


class Prelu(Layer):
    """``x`` where it is 0 or more, ``weight * x`` elsewhere; one weight, or one per channel (axis 1)."""

    name = "prelu"
    operands = ("x",)
    owned = ("weight",)
    source = "He et al. (2015), Delving Deep into Rectifiers; torch.nn.PReLU"

    channels: Annotated[Count, Field(description="1, or the size of axis 1 for a weight per channel")] = 1

    def parameters(self, *operands: Tensor | None) -> Sequence[ParameterSpec]:
        """weight ``(channels,)``, 0.25 at first."""
        x = only(operands)
        check_float(self.name, "x", x.type)
        if self.channels > 1 and (x.rank < 2 or decide(x.shape[1], "==", self.channels) is False):
            raise OpError(f"prelu: channels must be 1 or the size of axis 1 of x, it is {self.channels} for {x.type}")
        return (ParameterSpec("weight", (self.channels,), Constant(value=0.25)),)

    def lower(self, build: Builder, *operands: Tensor | None, **parameters: Tensor) -> Tensor:
        x = only(operands)
        self.check(build, operands, parameters)
        slope = along(parameters["weight"], x.rank, 1) if x.rank > 1 else parameters["weight"].reshape(*(1,) * x.rank)
        return where(x >= 0, x, slope * x)


LAYERS: tuple[type[Layer], ...] = (Prelu,)
