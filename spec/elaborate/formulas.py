"""Formulas over tensors: the static evaluator of the language, extended to values that exist at run time only."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from ...compiler.ir import Builder, Dim, DType, OpError, Undecided
from ...compiler.ir.dims import ceildiv, compare, maximum, minimum
from ...compiler.ops import OPS
from ...compiler.ops.tensor import Tensor
from ...compiler.ops.tensor import compare as compare_tensors
from ..diagnostics import suggest
from ..formula.ast import (
    Attribute,
    Binary,
    BoolOp,
    Call,
    Compare,
    EllipsisItem,
    Expr,
    Index,
    Literal,
    Name,
    Not,
    SliceItem,
    Unary,
)
from ..formula.errors import FormulaError
from ..formula.functions import FUNCTIONS
from ..formula.static import OPERATORS, Evaluator
from .application import apply_op
from .values import POISON, Named, Poisoned, Value, describe

DIRECTIONS = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
TENSOR_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
}
CASTS = (*(dtype.value for dtype in DType), "float")


class TensorEvaluator(Evaluator):
    """Evaluates formulas whose names may stand for tensors.

    ``lookup`` gives what a name stands for (`Named` for a node) and raises KeyError. ``compute`` is the dtype of
    `float(x)`. Mistakes raise FormulaError; a value that is missing because of an earlier mistake raises Poisoned.
    """

    def __init__(self, lookup: Callable[[str], Value], build: Builder, compute: DType) -> None:
        super().__init__(lookup, {"max": maximum, "min": minimum, "ceil": lambda x: ceildiv(x, 1)})
        self.build = build
        self.compute = compute

    def name(self, expr: Name) -> Value:
        value = super().name(expr)
        if isinstance(value, Named):
            value = value.value
        if value is POISON:
            raise Poisoned
        return value

    def binary(self, expr: Binary) -> Value:
        left, right = self.value(expr.left), self.value(expr.right)
        if not isinstance(left, Tensor) and not isinstance(right, Tensor):
            return self.join(expr, left, right)
        self._operands(expr, left, right)
        return self._guarded(expr, lambda: self._binary(expr.operator, left, right))

    def _binary(self, sign: str, left: Value, right: Value) -> Value:
        if sign in TENSOR_OPERATORS:
            return TENSOR_OPERATORS[sign](left, right)
        name = {"@": "matmul", "//": "floor_div", "%": "mod"}[sign]
        return apply_op(self.build, OPS[name](), [left, right])

    def compare(self, expr: Compare) -> Value:
        left, right = self.value(expr.left), self.value(expr.right)
        if left is None or right is None:
            return self.relate(expr, left, right)
        if isinstance(left, Tensor) or isinstance(right, Tensor):
            self._operands(expr, left, right)
            return self._guarded(expr, lambda: compare_tensors(self.build, DIRECTIONS[expr.operator], left, right))
        return self.relate(expr, left, right)

    def apply(self, expr: Binary | Compare, left: Value, right: Value) -> Value:
        if isinstance(left, Dim) or isinstance(right, Dim):
            try:
                if isinstance(expr, Compare):
                    return compare(left, expr.operator, right)
                return OPERATORS[expr.operator](left, right)
            except Undecided as error:
                raise FormulaError(str(error), expr.start, expr.stop) from None
            except (ValueError, TypeError) as error:
                raise FormulaError(f"a dimension: {error}", expr.start, expr.stop) from None
        return super().apply(expr, left, right)

    def boolean(self, expr: BoolOp) -> Value:
        left = self.value(expr.left)
        if not isinstance(left, Tensor):
            left = self.truth(left, expr.left)
            if left == (expr.operator == "or"):
                return left
        right = self.value(expr.right)
        if not isinstance(left, Tensor) and not isinstance(right, Tensor):
            return self.truth(right, expr.right)
        self._operands(expr, left, right)
        join = operator.and_ if expr.operator == "and" else operator.or_
        return self._guarded(expr, lambda: join(left, right))

    def inverse(self, expr: Not) -> Value:
        value = self.value(expr.operand)
        if isinstance(value, Tensor):
            return self._guarded(expr, lambda: ~value)
        return not self.truth(value, expr.operand)

    def negative(self, expr: Unary) -> Value:
        value = self.value(expr.operand)
        if isinstance(value, Tensor):
            return self._guarded(expr, lambda: -value)
        return self.negate(expr, value)

    def call(self, expr: Call) -> Value:
        arguments = [self.value(argument) for argument in expr.arguments]
        if not any(_has_tensor(argument) for argument in arguments):
            if expr.function in FUNCTIONS or expr.function in self.functions:
                return self.invoke(expr, arguments)
            raise FormulaError(
                f"`{expr.function}` of static values only", expr.start, expr.stop, self._hint(expr.function)
            )
        if expr.function in CASTS:
            return self._cast(expr, arguments)
        declared = OPS.get(expr.function)
        if declared is None:
            start, stop = expr.start, expr.start + len(expr.function)
            raise FormulaError(f"`{expr.function}` is no op", start, stop, self._hint(expr.function))
        needed = [name for name, field in declared.model_fields.items() if field.is_required()]
        if needed:
            hint = f"write it as a node: {{op: {expr.function}, {needed[0]}: ...}}"
            raise FormulaError(f"`{expr.function}` needs the field {needed[0]}", expr.start, expr.stop, hint)
        return self._guarded(expr, lambda: apply_op(self.build, declared(), arguments))

    def _cast(self, expr: Call, arguments: list[Value]) -> Value:
        if len(arguments) != 1:
            raise FormulaError(f"`{expr.function}` casts one tensor", expr.start, expr.stop)
        dtype = self.compute if expr.function == "float" else DType(expr.function)
        return self._guarded(expr, lambda: arguments[0].cast(dtype))

    def _hint(self, name: str) -> str | None:
        return suggest(name, {*OPS, *FUNCTIONS, *CASTS})

    def attribute(self, expr: Attribute) -> Value:
        if isinstance(expr.base, Name):
            named = super().name(expr.base)
            if isinstance(named, Named) and expr.name in named.parameters and not isinstance(named.value, dict):
                return named.parameters[expr.name]
        base = self.value(expr.base)
        if isinstance(base, Tensor):
            hint = None
            if isinstance(expr.base, Name) and isinstance(named, Named) and named.parameters:
                hint = f"its parameters are {', '.join(named.parameters)}"
            raise FormulaError(f"`.{expr.name}` of {describe(base)}: it has no fields", expr.start, expr.stop, hint)
        return self.field(expr, base)

    def index(self, expr: Index) -> Value:
        base = self.value(expr.base)
        if isinstance(base, Tensor):
            items = tuple(self._item(item) for item in expr.items)
            return self._guarded(expr, lambda: base[items])
        return self.item(expr, base)

    def _item(self, item: Any) -> Any:
        match item:
            case EllipsisItem():
                return ...
            case Literal(value=None):
                return None
            case SliceItem():
                return slice(*(None if x is None else self._position(x) for x in (item.lower, item.upper, item.step)))
        return self._position(item)

    def _position(self, expr: Expr) -> Any:
        value = self.value(expr)
        if isinstance(value, Tensor):
            raise FormulaError("an index is static; by tensor: op gather", expr.start, expr.stop)
        if not isinstance(value, (int, Dim)) or isinstance(value, bool):
            raise FormulaError(f"an index is a whole number, not {describe(value)}", expr.start, expr.stop)
        return value

    def _operands(self, expr: Any, *values: Value) -> None:
        for value in values:
            if not isinstance(value, (Tensor, int, float, Dim)):
                sign = getattr(expr, "operator", "")
                raise FormulaError(f"`{sign}` between a tensor and {describe(value)}", expr.start, expr.stop)

    def _guarded(self, expr: Any, make: Callable[[], Value]) -> Value:
        try:
            return make()
        except OpError as error:
            raise FormulaError(str(error), expr.start, expr.stop) from None


def _has_tensor(value: Value) -> bool:
    if isinstance(value, list):
        return any(_has_tensor(item) for item in value)
    return isinstance(value, Tensor)
