"""Tokens of a formula to its tree: recursive descent, one level of precedence for each operator.

formula := or ["if" or "else" formula]          unary   := "-" unary | postfix ["**" unary]
or      := and {"or" and}                       postfix := atom {"." NAME | "[" index {"," index} "]"}
and     := not {"and" not}                      index   := formula | [formula] ":" [formula] [":" formula] | "..."
not     := "not" not | sum [CMP sum]            atom    := NUMBER | TEXT | "true" | "false" | "null" | "inf" | NAME
sum     := term {("+"|"-") term}                         | NAME "(" [formula {"," formula}] ")"
term    := unary {("*"|"/"|"//"|"%"|"@") unary}          | "(" formula ")" | "[" [formula {"," formula}] "]"
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar, cast
from typing import Literal as OneOf

from .ast import (
    Attribute,
    Binary,
    BinaryOperator,
    BoolOp,
    Call,
    Compare,
    CompareOperator,
    Conditional,
    EllipsisItem,
    Expr,
    Index,
    IndexItem,
    ListExpr,
    Literal,
    Name,
    Not,
    Number,
    SliceItem,
    Text,
    Unary,
    children,
)
from .errors import FormulaError
from .lexer import Token, tokenize

DEEPEST = 100  # levels of a tree, those of a chain `a + b + c` included
MOST_OPEN = 50  # brackets and prefixes open at once; each costs the parser several calls

COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
# Operators that associate to the left, by level; a higher level binds tighter.
LOGIC = {"or": 1, "and": 2}
ARITHMETIC = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2, "@": 2}
HINTS = {",": "a list is written with [ ]", ".": "write `0.5`, not `.5`", "not": "write `(not a)`"}
CONSTANTS: dict[str, bool | float | None] = {"true": True, "false": False, "null": None, "inf": float("inf")}

NodeT = TypeVar("NodeT")


@lru_cache(maxsize=16_384)
def parse_formula(text: str) -> Expr:
    """The tree of a formula; raises FormulaError with offsets into the text."""
    parser = _Parser(tokenize(text))
    expr = parser.formula()
    parser.expect_end()
    return expr


class _Parser:
    """One walk over the tokens. `levels` counts brackets and prefixes that are open, `depth` is that of each tree."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.levels = 0
        self.depth: dict[int, int] = {}

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def take(self, kind: str) -> Token | None:
        """The next token if it is of this kind."""
        token = self.tokens[self.at]
        if token.kind != kind:
            return None
        self.at += 1
        return token

    def expect(self, kind: str, opened: Token) -> Token:
        """The closing sign that belongs to an opened one."""
        token = self.take(kind)
        if token is not None:
            return token
        if self.token.kind == "end":
            message = f"`{opened.value}` is not closed"
            hint = "in YAML's [ ] and { } a formula with a comma or bracket needs quotes"
            raise FormulaError(message, opened.start, opened.stop, hint)
        raise FormulaError(f"`{kind}` is missing before {_shown(self.token)}", self.token.start, self.token.stop)

    def expect_end(self) -> None:
        token = self.token
        if token.kind == "end":
            return
        hint = None
        if token.kind in COMPARISONS:
            hint = "comparisons do not chain: write `a < b and b < c`"
        elif token.kind == "if":
            hint = "put the inner choice into parentheses"
        raise FormulaError(
            f"the formula ends before {_shown(token)}", token.start, max(token.stop, token.start + 1), hint
        )

    def enter(self) -> None:
        """One more level of brackets or prefixes."""
        self.levels += 1
        if self.levels > MOST_OPEN:
            raise self.too_deep(self.token, MOST_OPEN)

    def made(self, node: NodeT) -> NodeT:
        """Notes the depth of a new node and refuses what is too deep for those who walk the tree."""
        tree = cast(Any, node)
        depth = 1 + max((self.depth.get(id(child), 0) for child in children(tree)), default=0)
        self.depth[id(tree)] = depth
        if depth > DEEPEST:
            raise self.too_deep(tree, DEEPEST)
        return node

    def too_deep(self, place: Any, limit: int) -> FormulaError:
        message = f"the formula is nested more than {limit} levels deep"
        return FormulaError(message, place.start, place.stop, "split it with `let` or a value node", "formula-depth")

    def formula(self) -> Expr:
        then = self.logic(1)
        if not self.take("if"):
            return then
        self.enter()
        test = self.logic(1)
        if not self.take("else"):
            token = self.token
            raise FormulaError("`else` is missing: `a if condition else b`", token.start, token.stop)
        otherwise = self.formula()
        self.levels -= 1
        return self.made(Conditional(then, test, otherwise, start=then.start, stop=otherwise.stop))

    def logic(self, level: int) -> Expr:
        """`or` (level 1) and `and` (level 2)."""
        left = self.negation()
        while (found := LOGIC.get(self.token.kind, 0)) >= level:
            sign = cast(OneOf["and", "or"], self.token.kind)
            self.at += 1
            right = self.logic(found + 1)
            left = self.made(BoolOp(sign, left, right, start=left.start, stop=right.stop))
        return left

    def negation(self) -> Expr:
        """`not` before a comparison, and the comparison."""
        token = self.take("not")
        if token is not None:
            self.enter()
            operand = self.negation()
            self.levels -= 1
            return self.made(Not(operand, start=token.start, stop=operand.stop))
        left = self.arithmetic(1)
        sign = self.token.kind
        if sign not in COMPARISONS:
            return left
        self.at += 1
        right = self.arithmetic(1)
        return self.made(Compare(cast(CompareOperator, sign), left, right, start=left.start, stop=right.stop))

    def arithmetic(self, level: int) -> Expr:
        """Sums (level 1) and products (level 2)."""
        left = self.unary()
        while (found := ARITHMETIC.get(self.token.kind, 0)) >= level:
            sign = cast(BinaryOperator, self.token.kind)
            self.at += 1
            right = self.arithmetic(found + 1)
            left = self.made(Binary(sign, left, right, start=left.start, stop=right.stop))
        return left

    def unary(self) -> Expr:
        """Minus signs and powers: `-a ** -b` is `-(a ** (-b))`."""
        token = self.take("-")
        if token is not None:
            self.enter()
            operand = self.unary()
            self.levels -= 1
            return self.made(Unary("-", operand, start=token.start, stop=operand.stop))
        base = self.postfix()
        if not self.take("**"):
            return base
        self.enter()
        exponent = self.unary()
        self.levels -= 1
        return self.made(Binary("**", base, exponent, start=base.start, stop=exponent.stop))

    def postfix(self) -> Expr:
        expr = self.atom()
        while True:
            if self.take("."):
                name = self.token
                if name.kind != "name":
                    hint = f"an item is taken with [{name.value}]" if name.kind == "number" else None
                    raise FormulaError("a name stands behind `.`", name.start, max(name.stop, name.start + 1), hint)
                self.at += 1
                expr = self.made(Attribute(expr, str(name.value), start=expr.start, stop=name.stop))
            elif (opened := self.take("[")) is not None:
                items, closed = self.items(opened, "]", self.index)
                if not items:
                    raise FormulaError("the index is empty", opened.start, closed.stop)
                expr = self.made(Index(expr, tuple(items), start=expr.start, stop=closed.stop))
            elif self.token.kind == "(" and not isinstance(expr, Name):
                token = self.token
                # `np.exp(x)` and `x.mean()` are habits from Python.
                hint = f"write {expr.name}(...)" if isinstance(expr, Attribute) else "a product needs `*`"
                raise FormulaError("only a name can be called", token.start, token.stop, hint)
            else:
                return expr

    def atom(self) -> Expr:
        token = self.token
        self.at += 1
        match token.kind:
            case "number":
                return Number(cast(float, token.value), start=token.start, stop=token.stop)
            case "text":
                return Text(str(token.value), start=token.start, stop=token.stop)
            case "true" | "false" | "null" | "inf":
                return Literal(CONSTANTS[token.kind], start=token.start, stop=token.stop)
            case "name":
                opened = self.take("(")
                if opened is None:
                    return Name(str(token.value), start=token.start, stop=token.stop)
                arguments, closed = self.items(opened, ")", self.formula)
                return self.made(Call(str(token.value), tuple(arguments), start=token.start, stop=closed.stop))
            case "(":
                self.enter()
                inner = self.formula()
                self.expect(")", token)
                self.levels -= 1
                return inner
            case "[":
                entries, closed = self.items(token, "]", self.formula)
                return self.made(ListExpr(tuple(entries), start=token.start, stop=closed.stop))
        self.at -= 1
        if token.kind == "end":
            what = "the formula is empty" if len(self.tokens) == 1 else "the formula ends too early"
            raise FormulaError(what, max(token.start - 1, 0), token.stop)
        hint = HINTS.get(token.kind)
        raise FormulaError(f"a value is missing before {_shown(token)}", token.start, token.stop, hint)

    def items(self, opened: Token, closing: str, read: Any) -> tuple[list[Any], Token]:
        """Items with commas between, up to the closing sign, which is returned too."""
        self.enter()
        items: list[Any] = []
        closed = self.take(closing)
        while closed is None:
            items.append(read())
            closed = self.expect(closing, opened) if not self.take(",") else None
        self.levels -= 1
        return items, closed

    def index(self) -> IndexItem:
        """One item of an index."""
        token = self.token
        if self.take("..."):
            return EllipsisItem(start=token.start, stop=token.stop)
        lower = None if token.kind == ":" else self.formula()
        if self.token.kind != ":":
            return cast(Expr, lower)
        bounds: list[Expr | None] = [lower]
        stop = token.stop
        while len(bounds) < 3 and (colon := self.take(":")) is not None:
            omitted = self.token.kind in (":", ",", "]") and len(bounds) == 1
            given = None if omitted else self.formula()
            stop = colon.stop if given is None else given.stop
            bounds.append(given)
        bounds += [None] * (3 - len(bounds))
        return self.made(SliceItem(*bounds, start=token.start, stop=stop))


def _shown(token: Token) -> str:
    return "the end" if token.kind == "end" else f"`{str(token.value)[:40]}`"
