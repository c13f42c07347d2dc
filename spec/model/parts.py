"""Parts: modules that several calls share."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import Discriminator, GetCoreSchemaHandler, Tag
from pydantic_core import CoreSchema, core_schema

from ..diagnostics import Collector, suggest
from ..tree import YamlMap, YamlNode, kind
from .base import Model, NameTable, fail
from .formulas import FieldValue, Text
from .nodes import RESERVED_KEYS, NodePath
from .scalars import FilePath, Name, Prose, Reference

PART_KINDS = ("op", "block", "model")


class BasePart(Model):
    """What all parts share; the fields of the op, the args of the block or model are in `fields`."""

    doc: Prose | None = None
    fields: NameTable[FieldValue]

    @classmethod
    def prepare(cls, node: Any, collector: Collector) -> Any:
        known = cls.keys()
        kept: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, value in node.items():
            if key in known and key != "fields":
                kept[key] = value
            elif key in RESERVED_KEYS:
                collector.report(
                    node.key_spans[key], f"{cls.what} has no key `{key}`", "it stands where the part is called"
                )
            else:
                own[key] = value
        kept["fields"] = YamlMap(own, node.span, {key: node.key_spans[key] for key in own})
        return YamlMap(kept, node.span, node.key_spans)


class OpPart(BasePart):
    """A shared op that owns parameters."""

    what = "an op part"

    op: Text
    path: NodePath | None = None


class BlockPart(BasePart):
    """A shared call of a block."""

    what = "a block part"

    block: Text
    path: NodePath | None = None


class ModelPart(BasePart):
    """A sub-model: another document with args, perhaps with its own weights file."""

    what = "a model part"

    model: FilePath
    variant: Name | None = None
    path: Text | None = None
    weights: FilePath | None = None
    outputs: NameTable[Reference] | None = None


def part_kind(node: YamlNode) -> str:
    """The kind of a part: the one kind key it has."""
    if not isinstance(node, YamlMap):
        fail(node.span, f"a part is a mapping with op, block or model, here is {kind(node)}")
    found = [key for key in node if key in PART_KINDS]
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        fail(node.key_spans[found[1]], f"a part has one kind, here are `{found[0]}` and `{found[1]}`")
    for key in node:
        if near := suggest(key, PART_KINDS):
            fail(node.key_spans[key], f"a part has no kind; `{key[:40]}` is none", near)
    fail(node.span, "a part has one of the keys op, block, model")


class _ByKind:
    """Validates a part with the model of its kind."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.check, handler(source))

    @staticmethod
    def check(node: YamlNode) -> YamlNode:
        """Refuses what has not exactly one kind, in plain words."""
        part_kind(node)
        return node


def _tag(node: Any) -> str:
    return part_kind(node)


PartDecl: TypeAlias = OpPart | BlockPart | ModelPart
PartField: TypeAlias = Annotated[
    Annotated[OpPart, Tag("op")] | Annotated[BlockPart, Tag("block")] | Annotated[ModelPart, Tag("model")],
    Discriminator(_tag),
    _ByKind(),
]
"""The type of a declaration of a part."""
