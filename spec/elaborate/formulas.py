"""Formulas over tensors: the static evaluator of the language, extended to values that exist at run time only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

from ...compiler.ir import Builder, Dim, DType, Op, OpError, Undecided
from ...compiler.ir.dims import compare, maximum, minimum
from ...compiler.ops import elementwise as ops
from ...compiler.ops.tensor import Tensor, number
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
from ..formula.functions import FUNCTIONS, checked
from ..formula.lexer import LARGEST_INTEGER
from ..formula.static import OPERATORS, Evaluator
from .application import apply_op, way_out
from .values import POISON, Named, Poisoned, Value, describe
from .vocabulary import find_op, op_names

COMPARISONS: dict[str, Op] = {
    "==": ops.Compare(direction="eq"),
    "!=": ops.Compare(direction="ne"),
    "<": ops.Compare(direction="lt"),
    "<=": ops.Compare(direction="le"),
    ">": ops.Compare(direction="gt"),
    ">=": ops.Compare(direction="ge"),
}
OPERATOR_OPS = {"+": "add", "-": "sub", "*": "mul", "**": "pow", "@": "matmul", "//": "floor_div", "%": "mod"}
"""The ops that operators stand for; `/` is apart."""
CASTS = (*(dtype.value for dtype in DType), "float")
OTHER_WORDS = {"sum": "reduce_sum", "mean": "reduce_mean", "max": "reduce_max", "min": "reduce_min"}
"""What functions on static values, and of other libraries, are called where they work on one tensor."""

MOST_TERMS = 64  # of the sum that a size is
MOST_FACTORS = 16  # of one of its products


class Budget(Protocol):
    """Counts the items of all lists of a program; raises FormulaError when there are too many."""

    def spend(self, length: int, expr: Expr) -> None: ...


class TensorEvaluator(Evaluator):
    """Evaluates formulas whose names may stand for tensors.

    ``lookup`` gives what a name stands for (`Named` for a node) and raises KeyError. ``compute`` is the dtype of
    `float(x)`. Mistakes raise FormulaError; a value that is missing because of an earlier mistake raises Poisoned.
    """

    def __init__(self, lookup: Callable[[str], Value], build: Builder, compute: DType, budget: Budget) -> None:
        super().__init__(lookup, {})
        self.build = build
        self.compute = compute
        self.budget = budget

    def spend(self, length: int, expr: Expr) -> None:
        super().spend(length, expr)
        self.budget.spend(length, expr)

    def kind(self, value: Value) -> str:
        return describe(value) if isinstance(value, (Tensor, Dim)) or _has(value, Tensor) else super().kind(value)

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
        if sign == "/":
            # A quotient is a float, that of whole numbers too.
            if not any(isinstance(value, Tensor) and value.dtype.is_float for value in (left, right)):
                left, right = (
                    value.cast(self.compute) if isinstance(value, Tensor) else value for value in (left, right)
                )
            return self.op("div", left, right)
        return self.op(OPERATOR_OPS[sign], left, right)

    def op(self, name: str, *operands: Value) -> Value:
        """An op without fields. Raises `OpError`."""
        declared = find_op(name)
        assert declared is not None and issubclass(declared, Op)
        return apply_op(self.build, plain_op(declared), operands, self.compute)

    def compare(self, expr: Compare) -> Value:
        left, right = self.value(expr.left), self.value(expr.right)
        if left is None or right is None:
            return self.relate(expr, left, right)
        if isinstance(left, Tensor) or isinstance(right, Tensor):
            self._operands(expr, left, right)
            comparison = COMPARISONS[expr.operator]
            return self._guarded(expr, lambda: apply_op(self.build, comparison, [left, right], self.compute))
        return self.relate(expr, left, right)

    def relate(self, expr: Compare, left: Value, right: Value) -> bool:
        if left is None or right is None:
            return super().relate(expr, left, right)
        for value in (left, right):
            if isinstance(value, (list, dict)) and _has(value, (Tensor, Dim)):
                what = f"`{expr.operator}` of {self.kind(value)} that holds tensors or sizes"
                raise FormulaError(what, expr.start, expr.stop, "compare its items")
        return super().relate(expr, left, right)

    def apply(self, expr: Binary | Compare, left: Value, right: Value) -> Value:
        if not isinstance(left, Dim) and not isinstance(right, Dim):
            return super().apply(expr, left, right)
        size = left if isinstance(left, Dim) else right
        whole = isinstance(left, (int, Dim)) and isinstance(right, (int, Dim))
        possible = isinstance(expr, Compare) or expr.operator in ("+", "-", "*", "//", "%", "**")
        if not whole or not possible or (expr.operator == "**" and isinstance(right, Dim)):
            what = f"`{expr.operator}` between {self.kind(left)} and {self.kind(right)}"
            hint = f"a size is a whole number; as a tensor it is `float({size})`"
            raise FormulaError(what, expr.start, expr.stop, hint)
        with self._decided(expr):
            if isinstance(expr, Compare):
                return compare(left, expr.operator, right)
            if expr.operator == "**":
                return self._power(expr, left, right)
            return self._bounded(OPERATORS[expr.operator](left, right), expr)

    def _power(self, expr: Expr, size: Value, exponent: int) -> Value:
        if not 0 <= exponent <= MOST_FACTORS:
            message = f"a size is raised to powers from 0 to {MOST_FACTORS}, not {exponent}"
            raise FormulaError(message, expr.start, expr.stop)
        result: Value = 1
        for _ in range(exponent):
            result = self._bounded(result * size, expr)
        return result

    def _bounded(self, size: Value, expr: Expr) -> Value:
        """Refuses polynomials of sizes that nobody needs, and that take long to compute with."""
        if isinstance(size, Dim) and (len(size.terms) > MOST_TERMS or len(size.terms[0][0]) > MOST_FACTORS):
            what = f"a size is a sum of {MOST_TERMS} products of {MOST_FACTORS} sizes at most"
            raise FormulaError(what, expr.start, expr.stop, limit="size")
        if isinstance(size, Dim) and any(abs(factor) > LARGEST_INTEGER for _, factor in size.terms):
            raise FormulaError("the integer does not fit into 64 bits", expr.start, expr.stop, limit="integer")
        return size if isinstance(size, Dim) else checked(size, expr)  # type: ignore[arg-type]

    @contextmanager
    def _decided(self, expr: Expr) -> Iterator[None]:
        """Comparisons of sizes that are not the same for all allowed sizes are mistakes."""
        try:
            yield
        except Undecided as error:
            hint = "bound the sizes with `dims`" if "==" not in str(error) and "!=" not in str(error) else None
            raise FormulaError(str(error), expr.start, expr.stop, hint) from None
        except ValueError as error:
            raise FormulaError(str(error), expr.start, expr.stop) from None

    def invoke(self, expr: Call, arguments: list[Value]) -> Value:
        listed = len(arguments) == 1 and isinstance(arguments[0], list)
        values = arguments[0] if listed and expr.function in ("max", "min", "sum") else arguments
        if not any(isinstance(value, Dim) for value in values):
            return super().invoke(expr, arguments)
        if expr.function in ("float", "sqrt", "exp", "log", "range") or not all(
            isinstance(value, (int, Dim)) and not isinstance(value, bool) for value in values
        ):
            kinds = ", ".join(map(self.kind, values))
            hint = None if expr.function == "range" else f"as a tensor: `{expr.function}(float(...))`"
            raise FormulaError(f"`{expr.function}` of {kinds}", expr.start, expr.stop, hint)
        return self._of_sizes(expr, values)

    def _of_sizes(self, expr: Call, values: list[Any]) -> Value:
        """A function of whole numbers, some of them found at run time."""
        self.spend(len(values), expr)
        if expr.function == "sum":
            return self._bounded(sum(values), expr)
        with self._decided(expr):
            match expr.function:
                case "max":
                    return maximum(*values)
                case "min":
                    return minimum(*values)
            if len(values) != 1:
                raise FormulaError(f"`{expr.function}` takes one argument", expr.start, expr.stop)
            if expr.function == "abs":
                return values[0] if compare(values[0], ">=", 0) else -values[0]
            # `ceil`, `floor` and `int` leave whole numbers alone.
            return values[0]

    def boolean(self, expr: BoolOp) -> Value:
        left = self.value(expr.left)
        if not isinstance(left, Tensor):
            left = self.truth(left, expr.left)
            if left == (expr.operator == "or"):
                return left
        right = self.value(expr.right)
        if not isinstance(left, Tensor) and not isinstance(right, Tensor):
            return self.truth(right, expr.right)
        for value, operand in ((left, expr.left), (right, expr.right)):
            self._bools(expr.operator, value, operand)
        return self._guarded(expr, lambda: self.op(expr.operator, left, right))

    def inverse(self, expr: Not) -> Value:
        value = self.value(expr.operand)
        if isinstance(value, Tensor):
            self._bools("not", value, expr.operand)
            return self._guarded(expr, lambda: ~value)
        return not self.truth(value, expr.operand)

    def _bools(self, sign: str, value: Value, expr: Expr) -> None:
        """`and`, `or`, `not` take bools; the ops of these names work on the bits of integers, too."""
        if not isinstance(value, bool) and not (isinstance(value, Tensor) and value.dtype is DType.BOOL):
            raise FormulaError(f"`{sign}` takes bools, not {self.kind(value)}", expr.start, expr.stop)

    def truth(self, value: Value, expr: Expr) -> bool:
        if isinstance(value, Tensor):
            message = f"a condition is known when the spec is read, this is {describe(value)}"
            raise FormulaError(message, expr.start, expr.stop, "for tensors there is where(condition, a, b)")
        return super().truth(value, expr)

    def negative(self, expr: Unary) -> Value:
        value = self.value(expr.operand)
        if isinstance(value, Tensor):
            return self._guarded(expr, lambda: -value)
        return self.negate(expr, value)

    def call(self, expr: Call) -> Value:
        name, stop = expr.function, expr.start + len(expr.function)
        arguments = [self.value(argument) for argument in expr.arguments]
        if name in CASTS and len(arguments) == 1 and isinstance(arguments[0], (Tensor, Dim)):
            return self._cast(expr, arguments[0])
        declared = find_op(name)
        of_lists = name == "len" and all(isinstance(argument, list) for argument in arguments)
        if of_lists or not any(_has(argument, Tensor) for argument in arguments):
            if name in FUNCTIONS:
                return self.invoke(expr, arguments)
            if name not in CASTS and (declared is None or not issubclass(declared, Op)):
                raise FormulaError(f"there is no function or op `{name}`", expr.start, stop, self._hint(name))
            kinds = ", ".join(map(self.kind, arguments)) or "nothing"
            hint = f"functions on static values are {', '.join(sorted(FUNCTIONS))}"
            raise FormulaError(f"`{name}` takes tensors, not {kinds}", expr.start, expr.stop, hint)
        if name in CASTS:
            raise FormulaError(f"`{name}` casts one tensor", expr.start, expr.stop)
        if declared is None or (name in OTHER_WORDS and len(arguments) == 1):
            message = f"`{name}` is for static values" if name in FUNCTIONS else f"there is no function or op `{name}`"
            other = f"of one tensor: `{OTHER_WORDS[name]}`" if name in OTHER_WORDS else self._hint(name)
            raise FormulaError(message, expr.start, stop, other)
        if not issubclass(declared, Op):
            hint = f"write it as a node: {{op: {name}, ...}}"
            raise FormulaError(f"`{name}` owns parameters", expr.start, stop, hint)
        needed = [field for field, info in declared.model_fields.items() if info.is_required()]
        if needed:
            hint = f"write it as a node: {{op: {name}, {needed[0]}: ...}}"
            raise FormulaError(f"`{name}` needs the field {needed[0]}", expr.start, expr.stop, hint)
        return self._guarded(expr, lambda: apply_op(self.build, plain_op(declared), arguments, self.compute))

    def _cast(self, expr: Call, value: Tensor | Dim) -> Value:
        dtype = self.compute if expr.function == "float" else DType(expr.function)
        if isinstance(value, Dim):
            return self._guarded(expr, lambda: number(self.build, value, dtype))
        return self._guarded(expr, lambda: value.cast(dtype))

    def _hint(self, name: str) -> str | None:
        return suggest(name, {*op_names(), *FUNCTIONS, *CASTS})

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
                message = f"`{expr.operator}` between a tensor and {describe(value)}{way_out(value)}"
                raise FormulaError(message, expr.start, expr.stop)

    def _guarded(self, expr: Any, make: Callable[[], Value]) -> Value:
        try:
            return make()
        except OpError as error:
            raise FormulaError(str(error), expr.start, expr.stop) from None


def _has(value: Value, kind: type | tuple[type, ...]) -> bool:
    """Whether one of these kinds is in a value."""
    if isinstance(value, (list, dict)):
        return any(_has(item, kind) for item in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, kind)


@cache
def plain_op(declared: type[Op]) -> Op:
    """The op with all its fields as they are by default."""
    return declared()
