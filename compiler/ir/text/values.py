"""Types, dimensions and attributes from tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..dims import LIMIT, AnyDim, Symbol
from ..dimtext import DimSyntaxError, parse_dim
from ..types import DType, Literal, TensorType
from .lexer import MAX_DEPTH, Cursor, Token

_DTYPES = {dtype.value: dtype for dtype in DType}
_WORDS: dict[str, Any] = {"null": None, "true": True, "false": False, "inf": float("inf"), "nan": float("nan")}
_ENDS = frozenset({",", "]", ")", "}", "==", "@"})
_ARITHMETIC = frozenset({"+", "-", "*", "//"})


def symbol_clause(cursor: Cursor) -> dict[str, Symbol]:
    """The symbols declared in ``[N, T: 1..8]``, in order; none without a clause. Raises `TextError`."""
    found: dict[str, Symbol] = {}
    if not cursor.accept("["):
        return found
    while not cursor.accept("]"):
        if found:
            cursor.expect(",")
        name = cursor.expect_kind("word", "a symbol")
        if name.text in found:
            raise cursor.error(f"the symbol {name.text} stands here twice", name.at)
        low, high = 1, LIMIT
        if cursor.accept(":"):
            low = cursor.integer()
            cursor.expect("..")
            high = cursor.integer()
        found[name.text] = Symbol(name.text, low, high)
    return found


class Values:
    """Reads types, dimensions and attributes; ``symbols`` are those of the section."""

    def __init__(self, cursor: Cursor, symbols: Mapping[str, Symbol]) -> None:
        self.cursor = cursor
        self.symbols = symbols
        self.dims: dict[str, AnyDim] = {}

    def type(self) -> TensorType:
        """``float32[N, 3]``. Raises `TextError`."""
        token = self.cursor.expect_kind("word", "a type")
        dtype = _DTYPES.get(token.text)
        if dtype is None:
            raise self.cursor.error(f"{token.text} is no dtype", token.at)
        self.cursor.expect("[")
        return self.shape(dtype)

    def shape(self, dtype: DType) -> TensorType:
        """What follows the opening bracket of a type."""
        sizes: list[AnyDim] = []
        while not self.cursor.accept("]"):
            if sizes:
                self.cursor.expect(",")
            sizes.append(self.dim())
        return TensorType(dtype, tuple(sizes))

    def dim(self) -> AnyDim:
        """A dimension, up to what cannot belong to one. Raises `TextError`."""
        cursor = self.cursor
        first, depth = cursor.now, 0
        end = first.at
        while cursor.now.kind in ("number", "word", "mark"):
            token = cursor.now
            if depth == 0 and (token.text in _ENDS or (end > first.at and _starts_operand(token, cursor))):
                break
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            cursor.take()
            end = token.at + len(token.text)
        text = cursor.text[first.at : end]
        if text not in self.dims:
            try:
                self.dims[text] = parse_dim(text, self.symbols)
            except (DimSyntaxError, ValueError) as error:
                message = str(error) if text else f"a size belongs here, not {cursor.describe()}"
                raise cursor.error(message, first.at) from error
        return self.dims[text]

    def attribute(self, depth: int = 0) -> Any:
        """A value as the printer writes it; lists are tuples, mappings dicts. Raises `TextError`."""
        cursor = self.cursor
        if depth > MAX_DEPTH:
            raise cursor.error(f"nested deeper than {MAX_DEPTH}")
        token = cursor.now
        if token.kind == "text":
            return cursor.string()
        if cursor.accept("["):
            return tuple(self._items("]", depth))
        if cursor.accept("{"):
            return self._mapping(depth)
        if token.kind == "word" and token.text in _WORDS:
            cursor.take()
            return _WORDS[token.text]
        if token.kind == "word" and token.text in _DTYPES:
            cursor.take()
            return self._typed(_DTYPES[token.text])
        number = self._number()
        return self.dim() if number is None else number

    def _items(self, end: str, depth: int) -> list[Any]:
        items: list[Any] = []
        while not self.cursor.accept(end):
            if items:
                self.cursor.expect(",")
            items.append(self.attribute(depth + 1))
        return items

    def _mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self.cursor.accept("}"):
            if found:
                self.cursor.expect(",")
            key = self.cursor.string("a key in quotes")
            if key in found:
                raise self.cursor.error(f"the key {key[:40]!r} stands here twice")
            self.cursor.expect(":")
            found[key] = self.attribute(depth + 1)
        return found

    def _number(self) -> int | float | None:
        """A number that stands alone; None if a dimension begins here."""
        cursor = self.cursor
        start = cursor.position
        sign = -1 if cursor.accept("-") else 1
        token = cursor.take()
        if token.kind == "number" and not (cursor.now.kind == "mark" and cursor.now.text in _ARITHMETIC):
            if not token.text.isdigit():
                return sign * float(token.text)
            cursor.position = start
            return cursor.integer()
        if token.kind == "word" and token.text in ("inf", "nan"):
            return sign * float(token.text)
        cursor.position = start
        return None

    def _typed(self, dtype: DType) -> DType | TensorType | Literal:
        """A dtype, a type, or a literal."""
        if not self.cursor.accept("["):
            return dtype
        type = self.shape(dtype)
        return self._literal(type) if self.cursor.sees("(") else type

    def _literal(self, type: TensorType) -> Literal:
        cursor = self.cursor
        start = cursor.take()
        if not type.is_static:
            raise cursor.error(f"the literal has an unknown size: {type}", start.at)
        count = int(type.elements)  # type: ignore[arg-type]
        if cursor.now.kind == "hex":
            token = cursor.take()
            digits = token.text[2:]
            data = bytes.fromhex(digits) if len(digits) % 2 == 0 else b""
            cursor.expect(")")
        else:
            items = self._items(")", 0)
            if len(items) != count or not all(_fits(item, type.dtype) for item in items):
                raise cursor.error(f"{type} needs {count} numbers of its dtype", start.at)
            data = np.array(items).astype(type.dtype.numpy).tobytes()
        if len(data) != count * type.dtype.bytes:
            raise cursor.error(f"{type} needs {count * type.dtype.bytes} bytes, not {len(data)}", start.at)
        return Literal(type, data)


def _fits(item: Any, dtype: DType) -> bool:
    """Whether a number from a text can be an element."""
    if dtype is DType.BOOL or isinstance(item, bool):
        return dtype is DType.BOOL and isinstance(item, bool)
    if dtype.is_float:
        return isinstance(item, (int, float))
    return isinstance(item, int) and np.iinfo(dtype.numpy).min <= item <= np.iinfo(dtype.numpy).max


def _starts_operand(token: Token, cursor: Cursor) -> bool:
    """Whether two operands would stand side by side: the dimension ended before this token."""
    if token.kind not in ("word", "number"):
        return False
    before = cursor.tokens[cursor.position - 1]
    return before.kind in ("word", "number") or before.text == ")"
