"""Declarations: args, inputs, params, constants, state."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, GetJsonSchemaHandler, PrivateAttr
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from ..diagnostics import Collector, suggest
from ..tree import YamlList, YamlMap, YamlNode, YamlScalar, kind
from .base import Model, Table, fail, name_problem
from .formulas import StaticFormula, StaticValue, Text
from .scalars import ARG_TYPES, Choice, FilePath, Prose
from .types import TypeField

ArgType = Annotated[Literal["int", "float", "bool", "text", "list", "record", "block", "op", "part"], Choice()]
FieldT = TypeVar("FieldT")


class ArgDecl(Model):
    """A knob. Short forms: a default (`10`, `[3, 4]`), or the type of a required one (`int`)."""

    what = "an arg"

    type: ArgType
    default: StaticValue | None = None
    choices: list[StaticValue] | None = None
    min: StaticValue | None = None
    max: StaticValue | None = None
    doc: Prose | None = None

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is None

    @classmethod
    def prepare(cls, node: Any, collector: Collector) -> Any:
        if isinstance(node, YamlMap):
            return super().prepare(node, collector)
        if isinstance(node, YamlScalar) and isinstance(node.value, str):
            if node.value not in ARG_TYPES:
                hint = suggest(node.value, ARG_TYPES) or "a default that is text needs {type: text, default: ...}"
                fail(node.span, f"`{node.value[:40]}` is not a type of args: {', '.join(ARG_TYPES)}", hint)
            return YamlMap({"type": node}, node.span, {})
        return YamlMap({"type": _type_of(node), "default": node}, node.span, {})


def _type_of(node: YamlNode) -> YamlScalar:
    """The type that a default declares."""
    if isinstance(node, YamlList):
        word = "list"
    else:
        assert isinstance(node, YamlScalar)
        if node.value is None:
            fail(node.span, "null is not a default", "a required arg is written with its type: `width: int`")
        word = type(node.value).__name__
    return YamlScalar(word, word, node.span)


class ImageSource(Model):
    """How a person's picture becomes the input."""

    what = "`image`"

    resize: StaticValue | None = None
    crop: StaticValue | None = None
    fit: Annotated[Literal["shorter", "stretch", "letterbox"], Choice()] | None = None
    channels: Annotated[Literal["rgb", "bgr", "gray"], Choice()] | None = None
    scale: StaticValue | None = None
    mean: StaticValue | None = None
    std: StaticValue | None = None


class TextSource(Model):
    """How a person's text becomes the input."""

    what = "`text`"

    tokenizer: FilePath
    lower: StaticFormula | None = None
    start: StaticFormula | None = None
    end: StaticFormula | None = None
    pad: StaticFormula | None = None
    length: StaticFormula | None = None
    reverse: StaticFormula | None = None


class RandomSource(Model):
    """An input that is drawn when nobody gives it."""

    what = "`random`"

    distribution: Annotated[Literal["normal", "uniform"], Choice()]


class InputSource(Model):
    """Where a person's data comes from."""

    what = "`from`"

    image: ImageSource | None = None
    text: TextSource | None = None
    random: RandomSource | None = None
    default: StaticValue | None = None


class InputDecl(Model):
    """An input: its type, or the long form. `optional` is the `?` behind its name."""

    what = "an input"

    type: TypeField
    count: StaticFormula | None = None
    range: tuple[StaticFormula, StaticFormula] | None = None
    from_: InputSource | None = Field(None, alias="from")
    doc: Prose | None = None

    _optional: bool = PrivateAttr(False)

    @property
    def optional(self) -> bool:
        """Whether it may be left out."""
        return self._optional

    @classmethod
    def prepare(cls, node: Any, collector: Collector) -> Any:
        if not isinstance(node, YamlMap):
            return YamlMap({"type": node}, node.span, {})
        return super().prepare(node, collector)


class Inputs(Table[InputDecl]):
    """The inputs of a scope by name; `mask?` is the optional input `mask`."""

    __slots__ = ()
    pattern = r"^[a-z][a-z0-9_]*\??$"
    item = InputDecl

    @classmethod
    def key_problem(cls, key: str) -> str | None:
        return name_problem(key.removesuffix("?"))

    @classmethod
    def prepare(cls, node: YamlMap, collector: Collector) -> YamlMap:
        for key in node:
            if key.endswith("?") and key[:-1] in node:
                collector.report(node.key_spans[key], f"the input `{key[:-1]}` is declared twice")
        return super().prepare(node, collector)

    def __init__(self, items: Any, span: Any, key_spans: Any) -> None:
        for key, declaration in items.items():
            declaration._optional = key.endswith("?")
        super().__init__(
            {key.removesuffix("?"): value for key, value in items.items()},
            span,
            {key.removesuffix("?"): value for key, value in key_spans.items()},
        )


class Initializer(Model):
    """First values: a word, or one of `normal`, `uniform`, `constant` with its number."""

    what = "an initializer"

    kind: Annotated[
        Literal["zeros", "ones", "xavier", "he", "orthogonal", "range", "normal", "uniform", "constant"], Choice()
    ]
    value: StaticFormula | None = None

    @classmethod
    def prepare(cls, node: Any, collector: Collector) -> Any:
        words = ("zeros", "ones", "xavier", "he", "orthogonal", "range")
        forms = ("normal", "uniform", "constant")
        if isinstance(node, YamlScalar) and isinstance(node.value, str):
            if node.value in words:
                return YamlMap({"kind": node}, node.span, {})
            if node.value in forms:
                fail(node.span, f"`{node.value}` needs a number", f"write {{{node.value}: 0.02}}")
            hint = suggest(node.value, (*words, *forms))
            fail(
                node.span, f"`{node.value[:40]}` is not an initializer", hint or f"they are {', '.join(words + forms)}"
            )
        if not isinstance(node, YamlMap):
            fail(node.span, f"an initializer belongs here, not {kind(node)}")
        if len(node) != 1:
            fail(
                node.span, "an initializer has exactly one key", "write {normal: 0.02}, {uniform: 0.1} or {constant: 1}"
            )
        ((key, value),) = node.items()
        if key not in forms:
            hint = suggest(key, forms) or f"with a number they are {', '.join(forms)}"
            fail(node.key_spans[key], f"`{key[:40]}` is not an initializer with a number", hint)
        word = YamlScalar(key, key, node.key_spans[key])
        return YamlMap({"kind": word, "value": value}, node.span, {"kind": node.key_spans[key]})

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        handler(schema)
        numbers = {"type": ["number", "string"]}
        return {
            "oneOf": [
                {"enum": ["zeros", "ones", "xavier", "he", "orthogonal", "range"]},
                *(
                    {"type": "object", "properties": {key: numbers}, "required": [key], "additionalProperties": False}
                    for key in ("normal", "uniform", "constant")
                ),
            ]
        }


class ParamDecl(Model):
    """A parameter that a scope owns itself: its type, or the long form."""

    what = "a parameter"

    type: TypeField
    path: Text | None = None
    init: Initializer | None = None
    trainable: StaticFormula | None = None
    when: StaticFormula | None = None

    @classmethod
    def prepare(cls, node: Any, collector: Collector) -> Any:
        if not isinstance(node, YamlMap):
            return YamlMap({"type": node}, node.span, {})
        return super().prepare(node, collector)


class ConstantDecl(Model):
    """A tensor that the spec itself gives."""

    what = "a constant"

    type: TypeField
    value: StaticValue


class StateDecl(Model):
    """What is kept between calls."""

    what = "a state"

    type: TypeField
    count: StaticFormula | None = None
    initial: StaticValue | None = None
    range: tuple[StaticFormula, StaticFormula] | None = None
    doc: Prose | None = None
