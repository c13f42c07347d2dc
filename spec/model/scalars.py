"""Plain words: names, paths, prose and choices. All are strings that know where they stand."""

from __future__ import annotations

from typing import Any, ClassVar, Self, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from ..diagnostics import suggest
from ..source import Span
from ..tree import YamlNode, YamlScalar, kind
from .base import NAME, fail, name_problem, pattern_problem

DTYPES = (
    "bool",
    "int8",
    "uint8",
    "int32",
    "uint32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "float",
    "any",
)
ARG_TYPES = ("int", "float", "bool", "text", "list", "record", "block", "op", "part")


class Word(str):
    """A string of the file with its place."""

    __slots__ = ("span",)

    span: Span
    what: ClassVar[str] = "text"
    schema: ClassVar[dict[str, Any]] = {"type": "string"}

    @classmethod
    def make(cls, text: str, span: Span) -> Self:
        """The word, unchecked."""
        word = cls(text)
        word.span = span
        return word

    @classmethod
    def read(cls, node: YamlNode) -> Self:
        """The word that a YAML scalar holds; refuses numbers, lists and mappings."""
        if not isinstance(node, YamlScalar):
            fail(node.span, f"{cls.what} belongs here, not {kind(node)}")
        if not isinstance(node.value, str):
            fail(node.span, f"{cls.what} belongs here, not {kind(node)}", f"quote it: '{node.text}'")
        problem = cls.problem(node.value)
        if problem:
            fail(node.span, problem)
        return cls.make(node.value, node.span)

    @classmethod
    def problem(cls, text: str) -> str | None:
        """Why the text is refused, or None."""
        return None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.read)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return dict(cls.schema)


class Prose(Word):
    """A sentence for people: `doc`, `summary`, `idea`, `source`."""

    __slots__ = ()


class Name(Word):
    """`[a-z][a-z0-9_]*`, none of the reserved words."""

    __slots__ = ()
    what = "a name"
    schema: ClassVar[dict[str, Any]] = {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"}

    @classmethod
    def problem(cls, text: str) -> str | None:
        return name_problem(text)


class FilePath(Word):
    """A file beside the spec, or `zoo:NAME` where a document is wanted. The loader checks where it leads."""

    __slots__ = ()
    what = "a file"

    @classmethod
    def problem(cls, text: str) -> str | None:
        return None if text.strip() == text and text else "the name of a file is empty or starts or ends with a blank"


class Pattern(Word):
    """A path or label, or a pattern of them: `*` is one segment, `**` any. Integers stand for themselves."""

    __slots__ = ()
    what = "a path"
    schema: ClassVar[dict[str, Any]] = {"type": ["string", "integer"]}

    @classmethod
    def read(cls, node: YamlNode) -> Self:
        if isinstance(node, YamlScalar) and isinstance(node.value, int) and not isinstance(node.value, bool):
            return cls.make(node.text, node.span)
        return super().read(node)

    @classmethod
    def problem(cls, text: str) -> str | None:
        return pattern_problem(text)


class Reference(Word):
    """Names joined with dots (`attention.self`, `stack.y`)."""

    __slots__ = ()
    what = "a name"

    @classmethod
    def problem(cls, text: str) -> str | None:
        if all(NAME.fullmatch(part) or part.isdigit() for part in text.split(".")):
            return None
        return f"`{text[:60]}` is not a name, nor names joined with dots"


class Choice:
    """Marks a field of fixed words: `Annotated[Literal["a", "b"], Choice()]`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        words: tuple[str, ...] = get_args(source)

        def read(node: YamlNode) -> str:
            return one_of(node, words)

        return core_schema.no_info_plain_validator_function(
            read, metadata={"pydantic_js_functions": [lambda _schema, _handler: {"enum": list(words)}]}
        )


def one_of(node: YamlNode, words: tuple[str, ...]) -> str:
    """The word of the scalar, which is one of these."""
    listed = ", ".join(words)
    if not isinstance(node, YamlScalar) or not isinstance(node.value, str):
        fail(node.span, f"one of {listed} belongs here, not {kind(node)}")
    if node.value not in words:
        near = suggest(node.value, words)
        fail(node.span, f"`{node.value[:40]}` is none of {listed}", near)
    return node.value


class Flag:
    """Marks a literal `true` or `false`: `Annotated[bool, Flag()]`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(node: YamlNode) -> bool:
            if not isinstance(node, YamlScalar) or not isinstance(node.value, bool):
                fail(node.span, f"true or false belongs here, not {kind(node)}")
            return node.value

        return core_schema.no_info_plain_validator_function(
            read, metadata={"pydantic_js_functions": [lambda _schema, _handler: {"type": "boolean"}]}
        )


class Count:
    """Marks a literal integer, not negative: `Annotated[int, Count()]`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(node: YamlNode) -> int:
            value = node.value if isinstance(node, YamlScalar) else None
            if not isinstance(value, int) or isinstance(value, bool):
                fail(node.span, f"an integer belongs here, not {kind(node)}")
            if value < 0:
                fail(node.span, "the integer is negative")
            return value

        return core_schema.no_info_plain_validator_function(
            read, metadata={"pydantic_js_functions": [lambda _schema, _handler: {"type": "integer", "minimum": 0}]}
        )
