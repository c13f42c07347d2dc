"""In which precision a model is computed, and how it is spread over chips."""

from __future__ import annotations

from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from ..source import Span
from ..tree import YamlList, YamlNode, YamlScalar, kind
from .base import Model, NameTable, PatternTable, fail
from .formulas import StaticFormula, Text
from .scalars import Name


class Precision(Model):
    """Dtypes of storage and of computing, and the ops that stay in float32 beside those that ops keep by class."""

    what = "`precision`"

    params: Text | None = None
    compute: Text | None = None
    keep_float32: list[Name] | None = None


class AxisNames(tuple[Name | None, ...]):
    """For each axis of a tensor the mesh axis over which it is spread, or None."""

    span: Span

    @classmethod
    def read(cls, node: YamlNode) -> AxisNames:
        """Reads a list of names and nulls."""
        if not isinstance(node, YamlList):
            fail(node.span, f"a list of mesh axes and nulls belongs here, not {kind(node)}")
        axes = cls(None if isinstance(item, YamlScalar) and item.value is None else Name.read(item) for item in node)
        axes.span = node.span
        return axes

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.read)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "array", "items": {"type": ["string", "null"]}}


class Sharding(Model):
    """A mesh of chips, and how parameters (by path) and values (by label) lie on it."""

    what = "`sharding`"

    mesh: NameTable[StaticFormula]
    params: PatternTable[AxisNames] | None = None
    values: PatternTable[AxisNames] | None = None
