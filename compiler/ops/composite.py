"""Ops that mean their decomposition: types and cost come from it unless an op says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ..ir.dims import AnyDim
from ..ir.graph import Builder, Value
from ..ir.op import Access, Cost, Infer, Op, OpError, Precision, Shapes
from ..ir.types import DType, TensorType
from .elementwise import common_shape
from .rules import need_kind
from .tensor import Tensor


class Composite(Op):
    """Base of all composites: a subclass gives `decompose`."""

    def infer(self, shapes: Shapes, *types: Any) -> Infer:
        """The types of the decomposition."""
        _, results = _trace(self, types, shapes)
        found = tuple(result.type for result in results)
        return found if self.results or getattr(self, "listed", False) else found[0]

    def cost(self, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Cost:
        """The work of the decomposition."""
        build, _ = _trace(self, self.arguments(inputs), Shapes())
        flops: AnyDim = 0
        macs: AnyDim = 0
        for node in build.nodes:
            each = node.op.cost([value.type for value in node.inputs], [value.type for value in node.outputs])
            flops, macs = flops + each.flops, macs + each.macs
        return Cost(flops, macs)


class Precise(Composite):
    """Base of composites that compute 16-bit floats in float32; a subclass gives `formula` instead of `decompose`."""

    precision_class: ClassVar[Precision] = Precision.KEEP

    def formula(self, build: Builder, *operands: Any) -> Any:
        """As `decompose`; no operand is a 16-bit float."""
        raise NotImplementedError(f"{type(self).__name__} declares no formula")

    def decompose(self, build: Builder, *operands: Any) -> Any:
        return in_float32(lambda *wide: self.formula(build, *wide), *operands)


class Pointwise(Composite):
    """Base of composites that work element by element on operands of one type, and give that type.

    A subclass gives `formula`; those of precision class KEEP compute 16-bit floats in float32.
    """

    family: ClassVar[str] = "elementwise"
    access: ClassVar[tuple[Access, ...]] = (Access.SAME,)
    elementwise: ClassVar[bool] = True
    kinds: ClassVar[tuple[str, ...]] = ("float",)

    def infer(self, shapes: Shapes, *types: TensorType) -> TensorType:
        first = types[0]
        need_kind(self.name, first, *self.kinds)
        for other in types:
            if other.dtype is not first.dtype:
                raise OpError(f"{self.name}: the operands are {first} and {other}; cast one of them")
        return first.with_shape(common_shape(self.name, shapes, types))

    def formula(self, *operands: Tensor) -> Tensor:
        """The result from operands of one type."""
        raise NotImplementedError(f"{type(self).__name__} declares no formula")

    def decompose(self, build: Builder, *operands: Tensor) -> Tensor:
        if self.precision_class is Precision.KEEP:
            return in_float32(self.formula, *operands)
        return self.formula(*operands)


class Sloped(Pointwise):
    """Base of pointwise composites of one operand that say their derivative: by `derivative`, or by `pulled`."""

    @classmethod
    def has_vjp(cls) -> bool:
        """Whether one of the two is given; else the derivative is that of the decomposition."""
        return cls.derivative is not Sloped.derivative or cls.pulled is not Sloped.pulled

    def derivative(self, x: Tensor, y: Tensor) -> Tensor:
        """The derivative of the result y by x."""
        raise NotImplementedError(f"{type(self).__name__} declares no derivative")

    def pulled(self, x: Tensor, y: Tensor, g: Tensor) -> Tensor:
        """The gradient of x from that of y."""
        return g * self.derivative(x, y)

    def vjp(self, operands: Sequence[Any], results: Sequence[Any], gradients: Sequence[Any]) -> Sequence[Any]:
        (x,), (y,), (g,) = operands, results, gradients
        return [in_float32(self.pulled, x, y, g) if self.precision_class is Precision.KEEP else self.pulled(x, y, g)]


def in_float32(formula: Callable[..., Any], *operands: Any) -> Any:
    """``formula`` of the operands; 16-bit floats are computed in float32 and come back in their own dtype."""
    given = [tensor for operand in operands for tensor in _tensors(operand)]
    narrow = next((tensor.dtype for tensor in given if tensor.dtype.is_half), None)
    if narrow is None:
        return formula(*operands)
    results = formula(*(_each(operand, widen) for operand in operands))
    return _each(results, lambda tensor: tensor.cast(narrow) if tensor.dtype is DType.FLOAT32 else tensor)


def need_float(what: str, type: TensorType) -> None:
    """Raises `OpError` unless the operand is a float."""
    if not type.dtype.is_float:
        raise OpError(f"{what}: takes float, not {type}; cast it first, as in float32(x)")


def _trace(op: Op, types: Sequence[Any], shapes: Shapes) -> tuple[Builder, list[Tensor]]:
    build = Builder(shapes)
    operands = [_each(type, lambda one: Tensor(build, Value(one))) for type in types]
    return build, list(_tensors(op.decompose(build, *operands)))


def widen(tensor: Tensor) -> Tensor:
    """16-bit floats as float32, everything else as it is."""
    return tensor.cast(DType.FLOAT32) if tensor.dtype.is_half else tensor


def _tensors(operand: Any) -> Sequence[Tensor]:
    return () if operand is None else operand if isinstance(operand, (list, tuple)) else (operand,)


def _each(operand: Any, change: Callable[[Any], Any]) -> Any:
    if operand is None:
        return None
    return [_each(item, change) for item in operand] if isinstance(operand, (list, tuple)) else change(operand)
