"""What a layer declares: an op that owns parameters, one frozen Pydantic class each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from ...compiler.ir import Builder, DType, OpError, Shape, TensorType
from ...compiler.ops.tensor import Tensor


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """A parameter that a layer needs.

    ``init`` is an initializer (`compiler.ir.init`). ``trainable`` is false for running statistics. ``dtype`` None is
    the storage dtype of the model's precision.
    """

    name: str
    shape: Shape
    init: Any
    trainable: bool = True
    dtype: DType | None = None


class Layer(BaseModel):
    """Base of all layers. Fields are what a person sets; `parameters` and `lower` say what it is.

    ``operands`` are named as in ops (``"x"`` required, ``"x?"`` optional). ``owned`` are the names of the parameters
    that it may own: each can also be given as an operand, and is not owned then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: ClassVar[str]
    operands: ClassVar[tuple[str, ...]] = ("x",)
    owned: ClassVar[tuple[str, ...]] = ()
    source: ClassVar[str] = ""

    def parameters(self, *operands: Tensor | None) -> Sequence[ParameterSpec]:
        """The parameters for operands of these types, in order. Raises `OpError` for operands that do not fit."""
        raise NotImplementedError(f"{type(self).__name__} declares no parameters")

    def lower(self, build: Builder, *operands: Tensor | None, **parameters: Tensor) -> Any:
        """The layer's value. ``parameters`` holds every parameter of `parameters`, whoever owns it."""
        raise NotImplementedError(f"{type(self).__name__} declares no lowering")

    def train(self, build: Builder, *operands: Tensor | None, **parameters: Tensor) -> tuple[Any, Mapping[str, Tensor]]:
        """As `lower`, while the model learns; also the next values of parameters that are no result of a gradient."""
        return self.lower(build, *operands, **parameters), {}

    def check(
        self, build: Builder, operands: Sequence[Tensor | None], parameters: Mapping[str, Tensor]
    ) -> Sequence[ParameterSpec]:
        """Raises `OpError` unless each given parameter has the shape that `parameters` asks for, which it returns.

        Shapes that may or may not be equal become guards.
        """
        specs = self.parameters(*operands)
        for spec in specs:
            given = parameters[spec.name].type
            if given.shape == spec.shape:
                continue
            wanted = TensorType(given.dtype, spec.shape)
            what = f"{self.name}: {spec.name} is {given} where {wanted} is needed"
            if given.rank != wanted.rank:
                raise OpError(what)
            for left, right in zip(given.shape, spec.shape, strict=True):
                build.shapes.same(left, right, what)
        return specs


def only(operands: Sequence[Tensor | None]) -> Tensor:
    """The operand of a layer that has one."""
    (x,) = operands
    assert x is not None, "a required operand is never left out"
    return x
