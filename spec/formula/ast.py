"""The syntax tree of a formula.

Every node carries `start` and `stop`, character offsets into the text of its formula; they take no part in
comparison, so that `a+b` and `a + b` are equal trees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal as OneOf
from typing import TypeAlias

BinaryOperator: TypeAlias = OneOf["+", "-", "*", "/", "//", "%", "@", "**"]
CompareOperator: TypeAlias = OneOf["==", "!=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """What every node has: where it stands in the text of its formula."""

    start: int = field(default=0, compare=False, repr=False)
    stop: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Number(Located):
    """`3`, `0.5`, `1.0e-5`; an int below 2**63 or a finite float, never negative."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Text(Located):
    """`'same'` or `"same"`."""

    value: str


@dataclass(frozen=True, slots=True)
class Literal(Located):
    """`true`, `false`, `null` (None) or `inf` (the float)."""

    value: bool | float | None


@dataclass(frozen=True, slots=True)
class Name(Located):
    """A name or a dimension symbol; also `i` and `training`."""

    id: str


@dataclass(frozen=True, slots=True)
class Attribute(Located):
    """`base.name`: a field of a record, or a parameter of a node."""

    base: Expr
    name: str


@dataclass(frozen=True, slots=True)
class SliceItem(Located):
    """`lower:upper:step` within an index; what is not written is None."""

    lower: Expr | None
    upper: Expr | None
    step: Expr | None


@dataclass(frozen=True, slots=True)
class EllipsisItem(Located):
    """`...` within an index."""


@dataclass(frozen=True, slots=True)
class Index(Located):
    """`base[items]`, at least one item; `Literal(None)` as an item is a new axis."""

    base: Expr
    items: tuple[IndexItem, ...]


@dataclass(frozen=True, slots=True)
class Call(Located):
    """`function(arguments)`; only a plain name can be called."""

    function: str
    arguments: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Unary(Located):
    """`-operand`."""

    operator: OneOf["-"]
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary(Located):
    """Arithmetic, joining of lists (`+`) and matrix products (`@`)."""

    operator: BinaryOperator
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Compare(Located):
    """One comparison; the grammar does not chain them."""

    operator: CompareOperator
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class BoolOp(Located):
    """`left and right`, `left or right`."""

    operator: OneOf["and", "or"]
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Not(Located):
    """`not operand`."""

    operand: Expr


@dataclass(frozen=True, slots=True)
class Conditional(Located):
    """`then if test else otherwise`."""

    then: Expr
    test: Expr
    otherwise: Expr


@dataclass(frozen=True, slots=True)
class ListExpr(Located):
    """`[a, b]`, possibly empty."""

    items: tuple[Expr, ...]


Expr: TypeAlias = (
    Number
    | Text
    | Literal
    | Name
    | Attribute
    | Index
    | Call
    | Unary
    | Binary
    | Compare
    | BoolOp
    | Not
    | Conditional
    | ListExpr
)
IndexItem: TypeAlias = Expr | SliceItem | EllipsisItem


def children(node: IndexItem) -> tuple[IndexItem, ...]:
    """The nodes directly below, in the order in which they are written."""
    match node:
        case Attribute(base=base):
            return (base,)
        case Index(base=base, items=items):
            return (base, *items)
        case SliceItem(lower=lower, upper=upper, step=step):
            return tuple(part for part in (lower, upper, step) if part is not None)
        case Call(arguments=arguments):
            return arguments
        case Unary(operand=operand) | Not(operand=operand):
            return (operand,)
        case Binary(left=left, right=right) | Compare(left=left, right=right) | BoolOp(left=left, right=right):
            return (left, right)
        case Conditional(then=then, test=test, otherwise=otherwise):
            return (then, test, otherwise)
        case ListExpr(items=items):
            return items
        case _:
            return ()


def names(expr: IndexItem) -> tuple[Name, ...]:
    """All names that a formula mentions, in order, with repetitions; names of called functions are not among them."""
    found: list[Name] = []
    pending: list[IndexItem] = [expr]
    while pending:
        node = pending.pop()
        if isinstance(node, Name):
            found.append(node)
        pending.extend(reversed(children(node)))
    return tuple(found)
