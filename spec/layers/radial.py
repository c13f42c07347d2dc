"""Units that answer to the distance from a centre."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from typing import Literal as OneOf

from pydantic import Field

from ...compiler.ir import Builder, OpError
from ...compiler.ir.init import Normal, Ones
from ...compiler.ops.functional import exp, reduce_sum, sqrt
from ...compiler.ops.tensor import Tensor
from .base import Layer, ParameterSpec, only
from .fields import Count, check_float, known


class Rbf(Layer):
    """A radial basis layer: ``[..., in]`` gives ``[..., units]``, by the distance r from each unit's centre.

    ``gaussian`` is ``exp(-r^2 / (2 width^2))``, ``multiquadric`` is ``sqrt(r^2 + width^2)``.
    """

    name = "rbf"
    operands = ("x",)
    owned = ("centers", "widths")
    source = "Broomhead and Lowe (1988), Multivariable Functional Interpolation and Adaptive Networks; Hardy (1971)"

    units: Annotated[Count, Field(description="how many centres there are")]
    function: Annotated[
        OneOf["gaussian", "multiquadric"], Field(description="how the answer depends on the distance")
    ] = "gaussian"

    def parameters(self, *operands: Tensor | None) -> Sequence[ParameterSpec]:
        """centers ``(units, in)``, standard normal at first; widths ``(units,)``, 1 at first."""
        x = only(operands)
        check_float(self.name, "x", x.type)
        if x.rank == 0:
            raise OpError(f"rbf: x needs an axis that holds a point, it is {x.type}")
        inputs = known(self.name, f"the last axis of x ({x.type})", x.shape[-1])
        return (
            ParameterSpec("centers", (self.units, inputs), Normal(std=1.0)),
            ParameterSpec("widths", (self.units,), Ones()),
        )

    def lower(self, build: Builder, *operands: Tensor | None, **parameters: Tensor) -> Tensor:
        x = only(operands)
        self.check(build, operands, parameters)
        # By differences: |x|^2 - 2 x c + |c|^2 as a product loses all digits near a centre.
        offset = x[..., None, :] - parameters["centers"]
        squares = reduce_sum(offset * offset, -1)
        spread = parameters["widths"] * parameters["widths"]
        if self.function == "multiquadric":
            return sqrt(squares + spread)
        return exp(-squares / (spread * 2))


LAYERS: tuple[type[Layer], ...] = (Rbf,)
