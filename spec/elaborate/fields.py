"""Static values of a spec against declared ones: fields of ops and layers, args of blocks and documents."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from ...compiler.ir import Dim, DType
from ..diagnostics import Diagnostic, SpecError, error_at, error_of, suggest
from ..model.declarations import ArgDecl
from ..model.formulas import StaticValue
from ..source import Span
from .scope import Ref, Scope, has_tensor
from .values import Value, describe


@cache
def words_of(annotation: Any) -> frozenset[str]:
    """The words that a field's type admits; every word if it is a plain text."""
    if annotation is str:
        return frozenset({"*"})
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return frozenset({*(str(member.value) for member in annotation), *(("float",) if annotation is DType else ())})
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return frozenset(word for word in typing.get_args(annotation) if isinstance(word, str))
    if origin is typing.Annotated:
        return words_of(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType, tuple, list):
        return frozenset().union(*(words_of(inner) for inner in typing.get_args(annotation) if inner is not Ellipsis))
    return frozenset()


def read_value(scope: Scope, value: StaticValue, words: frozenset[str]) -> Value:
    """The static value of a field that also takes these words. Raises SpecError."""
    raw = value.value
    if isinstance(raw, str):
        if raw in words:
            return raw
        if "*" in words or "$" in raw:
            return scope.template(value.text_template())
        return scope.static(value.formula(), "a field")
    if isinstance(raw, tuple):
        return [read_value(scope, item, words) for item in raw]
    if isinstance(raw, Mapping):
        return {key: read_value(scope, item, words) for key, item in raw.items()}
    return raw


def make_op(scope: Scope, declared: type[BaseModel], given: Mapping[str, StaticValue], spans: Any, span: Span) -> Any:
    """An op or layer with its fields set from a node. All mistakes of the node in one SpecError."""
    what = f"`{declared.name}`"  # type: ignore[attr-defined]
    fields = {name: field for name, field in declared.model_fields.items() if name != "present"}
    problems: list[Diagnostic] = []
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in fields:
            listed = ", ".join(fields) or "none"
            hint = suggest(key, fields) or f"its fields: {listed}"
            problems.append(Diagnostic(spans.key_span(key), f"{what} has no field `{key}`", hint))
            continue
        try:
            values[key] = read_value(scope, value, words_of(_annotation(declared, key)))
        except SpecError as error:
            problems.extend(error.diagnostics)
    for key, field in fields.items():
        if field.is_required() and key not in given:
            problems.append(Diagnostic(span, f"{what} needs the field `{key}`", f"{key}: ..."))
    if problems:
        raise error_of(problems)
    try:
        return declared(**{key: _frozen(value, scope) for key, value in values.items()})
    except ValidationError as error:
        raise error_of(_explain(what, problem, given, span, fields) for problem in error.errors()) from None


def _annotation(declared: type[BaseModel], key: str) -> Any:
    return declared.model_fields[key].annotation


def _frozen(value: Value, scope: Scope) -> Value:
    if isinstance(value, list):
        return tuple(_frozen(item, scope) for item in value)
    if isinstance(value, str) and value == "float":
        return scope.compute
    return value


def _explain(
    what: str, problem: Any, given: Mapping[str, StaticValue], span: Span, fields: Mapping[str, Any]
) -> Diagnostic:
    place = problem["loc"]
    key = str(place[0]) if place else ""
    at = given[key].span if key in given else span
    message = problem["msg"].removeprefix("Value error, ")
    shown = problem.get("input")
    value = "" if isinstance(shown, (dict, BaseModel)) else f", this is {describe_static(shown)}"
    if not key:
        return Diagnostic(at, f"{what}: {message}")
    words = sorted(words_of(fields[key].annotation) - {"*"}) if key in fields else []
    hint = (suggest(str(shown), words) if isinstance(shown, str) else None) or (
        f"words it takes: {', '.join(words)}" if words else None
    )
    return Diagnostic(at, f"{what}: `{key}`: {message[:1].lower()}{message[1:]}{value}", hint)


def describe_static(value: Any) -> str:
    """A static value as a person writes it."""
    if isinstance(value, tuple):
        return "[" + ", ".join(map(describe_static, value)) + "]"
    return describe(value)


_TESTS: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: isinstance(value, (int, Dim)) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "bool": lambda value: isinstance(value, bool),
    "text": lambda value: isinstance(value, str),
    "list": lambda value: isinstance(value, list),
    "record": lambda value: isinstance(value, dict),
}


def read_args(
    scope: Scope,
    declared: Mapping[str, ArgDecl],
    given: Mapping[str, StaticValue],
    home: Scope,
    what: str,
    spans: Any,
    span: Span,
) -> dict[str, Value]:
    """The args of a block or document: ``given`` evaluated in ``scope``, defaults in ``home`` (the declaring file).

    All mistakes in one SpecError.
    """
    problems: list[Diagnostic] = []
    for key in given:
        if key not in declared:
            hint = suggest(key, declared) or f"its args: {', '.join(declared) or 'none'}"
            problems.append(Diagnostic(spans.key_span(key), f"{what} has no arg `{key}`", hint))
    values: dict[str, Value] = {}
    for name, declaration in declared.items():
        source, seen = (given[name], scope) if name in given else (declaration.default, home)
        if source is None:
            problems.append(Diagnostic(span, f"{what} needs the arg `{name}` ({declaration.type})", f"{name}: ..."))
            continue
        try:
            values[name] = read_arg(seen, declaration, source, name)
        except SpecError as error:
            problems.extend(error.diagnostics)
    if problems:
        raise error_of(problems)
    return values


def read_arg(scope: Scope, declaration: ArgDecl, source: StaticValue, name: str) -> Value:
    """One arg, checked against its declaration. Raises SpecError."""
    if declaration.type in ("block", "op", "text"):
        value: Value = scope.template(source.text_template())
        if declaration.type != "text" and isinstance(value, str):
            value = Ref(scope.context, value)
    else:
        value = read_value(scope, source, frozenset())
        if has_tensor(value):
            raise error_at(source.span, f"the arg `{name}` is static, this is {describe(value)}")
        if not _TESTS[declaration.type](value):
            raise error_at(source.span, f"the arg `{name}` is {declaration.type}, not {describe_static(value)}")
        if declaration.type == "float":
            value = float(value)
    check_arg(scope, declaration, value, name, source.span)
    return value


def check_arg(scope: Scope, declaration: ArgDecl, value: Value, name: str, span: Span) -> None:
    """Choices and bounds of an arg. Raises SpecError."""
    if declaration.choices is not None:
        words = frozenset({"*"}) if declaration.type in ("text", "block", "op") else frozenset()
        choices = [read_value(scope, choice, words) for choice in declaration.choices]
        plain = value.name if isinstance(value, Ref) else value
        if plain not in choices:
            listed = ", ".join(map(str, choices))
            raise error_at(
                span, f"the arg `{name}` is one of {listed}, not {plain}", suggest(str(plain), map(str, choices))
            )
    for bound, word, outside in ((declaration.min, "at least", "<"), (declaration.max, "at most", ">")):
        if bound is None:
            continue
        limit = read_value(scope, bound, frozenset())
        if value < limit if outside == "<" else value > limit:
            raise error_at(span, f"the arg `{name}` is {word} {limit}, not {value}")
