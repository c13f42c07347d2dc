"""What a field of an op or layer takes, told from its type: the words it knows, and how a person calls its values."""

from __future__ import annotations

import types
import typing
from collections.abc import Collection, Iterable
from enum import Enum
from functools import cache
from typing import Any

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from ...compiler.ir import DType

ANY_WORD = "*"
"""Stands among the words of a field that takes any text."""

BOUNDS = (("ge", "of {} or more"), ("gt", "above {}"), ("le", "{} at most"), ("lt", "below {}"))


@cache
def words_of(declared: type[BaseModel], key: str) -> frozenset[str]:
    """The words that a field takes; `ANY_WORD` if it is a plain text."""
    return _words(declared.model_fields[key].annotation)


@cache
def takes_dtype(declared: type[BaseModel], key: str) -> bool:
    """Whether the field holds a dtype."""
    return "bfloat16" in words_of(declared, key)


def _words(annotation: Any) -> frozenset[str]:
    if annotation is str:
        return frozenset({ANY_WORD})
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return frozenset({*(str(member.value) for member in annotation), *(("float",) if annotation is DType else ())})
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return frozenset(word for word in typing.get_args(annotation) if isinstance(word, str))
    if origin is typing.Annotated:
        return _words(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType, tuple, list):
        return frozenset().union(*(_words(inner) for inner in typing.get_args(annotation) if inner is not Ellipsis))
    return frozenset()


@cache
def form_of(declared: type[BaseModel], key: str) -> str:
    """What the field takes, as in `a whole number of 1 or more, or a list of 2 whole numbers of 1 or more`."""
    field = declared.model_fields[key]
    return _form(field.annotation, field.metadata)[0]


def _form(annotation: Any, metadata: Collection[Any]) -> tuple[str, str]:
    """One value, and several of them."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        more = [part for item in inner[1:] for part in (item.metadata if isinstance(item, FieldInfo) else [item])]
        return _form(inner[0], [*more, *metadata])
    if origin in (typing.Union, types.UnionType):
        forms = [_form(one, metadata) for one in inner if one is not type(None)]
        return _either([one for one, _ in forms]), _either([several for _, several in forms])
    if origin is tuple:
        if len(inner) == 2 and inner[1] is Ellipsis:
            several = _form(inner[0], ())[1]
            return f"a list of {several}", f"lists of {several}"
        several = _form(inner[0], ())[1]
        return f"a list of {len(inner)} {several}", f"lists of {len(inner)} {several}"
    if isinstance(annotation, type) and issubclass(annotation, DType):
        return "a dtype", "dtypes"
    if (words := _words(annotation)) and ANY_WORD not in words:
        listed = ", ".join(sorted(words))
        return f"one of {listed}", f"words of {listed}"
    if annotation is Any and any(isinstance(part, BeforeValidator) for part in metadata):
        return "a whole number or a size", "whole numbers or sizes"
    return _plain(annotation, metadata)


def _plain(annotation: Any, metadata: Collection[Any]) -> tuple[str, str]:
    if annotation is bool:
        return "true or false", "true or false"
    if annotation is int or annotation is float:
        bounds = _bounds(metadata)
        noun = "whole number" if annotation is int else "finite number" if _is_finite(metadata) else "number"
        return f"a {noun}{bounds}", f"{noun}s{bounds}"
    return ("a text", "texts") if annotation is str else ("a value", "values")


def _bounds(metadata: Iterable[Any]) -> str:
    told = [
        words.format(f"{limit:g}" if isinstance(limit, float) else limit)
        for part in metadata
        for name, words in BOUNDS
        if (limit := getattr(part, name, None)) is not None
    ]
    return f" {' and '.join(told)}" if told else ""


def _is_finite(metadata: Iterable[Any]) -> bool:
    return any(getattr(part, "allow_inf_nan", None) is False for part in metadata)


def _either(forms: list[str]) -> str:
    distinct = list(dict.fromkeys(forms))
    return distinct[0] if len(distinct) == 1 else ", ".join(distinct[:-1]) + f", or {distinct[-1]}"
