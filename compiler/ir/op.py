"""What every op declares, in one class and in one place.

An op class is a frozen Pydantic model: its fields are the attributes, an instance is an op with its attributes set.
Shapes, meaning, cost and samples hang on the class; nothing else in the project keeps a table of ops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from typing import Literal as OneOf

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from .dims import AnyDim, Dim, decide, substitute
from .types import DType, Literal, TensorType

if TYPE_CHECKING:  # Nodes hold ops; an op speaks of graphs (its regions, what it decomposes into) in signatures alone.
    from .graph import Builder, Graph


class OpError(ValueError):
    """Operands or attributes that an op refuses. The message names both sides; the caller adds the place."""


def _as_dim(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, Dim)):
        raise ValueError("should be a whole number or a dimension")
    return value


Size = Annotated[Any, BeforeValidator(_as_dim), WithJsonSchema({"type": "integer"})]
"""Attribute type: a dimension, known or symbolic."""
Sizes = tuple[Size, ...]


class Access(StrEnum):
    """How a result element reads an operand. Fusion, tiling and layout derive from it."""

    SAME = "same"
    BROADCAST = "broadcast"
    PERMUTE = "permute"
    RESHAPE = "reshape"
    WINDOW = "window"
    CONTRACT = "contract"
    REDUCE = "reduce"
    OPAQUE = "opaque"


class Precision(StrEnum):
    """Which dtype an op computes in under a 16-bit policy.

    LOW runs in the compute dtype and accumulates in float32; KEEP is computed in float32; FOLLOW takes its operands'.
    """

    LOW = "low"
    KEEP = "keep"
    FOLLOW = "follow"


@dataclass(frozen=True, slots=True)
class Cost:
    """Work of one execution. ``flops`` counts a multiply-accumulate as two; ``macs`` only those of dot and conv."""

    flops: AnyDim
    macs: AnyDim = 0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that one execution moves at least: read of each operand, and written, if nothing stays in a cache."""

    read: tuple[AnyDim, ...]
    written: AnyDim


@dataclass(frozen=True)
class Sample:
    """One case for the op test: an op with its operands. ``note`` says what it shows."""

    op: Op
    inputs: tuple[np.ndarray | None, ...]
    note: str = ""
    exact: bool = False
    regions: tuple[Graph, ...] = ()

    def lined(self) -> list[Any]:
        """The inputs lined up with the op's operands: None for one left out, a list for a variadic one."""
        declared = self.op.operands
        lined: list[Any] = list(self.inputs)
        if declared and declared[-1].endswith("*"):
            fixed = len(declared) - 1
            rest = lined[fixed:]
            nested = len(rest) == 1 and isinstance(rest[0], (list, tuple))
            lined = [*lined[:fixed], list(rest[0]) if nested else rest]
        return lined + [None] * (len(declared) - len(lined))


@dataclass(frozen=True)
class ErrorSample:
    """Operands (or attributes) that must be refused, and words of the message."""

    make: Callable[[], Op]
    types: tuple[TensorType | None, ...]
    match: str


@dataclass
class Shapes:
    """Equality of dimensions while types are inferred; what cannot be decided becomes a guard, checked at entry."""

    known: set[tuple[AnyDim, AnyDim]] = field(default_factory=set)
    guards: list[tuple[AnyDim, AnyDim]] = field(default_factory=list)

    def same(self, left: AnyDim, right: AnyDim, what: str) -> AnyDim:
        """The common size. Raises `OpError` (naming both) if they can never be equal."""
        answer = decide(left, "==", right)
        if answer is False:
            raise OpError(f"{what}: {left} and {right} differ")
        if answer is None and (left, right) not in self.known and (right, left) not in self.known:
            self.known.add((left, right))
            self.guards.append((left, right))
        return left if isinstance(left, int) else right


Infer = TensorType | tuple[TensorType, ...]


class Op(BaseModel):
    """Base of all ops. Subclasses give `name`, `operands`, `infer`, and either `meaning` or `decompose`.

    ``operands`` names the operands in order: ``"x"`` required, ``"x?"`` optional, ``"x*"`` a list (only one, last).
    ``results`` names several results (a record in the spec language); empty for one result or an unnamed list.
    Optional operands that are given are listed in ``present``; `arguments` lines operands up with their names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: ClassVar[str]
    operands: ClassVar[tuple[str, ...]] = ("x",)
    results: ClassVar[tuple[str, ...]] = ()
    family: ClassVar[str] = ""
    access: ClassVar[tuple[Access, ...]] = (Access.OPAQUE,)
    precision_class: ClassVar[Precision] = Precision.FOLLOW
    numerics: ClassVar[str] = ""
    source: ClassVar[str] = ""
    elementwise: ClassVar[bool] = False
    """Operands broadcast and take one dtype by the rules of the spec language before the op is built."""
    pure: ClassVar[bool] = True
    gradient: ClassVar[str] = "differentiable"
    """Or "zero" where the result does not change with small changes of operands, or "refused: " and the reason."""

    present: tuple[str, ...] = Field(default=(), repr=False, json_schema_extra={"internal": True})

    # ---- what an op is

    @classmethod
    def is_composite(cls) -> bool:
        """Whether the op means its decomposition."""
        return cls.decompose is not Op.decompose

    @classmethod
    def attributes(cls) -> tuple[str, ...]:
        """Names of the fields a person may set."""
        return tuple(key for key in cls.model_fields if key != "present")

    def canonical(self, *types: Any) -> Op:
        """The same op with attributes in normal form for operands of these types (axes counted from 0, ...)."""
        return self

    def infer(self, shapes: Shapes, *types: Any, **regions: Any) -> Infer:
        """Result types from operand types (None for an optional operand left out, a list for a variadic one).

        Raises `OpError`. A composite that does not define it has the types of its decomposition.
        """
        raise NotImplementedError(f"{type(self).__name__} declares no shape rule")

    def meaning(self, *arrays: Any, **regions: Any) -> Any:
        """The result, by plain NumPy, slow and obvious. Attributes hold no symbols any more. Primitives only.

        Must work for every dtype it accepts and never assume float32: the reference runs it in float64.
        Ops with regions get them as keyword ``regions``: callables from arrays to a tuple of arrays.
        """
        raise NotImplementedError(f"{type(self).__name__} declares no meaning")

    def decompose(self, build: Builder, *operands: Any) -> Any:
        """The result(s) in simpler ops; operands and results are `compiler.ops.tensor.Tensor`. Composites only."""
        raise NotImplementedError(f"{type(self).__name__} declares no decomposition")

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        """Gradients of the operands from those of the results: the vector-Jacobian product of the op.

        All are `compiler.ops.tensor.Tensor`. ``operands`` are lined up as by `arguments`, and so is what is returned:
        for each a tensor of the same type, or None for a gradient of zero; a list for a variadic one. ``gradients``
        lines up with ``results``, None for a result that does not matter; one of them at least is given. A composite
        that does not define it is differentiated through its decomposition. Raises `OpError`.
        """
        raise OpError(f"{self.name} has no gradient")

    @classmethod
    def has_vjp(cls) -> bool:
        """Whether the op says its gradient by itself."""
        return cls.vjp is not Op.vjp

    def cost(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Cost:
        """Work of one execution; an operation per result element unless an op says otherwise."""
        total: AnyDim = 0
        for out in outputs:
            total = total + out.elements
        return Cost(total)

    def traffic(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Traffic:
        """Bytes of one execution; each operand is read once and each result written, unless an op says otherwise.

        What an op can do in place counts as done so.
        """
        written: AnyDim = 0
        for out in outputs:
            written = written + out.nbytes
        return Traffic(tuple(each.nbytes for each in inputs), written)

    @classmethod
    def samples(cls) -> list[Sample]:
        """Cases that show the whole contract: shapes, dtypes, edge values."""
        return []

    @classmethod
    def error_samples(cls) -> list[ErrorSample]:
        """Cases that must be refused."""
        return []

    # ---- helpers for whoever handles ops in general

    def arguments(self, given: Sequence[Any]) -> list[Any]:
        """Operands lined up with `operands`: None for one left out, a list for a variadic one."""
        rest = list(given)
        lined: list[Any] = []
        for operand in self.operands:
            if operand.endswith("*"):
                lined.append(rest)
                rest = []
            elif operand.endswith("?") and operand[:-1] not in self.present:
                lined.append(None)
            else:
                lined.append(rest.pop(0))
        return lined

    def with_present(self, arguments: Sequence[Any]) -> tuple[Op, list[Any]]:
        """The inverse of `arguments`: the op that knows which optional operands are given, and the flat operands."""
        flat: list[Any] = []
        present: list[str] = []
        for operand, value in zip(self.operands, arguments, strict=True):
            if operand.endswith("*"):
                flat.extend(value)
            elif value is not None:
                flat.append(value)
                if operand.endswith("?"):
                    present.append(operand[:-1])
        if tuple(present) == self.present:
            return self, flat
        return self.model_copy(update={"present": tuple(present)}), flat

    def fields(self) -> dict[str, Any]:
        """Attribute values by name, in declared order, without defaults that only the class knows."""
        return {key: getattr(self, key) for key in type(self).model_fields}

    def resolve(self, sizes: Mapping[str, AnyDim]) -> Op:
        """The op with the named symbols in its attributes replaced."""
        changed = {}
        for key, value in self.fields().items():
            new = _resolve(value, sizes)
            if new is not value:
                changed[key] = new
        return self.model_copy(update=changed) if changed else self


def _resolve(value: Any, sizes: Mapping[str, AnyDim]) -> Any:
    if isinstance(value, Dim):
        return substitute(value, sizes)
    if isinstance(value, tuple) and value:
        new = tuple(_resolve(item, sizes) for item in value)
        return value if all(a is b for a, b in zip(new, value, strict=True)) else new
    return value


__all__ = [
    "Access",
    "Cost",
    "DType",
    "ErrorSample",
    "Infer",
    "Literal",
    "OneOf",
    "Op",
    "OpError",
    "Precision",
    "Sample",
    "Shapes",
    "Size",
    "Sizes",
    "TensorType",
    "Traffic",
]
