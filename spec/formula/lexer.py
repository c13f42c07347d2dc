"""Characters of a formula to tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import FormulaError

LONGEST_FORMULA = 10_000  # characters
LARGEST_INTEGER = 2**63 - 1

WORDS = frozenset({"and", "or", "not", "if", "else", "true", "false", "null", "inf"})

TOKEN = re.compile(
    r"""
    (?P<blank>[ \n]+)
  | (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<text>'[^'\n]*'|"[^"\n]*")
  | (?P<sign>\.\.\.|\*\*|//|==|!=|<=|>=|[-+*/%@<>()\[\],.:])
    """,
    re.VERBOSE | re.ASCII,
)

FOREIGN = {
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`",
    "^": "a power is `**`",
    "?": "a choice is `a if condition else b`",
    "=": "an equality is `==`",
    "{": "a record is written as a YAML mapping, not in a formula",
    "$": "within a formula a name stands without `$`",
}


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is `number`, `text`, `name`, `end`, or the word or sign itself; `value` its text, number or content."""

    kind: str
    value: str | int | float
    start: int
    stop: int


def tokenize(text: str) -> list[Token]:
    """The tokens of a formula, with an `end` token behind them; raises FormulaError."""
    if len(text) > LONGEST_FORMULA:
        message = f"the formula has {len(text)} characters, at most {LONGEST_FORMULA} are read"
        raise FormulaError(message, 0, 1, limit="formula-length")
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise _unknown(text, at)
        start, at = at, match.end()
        word = match.group()
        match match.lastgroup:
            case "number":
                tokens.append(Token("number", _number(text, word, start), start, at))
            case "name":
                tokens.append(Token(word if word in WORDS else "name", word, start, at))
            case "text":
                tokens.append(Token("text", word[1:-1], start, at))
            case "sign":
                tokens.append(Token(word, word, start, at))
    tokens.append(Token("end", "", len(text), len(text)))
    return tokens


def _number(text: str, word: str, start: int) -> int | float:
    """The value of a number; refuses `12abc`, integers beyond 64 bits and floats beyond float64."""
    stop = start + len(word)
    following = text[stop : stop + 1]
    if following.isalnum() or following == "_":
        raise FormulaError(f"`{word}{following}` is neither a number nor a name", start, stop + 1)
    if word.isdigit():
        if len(word.lstrip("0")) > 19 or int(word) > LARGEST_INTEGER:
            raise FormulaError("the integer does not fit into 64 bits", start, stop, limit="integer")
        return int(word)
    value = float(word)
    if value == float("inf"):
        raise FormulaError("the number does not fit into float64", start, stop, "write `inf` for infinity", "float")
    return value


def _unknown(text: str, at: int) -> FormulaError:
    char = text[at]
    if char in "'\"":
        return FormulaError("the text is not closed", at, len(text))
    shown = char if char.isprintable() else f"U+{ord(char):04X}"
    return FormulaError(f"`{shown}` has no meaning in a formula", at, at + 1, FOREIGN.get(char))
