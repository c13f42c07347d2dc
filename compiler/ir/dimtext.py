"""Dimensions from their text, the inverse of ``str(dim)``. Own parser: text from files is never evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .dims import AnyDim, Symbol, floordiv, maximum, minimum, symbol

_TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z_]\w*)|(//|[-+*(),]))")
_DEPTH = 64
_DIGITS = 20
_MOST_TERMS = 1_000
"""Terms that a product may have; a short text can spell one with millions."""
_MOST_FACTORS = 64
"""Factors that one term may have."""


class DimSyntaxError(ValueError):
    """The text is no dimension."""


def parse_dim(text: str, symbols: Mapping[str, Symbol]) -> AnyDim:
    """The dimension that ``text`` spells; ``symbols`` gives each symbol with its range.

    Raises `DimSyntaxError`.
    """
    parser = _Parser(text, symbols)
    value = parser.sum(0)
    parser.expect("")
    return value


class _Parser:
    def __init__(self, text: str, symbols: Mapping[str, Symbol]) -> None:
        self.text, self.symbols = text, symbols
        self.tokens: list[str] = []
        at = 0
        stripped = text.rstrip()
        while at < len(stripped):
            match = _TOKEN.match(stripped, at)
            if match is None:
                raise DimSyntaxError(f"not a dimension: {text[:80]!r}")
            self.tokens.append(match.group(match.lastindex or 0))
            at = match.end()
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise DimSyntaxError(f"not a dimension: {self.text[:80]!r}")

    def sum(self, depth: int) -> AnyDim:
        if depth > _DEPTH:
            raise DimSyntaxError("a dimension nested too deep")
        negative = self.peek() == "-"
        if negative:
            self.take()
        total = self.term(depth)
        total = -total if negative else total
        while self.peek() in ("+", "-"):
            sign = 1 if self.take() == "+" else -1
            total = total + sign * self.term(depth)
        return total

    def term(self, depth: int) -> AnyDim:
        value = self.atom(depth)
        while self.peek() in ("*", "//"):
            if self.take() == "*":
                factor = self.atom(depth)
                (terms, factors), (more_terms, more_factors) = _extent(value), _extent(factor)
                if terms * more_terms > _MOST_TERMS or factors + more_factors > _MOST_FACTORS:
                    raise DimSyntaxError(f"a dimension with too many terms: {self.text[:80]!r}")
                value = value * factor
            else:
                value = floordiv(value, self.atom(depth))
        return value

    def atom(self, depth: int) -> AnyDim:
        token = self.take()
        if token.isdigit():
            if len(token) > _DIGITS:
                raise DimSyntaxError(f"not a dimension: {token[:80]}...")
            return int(token)
        if token == "(":
            value = self.sum(depth + 1)
            self.expect(")")
            return value
        if token in ("max", "min") and self.peek() == "(":
            self.take()
            items = [self.sum(depth + 1)]
            while self.peek() == ",":
                self.take()
                items.append(self.sum(depth + 1))
            self.expect(")")
            return (maximum if token == "max" else minimum)(*items)
        if token in self.symbols:
            known = self.symbols[token]
            return symbol(known.name, known.low, known.high)
        raise DimSyntaxError(f"not a dimension: {self.text[:80]!r}")


def _extent(value: AnyDim) -> tuple[int, int]:
    """The number of terms, and of factors of the longest one."""
    if isinstance(value, int):
        return 1, 0
    return len(value.terms), max(len(monomial) for monomial, _ in value.terms)
