"""The functions of static formulas, and what values they and the operators may give."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .ast import Binary, Call, Compare, Expr
from .errors import FormulaError
from .lexer import LARGEST_INTEGER

LONGEST_LIST = 1_000_000

PLAIN_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a float",
    str: "text",
    list: "a list",
    dict: "a record",
    type(None): "null",
}


def kind_of(value: Any) -> str:
    """What a person calls the value."""
    return PLAIN_KINDS.get(type(value), "a dimension")


def is_number(value: Any) -> bool:
    """Whether it is an int or a float, and no bool."""
    return type(value) is int or type(value) is float


def is_opaque(value: Any) -> bool:
    """Whether it is none of the plain values: a dimension."""
    return type(value) not in PLAIN_KINDS


def checked(value: Any, expr: Binary | Compare | Call) -> Any:
    """The value, unless it is an integer beyond 64 bits, not a number, or complex."""
    if type(value) is int and abs(value) > LARGEST_INTEGER:
        raise FormulaError("the integer does not fit into 64 bits", expr.start, expr.stop, limit="integer")
    if type(value) is float and math.isnan(value):
        raise FormulaError("the result is not a number", expr.start, expr.stop)
    return value


def weight(value: Any, most: int = LONGEST_LIST) -> int:
    """The items of a list or record and of those within, each counted as often as it stands there; stops above `most`.

    Lists share their items, so a few short ones can hold more than any memory once somebody walks them.
    """
    count = 0
    pending = [value]
    while pending and count <= most:
        items = pending.pop()
        count += len(items)
        inner = items.values() if type(items) is dict else items
        pending.extend([item for item in inner if type(item) is list or type(item) is dict])
    return count


def limited(length: int, expr: Expr) -> None:
    """Refuses lists that are too long, one by one or all of a formula together."""
    if length > LONGEST_LIST:
        message = f"the lists of this formula have more than {LONGEST_LIST} items"
        raise FormulaError(message, expr.start, expr.stop, limit="list")


def _one(expr: Call, arguments: list[Any]) -> Any:
    """The only argument."""
    if len(arguments) != 1:
        message = f"`{expr.function}` takes one argument, here are {len(arguments)}"
        raise FormulaError(message, expr.start, expr.stop)
    return arguments[0]


def _number(expr: Call, value: Any) -> Any:
    """A number or a dimension."""
    if not is_number(value) and not is_opaque(value):
        raise FormulaError(f"`{expr.function}` of {kind_of(value)}", expr.start, expr.stop)
    return value


def _length(expr: Call, arguments: list[Any]) -> int:
    value = _one(expr, arguments)
    if not isinstance(value, list):
        raise FormulaError(f"`len` of {kind_of(value)}", expr.start, expr.stop)
    return len(value)


def _extreme(choose: Callable[[list[Any]], Any]) -> Callable[[Call, list[Any]], Any]:
    def run(expr: Call, arguments: list[Any]) -> Any:
        values = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list) else arguments
        if not values:
            raise FormulaError(f"`{expr.function}` of nothing", expr.start, expr.stop)
        return choose([_number(expr, value) for value in values])

    return run


def _mathematics(compute: Callable[[Any], Any]) -> Callable[[Call, list[Any]], Any]:
    def run(expr: Call, arguments: list[Any]) -> Any:
        value = _number(expr, _one(expr, arguments))
        try:
            return compute(value)
        except ValueError:
            raise FormulaError(f"`{expr.function}` of {value!r} is not a number", expr.start, expr.stop) from None
        except OverflowError:
            message = f"`{expr.function}` of {value!r} is too large"
            raise FormulaError(message, expr.start, expr.stop, limit="float") from None

    return run


def _total(expr: Call, arguments: list[Any]) -> Any:
    values = _one(expr, arguments)
    if not isinstance(values, list):
        raise FormulaError(f"`sum` of {kind_of(values)}", expr.start, expr.stop, "it adds up a list")
    total: Any = 0
    for value in values:
        total = checked(total + _number(expr, value), expr)
    return total


def _numbers(expr: Call, arguments: list[Any]) -> list[int]:
    if not 1 <= len(arguments) <= 3:
        raise FormulaError("`range` takes one to three integers", expr.start, expr.stop)
    for value in arguments:
        if type(value) is not int:
            raise FormulaError(f"`range` takes integers, not {kind_of(value)}", expr.start, expr.stop)
    if len(arguments) == 3 and arguments[2] == 0:
        raise FormulaError("the step of a range is zero", expr.start, expr.stop)
    numbers = range(*arguments)
    start, stop, step = numbers.start, numbers.stop, numbers.step
    limited(max(0, (stop - start + step - (1 if step > 0 else -1)) // step), expr)
    return list(numbers)


def _whole(value: Any) -> Any:
    return value if _is_whole(value) else int(value)


def _is_whole(value: Any) -> bool:
    """Whether it is an integer or a dimension, which rounding leaves alone."""
    return type(value) is int or is_opaque(value)


def _float(value: Any) -> float:
    if is_opaque(value):
        raise TypeError
    return float(value)


def _real(compute: Callable[[float], float]) -> Callable[[Call, list[Any]], Any]:
    return _mathematics(lambda value: compute(_float(value)))


FUNCTIONS: dict[str, Callable[[Call, list[Any]], Any]] = {
    "len": _length,
    "min": _extreme(min),
    "max": _extreme(max),
    "sum": _total,
    "range": _numbers,
    "ceil": _mathematics(lambda value: value if _is_whole(value) else math.ceil(value)),
    "floor": _mathematics(lambda value: value if _is_whole(value) else math.floor(value)),
    "int": _mathematics(_whole),
    "float": _real(float),
    "abs": _mathematics(abs),
    "sqrt": _real(math.sqrt),
    "exp": _real(math.exp),
    "log": _real(math.log),
}
"""By name; each takes the call and its evaluated arguments."""
