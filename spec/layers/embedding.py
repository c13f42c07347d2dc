"""Rows of a table by their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from ...compiler.ir import Builder
from ...compiler.ir.init import Normal
from ...compiler.ops.functional import gather
from ...compiler.ops.rules import need_index
from ...compiler.ops.tensor import Tensor
from .base import Layer, ParameterSpec, only
from .fields import Count


class Embedding(Layer):
    """``weight[ids]``: ids of shape ``[...]`` give ``[..., features]``.

    Ids below 0 or from ``rows`` on are undefined: give the input that they come from a ``range``.
    """

    name = "embedding"
    operands = ("ids",)
    owned = ("weight",)
    source = "torch.nn.Embedding"

    rows: Annotated[Count, Field(description="how many rows the table has")]
    features: Annotated[Count, Field(description="size of a row")]

    def parameters(self, *operands: Tensor | None) -> Sequence[ParameterSpec]:
        """weight ``(rows, features)``, standard normal as in torch."""
        ids = only(operands)
        need_index(self.name, ids.type)
        return (ParameterSpec("weight", (self.rows, self.features), Normal(std=1.0)),)

    def lower(self, build: Builder, *operands: Tensor | None, **parameters: Tensor) -> Tensor:
        ids = only(operands)
        self.check(build, operands, parameters)
        return gather(parameters["weight"], ids)


LAYERS: tuple[type[Layer], ...] = (Embedding,)
