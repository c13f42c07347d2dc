"""Fields that hold formulas, texts with inserted formulas, and values whose reading depends on the field."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ..diagnostics import Diagnostic, SpecError, error_of
from ..formula.ast import Expr, Literal, Number, Unary
from ..formula.errors import FormulaError
from ..formula.parser import parse_formula
from ..formula.static import Functions, Static, evaluate_static
from ..formula.text import split_text
from ..source import Span
from ..tree import YamlList, YamlNode, YamlScalar, kind
from .base import Table, name_problem

Lookup: TypeAlias = Callable[[str], Static]


class _Leaf(ABC):
    """A value that is read from one YAML node by `of`; problems are SpecErrors."""

    __slots__ = ("span",)

    span: Span
    schema: ClassVar[dict[str, Any]] = {}

    @classmethod
    @abstractmethod
    def of(cls, node: YamlNode) -> Self:
        """Reads the value; raises SpecError."""

    @classmethod
    def read(cls, node: YamlNode) -> Self:
        """Reads the value for Pydantic."""
        try:
            return cls.of(node)
        except SpecError as error:
            (diagnostic,) = error.diagnostics
            raise PydanticCustomError("spec", "spec", {"diagnostic": diagnostic}) from None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.read)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return dict(cls.schema)


class Formula(_Leaf):
    """A formula over tensors: an operand, a loss, an output.

    `expr` is its tree, with offsets into `text`; `position` turns them into places of the file.
    """

    __slots__ = ("_base", "_scalar", "expr", "text")

    schema: ClassVar[dict[str, Any]] = {"type": ["string", "number", "boolean", "null"]}

    def __init__(self, expr: Expr, text: str, scalar: YamlScalar, base: int = 0, length: int | None = None) -> None:
        self.expr = expr
        self.text = text
        self._scalar = scalar
        self._base = base
        whole = base == 0 and len(text) == len(scalar.text)
        self.span = scalar.span if whole else scalar.place(base, base + (len(text) if length is None else length))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Formula) and self.expr == other.expr

    def __hash__(self) -> int:
        return hash(self.expr)

    @classmethod
    def of(cls, node: YamlNode) -> Self:
        """Reads a formula from a scalar: text, a number, `true`, `false` or `null`."""
        if not isinstance(node, YamlScalar):
            raise error_of([Diagnostic(node.span, f"a formula belongs here, not {kind(node)}")])
        if isinstance(node.value, str):
            return cls.within(node, 0, node.value)
        return cls(_literal(node.value, len(node.text)), node.text, node)

    @classmethod
    def within(cls, scalar: YamlScalar, base: int, text: str) -> Self:
        """Parses `text`, which stands in the scalar from the offset `base` on."""
        try:
            return cls(parse_formula(text), text, scalar, base)
        except FormulaError as error:
            raise _located(error, scalar, base) from None

    def position(self, start: int, stop: int | None = None) -> Span:
        """The place in the file of the characters `start` to `stop` of the formula (one character by default)."""
        return self._scalar.place(self._base + start, self._base + (start + 1 if stop is None else stop))

    def place_of(self, node: Any) -> Span:
        """The place in the file of a node of the tree."""
        return self.position(node.start, node.stop)

    def evaluate(self, lookup: Lookup, functions: Functions | None = None) -> Static:
        """The value of a static formula; raises SpecError at the place of the mistake."""
        try:
            return evaluate_static(self.expr, lookup, functions)
        except FormulaError as error:
            raise _located(error, self._scalar, self._base) from None


class StaticFormula(Formula):
    """A formula that is computed when the spec is read: a number, bool or list."""

    __slots__ = ()

    schema: ClassVar[dict[str, Any]] = {"type": ["string", "number", "boolean"]}

    @classmethod
    def of(cls, node: YamlNode) -> Self:
        if isinstance(node, YamlScalar) and node.value is None:
            raise error_of([Diagnostic(node.span, "a number or a static formula belongs here, not null")])
        return super().of(node)


class Text(_Leaf):
    """Literal text with `$name` and `$(formula)` inserted; `$$` is `$`.

    `pieces` are strings and formulas in turn. `literal` is the text if nothing is inserted, else None.
    """

    __slots__ = ("pieces", "text")

    schema: ClassVar[dict[str, Any]] = {"type": ["string", "integer"]}

    def __init__(self, pieces: tuple[str | StaticFormula, ...], text: str, span: Span) -> None:
        self.pieces = pieces
        self.text = text
        self.span = span

    def __repr__(self) -> str:
        return f"Text({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Text) and self.pieces == other.pieces

    def __hash__(self) -> int:
        return hash(self.pieces)

    @property
    def literal(self) -> str | None:
        """The text, if nothing is inserted."""
        if not self.pieces:
            return ""
        first = self.pieces[0]
        return first if len(self.pieces) == 1 and isinstance(first, str) else None

    @property
    def formulas(self) -> tuple[StaticFormula, ...]:
        """The inserted formulas."""
        return tuple(piece for piece in self.pieces if isinstance(piece, StaticFormula))

    @classmethod
    def of(cls, node: YamlNode) -> Self:
        if not isinstance(node, YamlScalar):
            raise error_of([Diagnostic(node.span, f"text belongs here, not {kind(node)}")])
        value = node.value
        if isinstance(value, int) and not isinstance(value, bool):
            return cls((node.text,), node.text, node.span)
        if not isinstance(value, str):
            raise error_of([Diagnostic(node.span, f"text belongs here, not {kind(node)}", f"quote it: '{node.text}'")])
        if "$" not in value:
            return cls((value,) if value else (), value, node.span)
        try:
            parts = split_text(value)
        except FormulaError as error:
            raise _located(error, node, 0) from None
        pieces = tuple(
            part if isinstance(part, str) else StaticFormula.within(node, part.offset, part.text) for part in parts
        )
        return cls(pieces, value, node.span)


class StaticValue(_Leaf):
    """A static value as it is written, whose strings are still to be decided.

    `value` is a bool, an int, a float, a tuple of StaticValue, a table of StaticValue, or a string: a word of the
    field, a text with `$`, or a formula. The field says which, by calling `text_template` or `formula`.
    """

    __slots__ = ("_scalar", "value")

    schema: ClassVar[dict[str, Any]] = {"x-ref": "StaticValue"}
    value: bool | int | float | str | tuple[StaticValue, ...] | Table[StaticValue]

    def __init__(self, value: Any, span: Span, scalar: YamlScalar | None = None) -> None:
        self.value = value
        self.span = span
        self._scalar = scalar

    def __repr__(self) -> str:
        return f"StaticValue({self.value!r})"

    @classmethod
    def of(cls, node: YamlNode) -> Self:
        if isinstance(node, YamlScalar):
            if node.value is None:
                raise error_of([Diagnostic(node.span, "a value belongs here, not null", "leave the key out instead")])
            return cls(node.value, node.span, node)
        if isinstance(node, YamlList):
            return cls(tuple(cls.of(item) for item in node), node.span)
        for key, span in node.key_spans.items():
            problem = name_problem(key)
            if problem:
                raise error_of([Diagnostic(span, problem)])
        items = {key: cls.of(value) for key, value in node.items()}
        return cls(Table(items, node.span, node.key_spans), node.span)

    @property
    def is_string(self) -> bool:
        """Whether it is a string that is still to be decided."""
        return isinstance(self.value, str)

    def formula(self) -> StaticFormula:
        """The value as a static formula; raises SpecError, also for a list or mapping."""
        if self._scalar is None:
            raise error_of([Diagnostic(self.span, f"a number or formula belongs here, not {self.kind}")])
        return StaticFormula.of(self._scalar)

    def text_template(self) -> Text:
        """The value as a text with `$name` and `$(formula)`; raises SpecError for what is not text or an integer."""
        if self._scalar is None:
            raise error_of([Diagnostic(self.span, f"text belongs here, not {self.kind}")])
        return Text.of(self._scalar)

    @property
    def kind(self) -> str:
        """What a person calls it."""
        if self._scalar is not None:
            return kind(self._scalar)
        return "a list" if isinstance(self.value, tuple) else "a mapping"

    def evaluate(self, lookup: Lookup, functions: Functions | None = None) -> Static:
        """The value with all strings read as static formulas: a number, bool, list or dict; raises SpecError."""
        if isinstance(self.value, str):
            return self.formula().evaluate(lookup, functions)
        if isinstance(self.value, tuple):
            return [item.evaluate(lookup, functions) for item in self.value]
        if isinstance(self.value, Table):
            return {key: item.evaluate(lookup, functions) for key, item in self.value.items()}
        return self.value


FieldValue: TypeAlias = StaticValue


def _literal(value: float | bool | None, length: int) -> Expr:
    """The tree of a YAML scalar that is not text."""
    if value is None or isinstance(value, bool):
        return Literal(value, start=0, stop=length)
    if value < 0:
        return Unary("-", Number(-value, start=1, stop=length), start=0, stop=length)
    return Number(value, start=0, stop=length)


def _located(error: FormulaError, scalar: YamlScalar, base: int) -> SpecError:
    """The mistake of a formula at its place in the file."""
    span = scalar.place(base + error.start, base + error.stop)
    return error_of([Diagnostic(span, error.message, error.hint, limit=error.limit)])
