"""Types of the language: `any`, `dtype[dims]`, or a record of types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import EllipsisType
from typing import Annotated, Any, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ..diagnostics import SpecError, error_at, suggest
from ..formula.errors import FormulaError
from ..formula.text import split_items
from ..source import Span
from ..tree import YamlMap, YamlNode, YamlScalar, kind
from .base import name_problem
from .formulas import Formula
from .scalars import DTYPES


@dataclass(frozen=True, slots=True)
class AnyType:
    """`any`: whatever is given."""

    span: Span


@dataclass(frozen=True, slots=True)
class TensorType:
    """`dtype[dims]`. A dim is a formula, or `...` for any dims."""

    dtype: str
    dims: tuple[Formula | EllipsisType, ...]
    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class RecordType:
    """A record of types."""

    fields: dict[str, TypeExpr]
    key_spans: dict[str, Span]
    span: Span


TypeExpr: TypeAlias = AnyType | TensorType | RecordType

SHAPE = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(\[)?", re.ASCII)


def read_type(node: YamlNode) -> TypeExpr:
    """The type that a YAML node holds; raises SpecError."""
    if isinstance(node, YamlMap):
        return _record(node)
    if not isinstance(node, YamlScalar) or not isinstance(node.value, str):
        raise error_at(node.span, f"a type belongs here, not {kind(node)}", "types are `any` and `float[N, 3]`")
    text = node.value
    if text.strip() == "any":
        return AnyType(node.span)
    head = SHAPE.match(text)
    if head is None:
        raise error_at(node.span, "a type belongs here: `any` or `dtype[dims]`")
    dtype = head.group(1)
    place = node.place(head.start(1), head.end(1))
    if dtype not in DTYPES:
        raise error_at(
            place, f"`{dtype[:40]}` is not a dtype", suggest(dtype, DTYPES) or f"dtypes are {', '.join(DTYPES)}"
        )
    if head.group(2) is None:
        hint = f"dims stand in `[ ]`: `{dtype}[N, 3]`" if "(" in text else f"a scalar is `{dtype}[]`"
        raise error_at(place, f"the type `{text[:40]}` has no dims", hint)
    return TensorType(dtype, tuple(_dims(node, text, head.end())), node.span, text)


def _record(node: YamlMap) -> RecordType:
    for key, span in node.key_spans.items():
        problem = name_problem(key)
        if problem:
            raise error_at(span, problem)
    return RecordType({key: read_type(value) for key, value in node.items()}, dict(node.key_spans), node.span)


def _dims(node: YamlScalar, text: str, start: int) -> Iterator[Formula | EllipsisType]:
    """The dims behind the opening bracket, which ends at `start`."""
    try:
        items, stop = split_items(text, start, "]")
    except FormulaError as error:
        raise error_at(node.place(error.start, error.stop), error.message, error.hint, error.limit) from None
    rest = text[stop:]
    if rest.strip():
        at = stop + len(rest) - len(rest.lstrip())
        raise error_at(node.place(at, len(text)), f"`{rest.strip()[:40]}` stands behind the type")
    for offset, item in items:
        if item.strip() == "...":
            yield ...
        else:
            yield Formula.within(node, offset, item)


class _Marker:
    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(node: YamlNode) -> TypeExpr:
            try:
                return read_type(node)
            except SpecError as error:
                (diagnostic,) = error.diagnostics
                raise PydanticCustomError("spec", "spec", {"diagnostic": diagnostic}) from None

        return core_schema.no_info_plain_validator_function(read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"x-ref": "Type"}


TypeField: TypeAlias = Annotated[TypeExpr, _Marker()]
"""The type of a field that holds a type."""
