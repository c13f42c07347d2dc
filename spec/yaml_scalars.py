"""What YAML 1.2's core schema makes of a plain scalar."""

from __future__ import annotations

import re

from .diagnostics import error_at
from .limits import LARGEST_INTEGER
from .source import Span
from .tree import Plain

# Only these can begin a number or one of the words; all other plain scalars are text.
FIRST = frozenset("+-.0123456789tTfFnN~")

INTEGER = re.compile(r"[-+]?[0-9]+", re.ASCII)
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
OCTAL = re.compile(r"0o[0-7]+")
HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

WORDS: dict[str, Plain] = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "null": None,
}


def resolve(text: str, span: Span) -> Plain:
    """The value of a plain scalar; raises SpecError for what the language does not take."""
    if text[0] not in FIRST:
        return text
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text):
        return _integer(text, 10, span)
    if FLOAT.fullmatch(text):
        return _float(text, span)
    if OCTAL.fullmatch(text):
        return _integer(text[2:], 8, span)
    if HEXADECIMAL.fullmatch(text):
        return _integer(text[2:], 16, span)
    if text in ("~", "Null", "NULL"):
        raise error_at(span, f"`{text}` is an empty value", "write `null` where the language has it")
    if INFINITE.fullmatch(text):
        raise error_at(span, f"`{text}` is not taken", "infinity is the formula `inf`")
    return text


def _integer(digits: str, base: int, span: Span) -> int:
    # No integer of 64 bits has more digits than this, and int() is slow for very long ones.
    if len(digits.lstrip("+-0")) > 22:
        raise error_at(span, "the integer does not fit into 64 bits", limit="integer")
    value = int(digits, base)
    if abs(value) > LARGEST_INTEGER:
        raise error_at(span, "the integer does not fit into 64 bits", limit="integer")
    return value


def _float(text: str, span: Span) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise error_at(span, "the number does not fit into float64", "infinity is the formula `inf`", "float")
    return value
