"""Tokens of the text form, and a cursor over them."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

MAX_TEXT = 256 * 2**20
MAX_DEPTH = 64
_TOKEN = re.compile(
    r"""(?P<space>(?:\s|\#[^\n]*)+)
      | (?P<value>%\d+)
      | (?P<text>"(?:[^"\\\n]|\\.)*")
      | (?P<hex>0x[0-9a-f]+)
      | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<mark>//|\.\.|==|[-+*{}\[\]():,=@])
    """,
    re.VERBOSE,
)


class TextError(ValueError):
    """Text that is no program; the message begins with line and column."""


class Token(NamedTuple):
    """``kind`` is value, text, hex, number, word, mark or end."""

    kind: str
    text: str
    at: int


class Cursor:
    """The tokens of a text, one after another. Raises `TextError` for a text over `MAX_TEXT` or no token."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEXT:
            raise TextError(f"1:1: the text has {len(text)} characters, more than {MAX_TEXT}")
        self.text = text
        self.tokens: list[Token] = []
        self.position = 0
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise self.error(f"unexpected {text[at : at + 10]!r}", at)
            kind = match.lastgroup or ""
            if kind != "space":
                self.tokens.append(Token(kind, match.group(), at))
            at = match.end()
        self.tokens.append(Token("end", "", len(text)))

    def error(self, message: str, at: int | None = None) -> TextError:
        """An error at an offset (the current token's by default)."""
        at = self.tokens[self.position].at if at is None else at
        line = self.text.count("\n", 0, at) + 1
        return TextError(f"{line}:{at - self.text.rfind(chr(10), 0, at)}: {message}")

    @property
    def now(self) -> Token:
        return self.tokens[self.position]

    def take(self) -> Token:
        """The current token; the cursor goes on, except at the end."""
        token = self.tokens[self.position]
        if token.kind != "end":
            self.position += 1
        return token

    def sees(self, text: str) -> bool:
        """Whether the current token is this mark or word."""
        token = self.tokens[self.position]
        return token.text == text and token.kind != "text"

    def accept(self, text: str) -> bool:
        """Take the current token if it is this mark or word."""
        if self.sees(text):
            self.position += 1
            return True
        return False

    def expect(self, text: str) -> None:
        """Take this mark or word. Raises `TextError`."""
        if not self.accept(text):
            raise self.error(f"{text!r} belongs here, not {self.describe()}")

    def expect_kind(self, kind: str, what: str) -> Token:
        """Take a token of a kind. Raises `TextError`."""
        if self.now.kind != kind:
            raise self.error(f"{what} belongs here, not {self.describe()}")
        return self.take()

    def string(self, what: str = "a text in quotes") -> str:
        """Take a text in quotes and return what it stands for. Raises `TextError`."""
        token = self.expect_kind("text", what)
        try:
            return str(json.loads(token.text))
        except ValueError as error:
            raise self.error(f"not a text: {error}", token.at) from error

    def integer(self) -> int:
        """Take a whole number with its sign. Raises `TextError`."""
        sign = -1 if self.accept("-") else 1
        token = self.expect_kind("number", "a whole number")
        if not token.text.isdigit() or len(token.text) > 20:
            raise self.error(f"{token.text[:40]} is no whole number of at most 20 digits", token.at)
        return sign * int(token.text)

    def describe(self) -> str:
        """The current token for a message."""
        return "the end" if self.now.kind == "end" else repr(self.now.text[:40])
