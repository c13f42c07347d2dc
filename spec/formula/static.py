"""The value of a static formula: plain numbers, bools, texts, lists and records, and dimensions.

Dimensions are opaque: whatever is no plain value is computed with Python's own operators, and what these raise (other
than TypeError) passes through, such as the refusal to compare dimensions that are not known.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from .ast import (
    Attribute,
    Binary,
    BoolOp,
    Call,
    Compare,
    Conditional,
    EllipsisItem,
    Expr,
    Index,
    ListExpr,
    Literal,
    Name,
    Not,
    Number,
    SliceItem,
    Text,
    Unary,
)
from .errors import FormulaError, UnknownName
from .functions import FUNCTIONS, checked, is_number, is_opaque, kind_of, limited, weight
from .lexer import LARGEST_INTEGER

Static: TypeAlias = Any
"""int, float, bool, str, None, list and dict of them, or a dimension."""

Functions: TypeAlias = Mapping[str, Callable[..., Static]]

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def evaluate_static(expr: Expr, lookup: Callable[[str], Static], functions: Functions | None = None) -> Static:
    """The value of a formula.

    `lookup` gives the value of a name and raises KeyError for one that is not known. `functions` are called in place of
    those of the language when an argument is a dimension (`max`, `min`, `ceil`, ...). Raises FormulaError.
    """
    return Evaluator(lookup, functions or {}).value(expr)


class Evaluator:
    """Walks a formula. What concerns values alone is a method of its own: a subclass can add kinds of values."""

    def __init__(self, lookup: Callable[[str], Static], functions: Functions) -> None:
        self.lookup = lookup
        self.functions = functions
        self.spent = 0  # items of the lists made so far; without this a short formula could fill the memory

    def spend(self, length: int, expr: Expr) -> None:
        """Counts the items of a list that is made or walked."""
        self.spent += length
        limited(self.spent, expr)

    def kind(self, value: Static) -> str:
        """What a person calls the value."""
        return kind_of(value)

    def value(self, expr: Expr) -> Static:
        match expr:
            case Number(value=value) | Text(value=value) | Literal(value=value):
                return value
            case Name():
                return self.name(expr)
            case Binary():
                return self.binary(expr)
            case Compare():
                return self.compare(expr)
            case Unary():
                return self.negative(expr)
            case Conditional():
                return self.value(expr.then if self.condition(expr.test) else expr.otherwise)
            case BoolOp():
                return self.boolean(expr)
            case Not():
                return self.inverse(expr)
            case Call():
                return self.call(expr)
            case Index():
                return self.index(expr)
            case Attribute():
                return self.attribute(expr)
            case ListExpr():
                made = [self.value(item) for item in expr.items]
                self.spend(weight(made), expr)
                return made

    def name(self, expr: Name) -> Static:
        try:
            return self.lookup(expr.id)
        except KeyError:
            raise UnknownName(expr.id, expr.start, expr.stop) from None

    def condition(self, expr: Expr) -> bool:
        return self.truth(self.value(expr), expr)

    def boolean(self, expr: BoolOp) -> Static:
        left = self.condition(expr.left)
        return left if left == (expr.operator == "or") else self.condition(expr.right)

    def inverse(self, expr: Not) -> Static:
        return not self.condition(expr.operand)

    def truth(self, value: Static, expr: Expr) -> bool:
        """The value of a condition, which is a bool."""
        if not isinstance(value, bool):
            raise FormulaError(f"a condition is true or false, this is {self.kind(value)}", expr.start, expr.stop)
        return value

    def negative(self, expr: Unary) -> Static:
        return self.negate(expr, self.value(expr.operand))

    def negate(self, expr: Unary, value: Static) -> Static:
        """`-value`."""
        if not is_number(value) and not is_opaque(value):
            raise FormulaError(f"`-` before {self.kind(value)}", expr.start, expr.stop)
        return -value

    def binary(self, expr: Binary) -> Static:
        return self.join(expr, self.value(expr.left), self.value(expr.right))

    def join(self, expr: Binary, left: Static, right: Static) -> Static:
        """Arithmetic on two values, or one list behind the other."""
        if expr.operator == "+" and isinstance(left, list) and isinstance(right, list):
            joined = left + right
            self.spend(weight(joined), expr)
            return joined
        for value in (left, right):
            if not is_number(value) and not is_opaque(value):
                message = f"`{expr.operator}` between {self.kind(left)} and {self.kind(right)}"
                raise FormulaError(message, expr.start, expr.stop)
        if expr.operator == "@":
            raise FormulaError("`@` is for tensors", expr.start, expr.stop)
        if expr.operator == "**" and is_number(left) and is_number(right):
            _refuse_power(left, right, expr)
        return self.apply(expr, left, right)

    def apply(self, expr: Binary | Compare, left: Static, right: Static) -> Static:
        """Python's operator, with its exceptions in the words of the language."""
        try:
            return checked(OPERATORS[expr.operator](left, right), expr)
        except ZeroDivisionError:
            raise FormulaError("division by zero", expr.start, expr.stop) from None
        except OverflowError:
            raise FormulaError("the number does not fit into float64", expr.start, expr.stop, limit="float") from None
        except TypeError:
            message = f"`{expr.operator}` between {self.kind(left)} and {self.kind(right)}"
            raise FormulaError(message, expr.start, expr.stop) from None

    def compare(self, expr: Compare) -> Static:
        return self.relate(expr, self.value(expr.left), self.value(expr.right))

    def relate(self, expr: Compare, left: Static, right: Static) -> bool:
        """A comparison of two values."""
        sign = expr.operator
        if sign in ("==", "!=") and (left is None or right is None):
            return (left is right) == (sign == "==")
        numbers = all(is_number(value) or is_opaque(value) for value in (left, right))
        same = type(left) is type(right) and (sign in ("==", "!=") or isinstance(left, str))
        if not numbers and not same:
            message = f"`{sign}` between {self.kind(left)} and {self.kind(right)}"
            raise FormulaError(message, expr.start, expr.stop)
        if isinstance(left, list | dict):
            self.spend(weight(left), expr)
        return bool(self.apply(expr, left, right))

    def call(self, expr: Call) -> Static:
        function = FUNCTIONS.get(expr.function)
        if function is None:
            message = f"`{expr.function}` is not a function on static values"
            stop = expr.start + len(expr.function)
            raise FormulaError(message, expr.start, stop, f"they are {', '.join(sorted(FUNCTIONS))}")
        return self.invoke(expr, [self.value(argument) for argument in expr.arguments])

    def invoke(self, expr: Call, arguments: list[Static]) -> Static:
        """A function of the language on values."""
        function = FUNCTIONS[expr.function]
        for argument in arguments:
            if isinstance(argument, list) and expr.function != "len":
                self.spend(len(argument), expr)
        own = self.functions.get(expr.function)
        if own is not None and any(_has_opaque(argument) for argument in arguments):
            return own(*arguments)
        try:
            result = checked(function(expr, arguments), expr)
        except TypeError:
            kinds = ", ".join(self.kind(argument) for argument in arguments)
            raise FormulaError(f"`{expr.function}` of {kinds}", expr.start, expr.stop) from None
        if isinstance(result, list):
            self.spend(len(result), expr)
        return result

    def attribute(self, expr: Attribute) -> Static:
        return self.field(expr, self.value(expr.base))

    def field(self, expr: Attribute, base: Static) -> Static:
        """The field of a record; that of null is null."""
        if base is None:
            return None
        if not isinstance(base, dict):
            raise FormulaError(f"`.{expr.name}` of {self.kind(base)}", expr.start, expr.stop)
        if expr.name not in base:
            fields = ", ".join(str(key) for key in base)
            message = f"the record has no field `{expr.name}`"
            raise FormulaError(message, expr.start, expr.stop, f"its fields are {fields}" if fields else None)
        return base[expr.name]

    def index(self, expr: Index) -> Static:
        return self.item(expr, self.value(expr.base))

    def item(self, expr: Index, base: Static) -> Static:
        """An item or a slice of a list; that of null is null."""
        if base is None:
            return None
        if not isinstance(base, list):
            raise FormulaError(f"an item of {self.kind(base)}", expr.start, expr.stop)
        if len(expr.items) != 1 or isinstance(expr.items[0], EllipsisItem):
            raise FormulaError("a list has one index", expr.start, expr.stop)
        item = expr.items[0]
        if isinstance(item, SliceItem):
            lower, upper, step = (
                None if part is None else self.integer(part) for part in (item.lower, item.upper, item.step)
            )
            if step == 0:
                raise FormulaError("the step of a slice is zero", item.start, item.stop)
            taken = base[lower:upper:step]
            self.spend(weight(taken), expr)
            return taken
        at = self.integer(item)
        if not -len(base) <= at < len(base):
            message = f"the index {at} is outside the list, which has {len(base)} items"
            raise FormulaError(message, item.start, item.stop)
        return base[at]

    def integer(self, expr: Expr) -> int:
        value = self.value(expr)
        if not isinstance(value, int) or isinstance(value, bool):
            raise FormulaError(f"an index is an integer, this is {self.kind(value)}", expr.start, expr.stop)
        return value


def _has_opaque(value: Static) -> bool:
    return any(is_opaque(item) for item in value) if isinstance(value, list) else is_opaque(value)


def _refuse_power(base: float, exponent: float, expr: Binary) -> None:
    """Refuses powers that would be huge or complex, before they are computed."""
    if base < 0 and isinstance(exponent, float) and not exponent.is_integer():
        raise FormulaError("a root of a negative number", expr.start, expr.stop)
    whole = isinstance(base, int) and isinstance(exponent, int) and exponent >= 0
    if whole and abs(base) > 1 and exponent * math.log2(abs(base)) > math.log2(LARGEST_INTEGER) + 1:
        raise FormulaError("the integer does not fit into 64 bits", expr.start, expr.stop, limit="integer")
