"""YAML text to a tree that knows its places.

Reads PyYAML's events in one loop: nothing is composed or constructed by PyYAML, depth and size are bounded, and what
YAML offers beyond plain data (anchors, aliases, tags, several documents) is refused.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import yaml

from .diagnostics import Collector, SpecError, error_at
from .limits import DEEPEST_YAML, LARGEST_TEXT, LONGEST_KEY, MOST_NODES
from .source import Source, Span
from .tree import Plain, YamlList, YamlMap, YamlNode, YamlScalar
from .yaml_scalars import resolve

# Only its events are used. The C parser is several times faster, and not everywhere built.
Parser: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

# Control characters, line separators that editors and YAML count differently, and marks that reorder what is shown.
REFUSED = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
QUOTING = "in [ ] and { } a text with a comma, bracket or brace needs quotes"
SPACE = "a blank belongs behind the colon of a key"


def read_tree(data: bytes | str, name: str) -> YamlMap:
    """The mapping that a YAML file holds; `name` is how errors call the file. Raises SpecError."""
    return read_source(decode(data, name))


def read_source(source: Source) -> YamlMap:
    """The mapping that a decoded YAML text holds. Raises SpecError with all mistakes that leave the rest readable."""
    try:
        return _Reader(source).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        span = source.whole() if mark is None else _point(source, mark.line + 1, mark.column + 1)
        raise error_at(span, *_reworded(error)) from None
    except yaml.YAMLError as error:
        raise error_at(source.whole(), f"this is not YAML: {error}") from None


def decode(data: bytes | str, name: str) -> Source:
    """The text of a file, with `\\n` as the only line break; refuses what is not plain UTF-8 text."""
    if len(data) > LARGEST_TEXT:
        message = f"the file has {len(data)} bytes, at most {LARGEST_TEXT} are read"
        raise error_at(Source(name, "").whole(), message, limit="text")
    if isinstance(data, bytes):
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            span = Span(Source(name, ""), line, 1, line, 1)
            raise error_at(span, f"the file is not UTF-8: byte 0x{data[error.start]:02x}") from None
    else:
        text = data
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    source = Source(name, text)
    refused = REFUSED.search(text)
    if refused:
        line = text.count("\n", 0, refused.start()) + 1
        column = refused.start() - text.rfind("\n", 0, refused.start())
        message = f"the character U+{ord(refused.group()):04X} stands in the file"
        if refused.group() == "\t":
            message = "a tab stands in the file"
        raise error_at(
            Span(source, line, column, line, column + 1), message, "use blanks" if "tab" in message else None
        )
    return source


class _Open:
    """A list or mapping that is being read. `key` is the key of a mapping that waits for its value."""

    __slots__ = ("flow", "items", "key", "key_spans", "mark")

    def __init__(self, is_map: bool, flow: bool, mark: Any) -> None:
        self.items: Any = {} if is_map else []
        self.flow = flow
        self.mark = mark
        self.key: YamlScalar | None = None
        self.key_spans: dict[str, Span] = {}


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.parser = Parser(source.text)
        self.open: list[_Open] = []
        self.nodes = 0
        self.root: YamlNode | None = None
        self.collector = Collector()

    def document(self) -> YamlMap:
        """Reads all events; the result is the one document of the file."""
        documents = 0
        while (event := self.parser.get_event()) is not None:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self.scalar(event)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self.start(event, kind is yaml.MappingStartEvent)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self.end(event)
            elif kind is yaml.AliasEvent:
                self.alias(event)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                self.document_start(event, documents)
        self.collector.raise_any()
        if self.root is None:
            raise error_at(self.source.whole(), "the file is empty")
        if not isinstance(self.root, YamlMap):
            raise error_at(self.root.span, "the document is a mapping, which begins with `netwright: 1`")
        return self.root

    def span(self, event: Any) -> Span:
        start, end = event.start_mark, event.end_mark
        return Span(self.source, start.line + 1, start.column + 1, end.line + 1, end.column + 1)

    def document_start(self, event: Any, count: int) -> None:
        if count > 1:
            raise error_at(self.span(event), "a second document begins here", "a file holds one document")
        if event.version or event.tags:
            raise error_at(self.source.whole(), "directives are refused", "leave out the lines that start with %")

    def alias(self, event: Any) -> None:
        hint = f"a text that starts with `*` needs quotes: '*{event.anchor}'"
        self.collector.report(self.span(event), f"`*{event.anchor}` is an alias, which is refused", hint)
        self.place(YamlScalar("", "", self.span(event)))

    def plain_data(self, event: Any) -> None:
        """Refuses anchors and tags, and more nodes than the limit."""
        if event.anchor is not None:
            hint = f"a text that starts with `&` needs quotes: '&{event.anchor}'"
            self.collector.report(self.span(event), f"`&{event.anchor}` is an anchor, which is refused", hint)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            hint = f"a text that starts with `!` needs quotes: '{tag}'"
            self.collector.report(self.span(event), f"`{tag}` is a tag, which is refused", hint)
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise error_at(self.span(event), f"the file has more than {MOST_NODES} nodes", limit="nodes")

    def scalar(self, event: Any) -> None:
        self.plain_data(event)
        span = self.span(event)
        text, style = event.value, event.style or ""
        value: Plain = text
        try:
            if style == "" and (event.implicit[0] or not text):
                value = resolve(text, span) if text else self.empty(span)
            elif style == '"' and REFUSED.search(text.replace("\t", " ")):
                self.collector.report(span, "the text contains a control character")
        except SpecError as error:
            self.collector.add(error)
        self.place(YamlScalar(value, text, span, style))

    def place(self, scalar: YamlScalar) -> None:
        """A scalar is a key if it stands where a key is due, otherwise a value."""
        opened = self.open[-1] if self.open else None
        if opened is not None and opened.key is None and type(opened.items) is dict:
            self.key(opened, scalar)
        else:
            self.add(scalar)

    def key(self, opened: _Open, scalar: YamlScalar) -> None:
        if len(scalar.text) > LONGEST_KEY:
            raise error_at(scalar.span, f"a key has at most {LONGEST_KEY} characters", limit="key")
        # An integer is a segment of a path; as a key of the language it is refused where names are checked.
        if not isinstance(scalar.value, str) and type(scalar.value) is not int:
            self.collector.report(scalar.span, f"the key `{scalar.text}` is not text", f"quote it: '{scalar.text}'")
        if scalar.text in opened.items:
            first = opened.key_spans[scalar.text]
            message = f"the key `{scalar.text[:60]}` stands twice in this mapping, first in line {first.start_line}"
            self.collector.report(scalar.span, message)
        opened.key = scalar

    def empty(self, span: Span) -> NoReturn:
        """Refuses a value or key that is not there."""
        opened = self.open[-1] if self.open else None
        if opened is None:
            raise error_at(self.source.whole(), "the file is empty")
        key = opened.key
        if key is None:
            what = "a key is missing here" if type(opened.items) is dict else "an item of the list is empty"
            raise error_at(span, what)
        hint = "an empty list is [], an empty mapping {}"
        if opened.flow:
            hint = self.quoting(opened, key) or (SPACE if ":" in key.text else QUOTING)
        raise error_at(key.span, f"the key `{key.text[:60]}` has no value", hint)

    def quoting(self, opened: _Open, key: YamlScalar) -> str | None:
        """How to quote a formula that a comma has torn apart: `{value: max(a, b)}`."""
        if not opened.items:
            return None
        name, before = next(reversed(opened.items.items()))
        if not isinstance(before, YamlScalar) or before.style or before.text.count("(") <= before.text.count(")"):
            return None
        rest = self.source.lines[before.span.start_line - 1][before.span.start_column - 1 :]
        depth = 0
        for at, char in enumerate(rest):
            depth += (char == "(") - (char == ")")
            if char == ")" and depth == 0:
                return f"a text with a comma needs quotes here: {{{name}: '{rest[: at + 1]}'}}"
        return None

    def start(self, event: Any, is_map: bool) -> None:
        self.plain_data(event)
        if self.open and type(self.open[-1].items) is dict and self.open[-1].key is None:
            raise error_at(self.span(event), "a key is text, not a list or mapping", QUOTING)
        if len(self.open) >= DEEPEST_YAML:
            message = f"lists and mappings stand within each other more than {DEEPEST_YAML} deep"
            raise error_at(self.span(event), message, limit="depth")
        self.open.append(_Open(is_map, bool(event.flow_style), event.start_mark))

    def end(self, event: Any) -> None:
        opened = self.open.pop()
        start, end = opened.mark, event.end_mark
        line, column = (end.line, end.column) if opened.flow else self.last_place(opened, end)
        span = Span(self.source, start.line + 1, start.column + 1, line + 1, column + 1)
        if type(opened.items) is dict:
            self.add(YamlMap(opened.items, span, opened.key_spans))
        else:
            self.add(YamlList(opened.items, span))

    def last_place(self, opened: _Open, end: Any) -> tuple[int, int]:
        """Where a block ends: with its last item, not with the blank lines and comments behind it."""
        items = opened.items
        if not items:
            return end.line, end.column
        last = items[next(reversed(items))] if type(items) is dict else items[-1]
        return last.span.end_line - 1, last.span.end_column - 1

    def add(self, node: YamlNode) -> None:
        """Puts a node where it belongs."""
        if not self.open:
            self.root = node
            return
        opened = self.open[-1]
        if type(opened.items) is dict:
            assert opened.key is not None
            opened.items[opened.key.text] = node
            opened.key_spans[opened.key.text] = opened.key.span
            opened.key = None
        else:
            opened.items.append(node)


def _point(source: Source, line: int, column: int) -> Span:
    """One character; the end of the text where the parser stands behind it."""
    lines = source.text.rstrip(" \n").split("\n")
    if line > len(lines):
        line, column = len(lines), len(lines[-1]) + 1
    return Span(source, line, column, line, column + 1)


REWORDED = (
    ("mapping values are not allowed", "a `:` stands where no key can be", "a text with `: ` needs quotes"),
    ("expected ',' or '}'", "a `,` or `}` is missing here", QUOTING),
    ("expected ',' or ']'", "a `,` or `]` is missing here", QUOTING),
    ("expected <block end>", "the indentation does not fit, or a text needs quotes", None),
    ("expected '-' indicator", "the indentation does not fit the list", None),
    ("could not find expected ':'", "a `:` is missing behind the key", "a text of several lines needs quotes or `>`"),
    ("cannot start any token", "this character cannot begin a text", "quote the text"),
    ("expected key", "a key is missing here, or the indentation does not fit", None),
    ("expected node content", "a value is missing here", QUOTING),
    ("unexpected ':'", "a `:` stands where no key can be", "a text with `:` needs quotes"),
    ("entries are not allowed", "an item of a list stands where none can be", "a text starting with `- ` needs quotes"),
    ("mapping keys are not allowed", "a `?` stands where no key can be", "a text that starts with `?` needs quotes"),
    ("expected comment or line break", "the text ends before this", "quote the text"),
    ("expected whitespace or line break", "the text ends before this", "quote the text"),
    ("expected <document start>", "the document ends before this", "the indentation may not fit"),
    ("unexpected end of stream", "the quotes are not closed", None),
    ("unknown escape character", "the escape is unknown", "in single quotes a backslash stands for itself"),
    ("undefined alias", "an alias is refused", "a text that starts with `*` needs quotes"),
    ("alphabetic or numeric character", "`*` and `&` begin an alias or anchor, which are refused", "quote the text"),
)


def _reworded(error: yaml.MarkedYAMLError) -> tuple[str, str | None]:
    """Message and hint for what the YAML parser says."""
    problem = str(error.problem or error.context or "this is not YAML")
    for part, message, hint in REWORDED:
        if part in problem:
            return message, hint
    return f"this is not YAML: {problem}", None
