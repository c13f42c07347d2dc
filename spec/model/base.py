"""What all models of the document share: spans, unknown keys, tables, and the words of errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Generic, NoReturn, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ..diagnostics import Collector, Diagnostic, suggest
from ..source import Span
from ..tree import YamlMap, YamlNode, kind

NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
SYMBOL = re.compile(r"[A-Z][A-Za-z0-9_]*", re.ASCII)
RESERVED_WORDS = frozenset({"i", "training", "and", "or", "not", "if", "else", "true", "false", "null", "inf"})
LONGEST_NAME = 200

ItemT = TypeVar("ItemT")


def fail(span: Span, message: str, hint: str | None = None, limit: str | None = None) -> NoReturn:
    """Refuses a value within a Pydantic validator."""
    raise PydanticCustomError("spec", "spec", {"diagnostic": Diagnostic(span, message, hint, limit=limit)})


def collector_of(info: ValidationInfo) -> Collector:
    """Where mistakes are noted that do not end the validation of a model."""
    context: Any = info.context
    collector: Collector = context["collector"]
    return collector


def name_problem(name: str, what: str = "name") -> str | None:
    """Why this cannot be the name of something, or None."""
    if name in RESERVED_WORDS:
        return f"`{name}` is a word of the language and cannot be a {what}"
    if len(name) > LONGEST_NAME:
        return f"a {what} has at most {LONGEST_NAME} characters"
    if not NAME.fullmatch(name):
        return f"`{name[:40]}` is not a {what}: small letters, digits and `_`, starting with a letter"
    return None


def symbol_problem(name: str) -> str | None:
    """Why this cannot be a dimension symbol, or None."""
    if len(name) <= LONGEST_NAME and SYMBOL.fullmatch(name):
        return None
    return f"`{name[:40]}` is not a dimension symbol: it starts with a capital, then letters, digits and `_`"


class Model(BaseModel):
    """A mapping of the language with fixed keys. Unknown keys are refused; `span` is where it stands."""

    # Building the validators takes longer than importing the rest: only who validates a document pays for it.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    _span: Span = PrivateAttr()
    _key_spans: Mapping[str, Span] = PrivateAttr()

    what: ClassVar[str] = "this"  # names the construct in errors: "a block", "the document"

    @property
    def span(self) -> Span:
        """Where the construct stands."""
        # What everybody asks for all the time is taken without Pydantic's search for it.
        assert self.__pydantic_private__ is not None
        span: Span = self.__pydantic_private__["_span"]
        return span

    def key_span(self, key: str) -> Span:
        """Where one of its keys stands; the construct itself if the key is not written."""
        return self._key_spans.get(key, self.span)

    def has(self, key: str) -> bool:
        """Whether the key is written in the file."""
        return key in self._key_spans

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """The keys as they are written, in the order of declaration."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())

    @classmethod
    def prepare(cls, node: Any, collector: Collector) -> Any:
        """Turns short forms into the long one. The result has only known keys; others are reported."""
        if not isinstance(node, YamlMap):
            fail(node.span, f"{cls.what} is a mapping, here is {kind(node)}", f"its keys are {', '.join(cls.keys())}")
        known = cls.keys()
        unknown = [key for key in node if key not in known]
        if not unknown:
            return node
        for key in unknown:
            message, hint = cls.unknown(key)
            collector.report(node.key_spans[key], message, hint)
        return YamlMap({key: node[key] for key in node if key in known}, node.span, node.key_spans)

    @classmethod
    def unknown(cls, key: str) -> tuple[str, str | None]:
        """Message and hint for a key that the construct does not have."""
        hint = suggest(key, cls.keys()) or f"its keys are {', '.join(cls.keys())}"
        return f"{cls.what} has no key `{key[:40]}`", hint

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, node: Any, handler: ModelWrapValidatorHandler[Model], info: ValidationInfo) -> Any:
        prepared = cls.prepare(node, collector_of(info))
        model = handler(prepared)
        model._span = prepared.span
        model._key_spans = MappingProxyType(prepared.key_spans)
        return model


class Table(Mapping[str, ItemT], Generic[ItemT]):
    """A mapping of the language whose keys the author chooses. Keeps the order and the places of the keys."""

    __slots__ = ("_items", "_key_spans", "span")

    pattern: ClassVar[str | None] = None
    item: ClassVar[Any] = Any  # of a subclass without type argument

    def __init__(self, items: Mapping[str, ItemT], span: Span, key_spans: Mapping[str, Span]) -> None:
        self._items = dict(items)
        self._key_spans = dict(key_spans)
        self.span = span

    def __getitem__(self, key: str) -> ItemT:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._items!r})"

    def key_span(self, key: str) -> Span:
        """Where the key stands."""
        return self._key_spans[key]

    @classmethod
    def key_problem(cls, key: str) -> str | None:
        """Why a key is refused, or None."""
        return None

    @classmethod
    def prepare(cls, node: YamlMap, collector: Collector) -> YamlMap:
        """The mapping without the keys that are refused, which are reported."""
        wrong: set[str] = set()
        for key in node:
            problem = cls.key_problem(key)
            if problem:
                collector.report(node.key_spans[key], problem)
                wrong.add(key)
        if not wrong:
            return node
        return YamlMap({key: value for key, value in node.items() if key not in wrong}, node.span, node.key_spans)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        (item,) = get_args(source) or (cls.item,)
        inner = core_schema.dict_schema(values_schema=handler.generate_schema(item))

        def read(node: YamlNode, read_items: Any, info: core_schema.ValidationInfo) -> Table[Any]:
            if not isinstance(node, YamlMap):
                fail(node.span, f"a mapping belongs here, not {kind(node)}")
            prepared = cls.prepare(node, collector_of(info))
            return cls(read_items(prepared), prepared.span, prepared.key_spans)

        return core_schema.with_info_wrap_validator_function(read, inner)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        result = handler(schema["schema"])
        if cls.pattern:
            result["propertyNames"] = {"pattern": cls.pattern}
        return result


class NameTable(Table[ItemT], Generic[ItemT]):
    """Its keys are names."""

    __slots__ = ()
    pattern = "^[a-z][a-z0-9_]*$"

    @classmethod
    def key_problem(cls, key: str) -> str | None:
        return name_problem(key)


class SymbolTable(Table[ItemT], Generic[ItemT]):
    """Its keys are dimension symbols."""

    __slots__ = ()
    pattern = "^[A-Z][A-Za-z0-9_]*$"

    @classmethod
    def key_problem(cls, key: str) -> str | None:
        return symbol_problem(key)


class PatternTable(Table[ItemT], Generic[ItemT]):
    """Its keys are paths, labels or patterns of them (`*` one segment, `**` any)."""

    __slots__ = ()

    @classmethod
    def key_problem(cls, key: str) -> str | None:
        return pattern_problem(key)


def pattern_problem(text: str) -> str | None:
    """Why this cannot be a path, a label or a pattern of them, or None."""
    if not text or text.startswith(".") or text.endswith(".") or ".." in text:
        return f"`{text[:60]}` is not a path: segments joined with single dots"
    if any(char.isspace() for char in text):
        return f"`{text[:60]}` is not a path: it contains a blank"
    if any("**" in segment and segment != "**" for segment in text.split(".")):
        return f"`{text[:60]}` is not a path: `**` stands alone between dots"
    return None
