"""Nodes of a graph, told apart by their kind key."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self, TypeAlias

from pydantic import Discriminator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, Tag
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from ..diagnostics import Collector, suggest
from ..source import Span
from ..tree import YamlList, YamlMap, YamlNode, YamlScalar, kind
from .base import Model, NameTable, fail
from .formulas import FieldValue, Formula, StaticFormula, Text
from .operands import OperandField
from .scalars import Name, Prose

KINDS = ("op", "value", "block", "part")
RESERVED_KEYS = frozenset(
    {"op", "value", "block", "part", "name", "in", "when", "else", "repeat", "carry", "scan", "path", "compute", "doc"}
)
"""The keys of a node that no op field and no block arg bears."""

WHERE = {
    "in": "op, block and part",
    "when": "op, block and part",
    "else": "op, block and part",
    "repeat": "op, block and part",
    "carry": "block and part",
    "scan": "block and part",
    "path": "op and block",
    "compute": "op",
}


class NodeNames(tuple[Name, ...]):
    """The names of a node: one, or several for a node that unpacks a list (`unpacks`)."""

    span: Span
    unpacks: bool

    @classmethod
    def read(cls, node: YamlNode) -> Self:
        """Reads one name or a list of different names."""
        items = node if isinstance(node, YamlList) else [node]
        if not items:
            fail(node.span, "the list of names is empty")
        names = cls(Name.read(item) for item in items)
        for at, name in enumerate(names):
            if name in names[:at]:
                fail(name.span, f"the name `{name}` stands twice in the list")
        names.span = node.span
        names.unpacks = isinstance(node, YamlList)
        return names

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.read)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        one = dict(Name.schema)
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


class NodePath:
    """Where the parameters of a node live: one text for all, or a text for each parameter."""

    __slots__ = ("each", "prefix", "span")

    def __init__(self, prefix: Text | None, each: NameTable[Text] | None, span: Span) -> None:
        self.prefix = prefix
        self.each = each
        self.span = span

    def __repr__(self) -> str:
        return f"NodePath({self.prefix!r}, {self.each!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        table = handler.generate_schema(NameTable[Text])

        def read(node: YamlNode, read_table: Any) -> NodePath:
            if isinstance(node, YamlMap):
                return cls(None, read_table(node), node.span)
            return cls(Text.read(node), None, node.span)

        return core_schema.no_info_wrap_validator_function(read, table)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        text = dict(Text.schema)
        return {"anyOf": [text, {"type": "object", "additionalProperties": text}]}


class Scan(Model):
    """A loop at run time: over the slices of values along `axis`, or `steps` times."""

    what = "`scan`"

    over: NameTable[OperandField] | None = None
    steps: StaticFormula | None = None
    axis: StaticFormula | None = None
    reverse: StaticFormula | None = None
    lengths: Formula | None = None
    until: Formula | None = None

    @classmethod
    def prepare(cls, node: Any, collector: Collector) -> Any:
        prepared = super().prepare(node, collector)
        if "over" not in prepared and "steps" not in prepared:
            fail(node.span, "`scan` needs `over` or `steps`", "over: {x: x} walks along x; steps: n goes n times")
        return prepared


class BaseNode(Model):
    """What all nodes share. Keys that are none of the language's are collected in `fields`."""

    kind: ClassVar[str]
    takes_fields: ClassVar[bool] = False

    name: NodeNames | None = None
    doc: Prose | None = None

    @property
    def names(self) -> tuple[Name, ...]:
        """Its names; none, one, or several if it unpacks a list."""
        return self.name or ()

    @classmethod
    def prepare(cls, node: Any, collector: Collector) -> Any:
        if not cls.takes_fields:
            return super().prepare(node, collector)
        known = cls.keys()
        own: dict[str, Any] = {}
        kept: dict[str, Any] = {}
        for key, value in node.items():
            if key in RESERVED_KEYS and key not in known:
                message, hint = cls.unknown(key)
                collector.report(node.key_spans[key], message, hint)
            elif key in known and key != "fields":
                kept[key] = value
            else:
                own[key] = value
        kept["fields"] = YamlMap(own, node.span, {key: node.key_spans[key] for key in own})
        return YamlMap(kept, node.span, node.key_spans)

    @classmethod
    def unknown(cls, key: str) -> tuple[str, str | None]:
        if key in WHERE:
            return f"{cls.what} has no key `{key}`", f"`{key}` stands on {WHERE[key]} nodes"
        return super().unknown(key)


class ValueNode(BaseNode):
    """`value: FORMULA`: a formula with a place in the graph."""

    what = "a value node"
    kind = "value"

    value: Formula


class BuiltNode(BaseNode):
    """What op, block and part nodes share."""

    in_: OperandField | None = Field(None, alias="in")
    when: StaticFormula | None = None
    else_: OperandField | None = Field(None, alias="else")
    repeat: StaticFormula | None = None

    @classmethod
    def prepare(cls, node: Any, collector: Collector) -> Any:
        if isinstance(node, YamlMap) and "else" in node and "when" not in node:
            collector.report(node.key_spans["else"], "`else` stands without `when`")
        if isinstance(node, YamlMap) and "repeat" in node and "scan" in node:
            collector.report(
                node.key_spans["scan"], "`repeat` and `scan` stand on one node", "put one of them in a block"
            )
        return super().prepare(node, collector)


class OpNode(BuiltNode):
    """`op: NAME` with the fields of the op, or a bare string."""

    what = "an op node"
    kind = "op"
    takes_fields = True

    op: Text
    path: NodePath | None = None
    compute: Text | None = None
    fields: NameTable[FieldValue]

    @property
    def bare(self) -> bool:
        """Whether it is written as a string alone; `- $act` may then name a block, too."""
        return not self.has("op")

    @classmethod
    def prepare(cls, node: Any, collector: Collector) -> Any:
        if isinstance(node, YamlScalar):
            return YamlMap({"op": node, "fields": YamlMap({}, node.span, {})}, node.span, {})
        return super().prepare(node, collector)


class LoopNode(BuiltNode):
    """What block and part nodes share: loops that hand values on."""

    carry: NameTable[OperandField] | None = None
    scan: Scan | None = None


class BlockNode(LoopNode):
    """`block: NAME` with the args of the block."""

    what = "a block node"
    kind = "block"
    takes_fields = True

    block: Text
    path: NodePath | None = None
    fields: NameTable[FieldValue]


class PartNode(LoopNode):
    """`part: NAME`: a call of a shared module; `entry` names a further graph of a sub-model."""

    what = "a part node"
    kind = "part"

    part: Text
    entry: Name | None = None


def kind_of(node: YamlNode) -> str:
    """The kind of a node: the one kind key it has; a string is an op."""
    if isinstance(node, YamlScalar):
        if not isinstance(node.value, str):
            fail(node.span, f"a node belongs here, not {kind(node)}")
        return "op"
    if isinstance(node, YamlList):
        fail(node.span, "a node is a mapping or the name of an op, here is a list")
    found = [key for key in node if key in KINDS]
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        fail(node.key_spans[found[1]], f"a node has one kind, here are `{found[0]}` and `{found[1]}`")
    for key in node:
        if key not in RESERVED_KEYS and (near := suggest(key, KINDS)):
            fail(node.key_spans[key], f"a node has no kind; `{key[:40]}` is none", near)
    own = [key for key in node if key not in RESERVED_KEYS]
    hint = f"an op is written {{op: {own[0][:40]}, ...}}" if len(own) == len(node) == 1 else None
    fail(node.span, "a node has one of the keys op, value, block, part", hint)


class _ByKind:
    """Validates a node with the model of its kind."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        inner = handler(source)
        return core_schema.no_info_before_validator_function(self.check, inner)

    @staticmethod
    def check(node: YamlNode) -> YamlNode:
        """Refuses what has not exactly one kind, in plain words."""
        kind_of(node)
        return node


def _tag(node: Any) -> str:
    return kind_of(node)


Node: TypeAlias = OpNode | ValueNode | BlockNode | PartNode
NodeField: TypeAlias = Annotated[
    Annotated[OpNode, Tag("op")]
    | Annotated[ValueNode, Tag("value")]
    | Annotated[BlockNode, Tag("block")]
    | Annotated[PartNode, Tag("part")],
    Discriminator(_tag),
    _ByKind(),
]
"""The type of an element of a graph."""
