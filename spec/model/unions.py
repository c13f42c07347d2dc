"""Unions told apart by the shape of the YAML, or by a `kind` key."""

from __future__ import annotations

from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ..diagnostics import suggest
from ..tree import YamlList, YamlMap, YamlNode, YamlScalar, kind
from .base import fail


def shape(node: Any) -> str:
    """`mapping`, `list` or `scalar`."""
    if isinstance(node, YamlMap):
        return "mapping"
    return "list" if isinstance(node, YamlList) else "scalar"


class Shapes:
    """Refuses shapes that a union has not, in plain words. Stands behind the Discriminator."""

    def __init__(self, what: str, *shapes: str) -> None:
        self.what = what
        self.shapes = shapes

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.check, handler(source))

    def check(self, node: YamlNode) -> YamlNode:
        """Refuses other shapes."""
        if shape(node) not in self.shapes:
            fail(node.span, f"{self.what} belongs here, not {kind(node)}")
        return node


def kind_word(node: Any) -> str:
    """The text of the `kind` key; for a Discriminator behind `Kinds`."""
    return str(node["kind"].value)


class Kinds:
    """Refuses mappings whose `kind` is none of the given, in plain words. Stands behind the Discriminator."""

    def __init__(self, what: str, *kinds: str) -> None:
        self.what = what
        self.kinds = kinds

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.check, handler(source))

    def check(self, node: YamlNode) -> YamlNode:
        """Refuses what has no known kind."""
        listed = ", ".join(self.kinds)
        if not isinstance(node, YamlMap):
            fail(node.span, f"{self.what} is a mapping with `kind`, here is {kind(node)}", f"kinds are {listed}")
        if "kind" not in node:
            fail(node.span, f"{self.what} has no `kind`", f"kinds are {listed}")
        word = node["kind"]
        if not isinstance(word, YamlScalar) or word.value not in self.kinds:
            written = str(word.value)[:40] if isinstance(word, YamlScalar) else kind(word)
            hint = suggest(written, self.kinds) or f"kinds are {listed}"
            fail(word.span, f"`{written}` is not a kind of {self.what.removeprefix('an ').removeprefix('a ')}", hint)
        return node
