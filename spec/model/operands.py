"""Operands: a formula, a list of operands, or a record of operands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ..diagnostics import Collector, SpecError
from ..source import Span
from ..tree import YamlList, YamlMap, YamlNode
from .base import Table, collector_of, name_problem
from .formulas import Formula


class OperandList(tuple["Operand", ...]):
    """Operands in order."""

    span: Span

    @classmethod
    def make(cls, items: tuple[Operand, ...], span: Span) -> OperandList:
        """The list with its place."""
        made = cls(items)
        made.span = span
        return made


class OperandRecord(Table["Operand"]):
    """Operands by name."""

    __slots__ = ()


Operand: TypeAlias = Formula | OperandList | OperandRecord


def read_operand(node: YamlNode, collector: Collector) -> Operand:
    """The operand that a YAML node holds; mistakes in parts of it are reported, a mistaken formula is raised."""
    if isinstance(node, YamlList):
        return OperandList.make(tuple(_items(node, collector)), node.span)
    if not isinstance(node, YamlMap):
        return Formula.of(node)
    items: dict[str, Operand] = {}
    for key, value in node.items():
        problem = name_problem(key)
        if problem:
            collector.report(node.key_spans[key], problem)
        try:
            items[key] = read_operand(value, collector)
        except SpecError as error:
            collector.add(error)
    return OperandRecord(items, node.span, node.key_spans)


def _items(node: YamlList, collector: Collector) -> Iterator[Operand]:
    for item in node:
        try:
            yield read_operand(item, collector)
        except SpecError as error:
            collector.add(error)


def formulas(operand: Operand) -> Iterator[Formula]:
    """All formulas of an operand, in the order in which they are written."""
    if isinstance(operand, Formula):
        yield operand
    elif isinstance(operand, OperandList):
        for item in operand:
            yield from formulas(item)
    else:
        for item in operand.values():
            yield from formulas(item)


class _Marker:
    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(node: YamlNode, info: core_schema.ValidationInfo) -> Operand:
            try:
                return read_operand(node, collector_of(info))
            except SpecError as error:
                (diagnostic,) = error.diagnostics
                raise PydanticCustomError("spec", "spec", {"diagnostic": diagnostic}) from None

        return core_schema.with_info_plain_validator_function(read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"x-ref": "Operand"}


OperandField: TypeAlias = Annotated[Operand, _Marker()]
"""The type of a field that holds an operand."""
