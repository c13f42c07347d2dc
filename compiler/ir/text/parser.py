"""Programs from text. Own parser: nothing in a text is ever evaluated.

What is read is well formed; whether it is sound, `compiler.ir.verify` says.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ...ops import OPS
from ..dims import Symbol
from ..graph import Graph, Guard, Loc, Node, Value
from ..init import initializer, plain
from ..op import Op, OpError
from ..program import Entry, Parameter, Port, Program, State
from ..sharding import Placement, Sharding
from ..types import TensorType
from .lexer import MAX_DEPTH, Cursor, TextError, Token
from .values import Values, symbol_clause

__all__ = ["TextError", "parse_program"]


def parse_program(text: str) -> Program:
    """The program that a text spells. Raises `TextError`, which begins with line and column."""
    cursor = Cursor(text)
    cursor.expect("program")
    reader = _Reader(cursor, cursor.string("a name in quotes"))
    sections: dict[str, Callable[[], None]] = {
        "parameter": reader.parameter,
        "state": reader.state,
        "prepare": reader.prepare,
        "function": reader.function,
        "entry": reader.entry,
        "sharding": reader.sharding,
    }
    while cursor.now.kind != "end":
        token = cursor.expect_kind("word", "a section")
        if token.text not in sections:
            raise cursor.error(f"{token.text} is no section; they are {', '.join(sections)}", token.at)
        sections[token.text]()
    return reader.program()


@dataclass(slots=True)
class _Block:
    """What a pair of braces held. ``inputs`` and ``outputs`` carry the names that stood with the values, if any."""

    graph: Graph
    inputs: list[tuple[str, str, Port | None]]
    outputs: list[tuple[str, str]]
    guards: list[Guard]


@dataclass(slots=True)
class _Reader:
    cursor: Cursor
    name: str
    parameters: dict[str, Parameter] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    functions: dict[str, Graph] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    prepared: _Block | None = None
    spread: Sharding | None = None

    def program(self) -> Program:
        program = Program(
            self.name, self.entries, self.functions, self.parameters, state=self.states, sharding=self.spread
        )
        if self.prepared is None:
            return program
        return Program(
            self.name,
            self.entries,
            self.functions,
            self.parameters,
            self.prepared.graph,
            tuple(name for _, name, _ in self.prepared.inputs),
            tuple(name for _, name in self.prepared.outputs),
            self.states,
            self.spread,
        )

    # ---- sections

    def sharding(self) -> None:
        cursor = self.cursor
        if self.spread is not None:
            raise cursor.error("a program has one sharding")
        cursor.expect("{")
        mesh: dict[str, int] = {}
        placed: dict[str, dict[str, Placement]] = {"param": {}, "value": {}}
        while not cursor.accept("}"):
            token = cursor.expect_kind("word", "mesh, param or value")
            if token.text == "mesh":
                name = self.fresh(mesh, "mesh axis")
                mesh[name] = cursor.integer()
            elif token.text in placed:
                name = self.fresh(placed[token.text], token.text)
                placed[token.text][name] = Placement(self.axes(), self.loc())
            else:
                raise cursor.error(f"mesh, param or value belongs here, not {token.text[:80]}", token.at)
        self.spread = Sharding(mesh, placed["param"], placed["value"])

    def axes(self) -> tuple[str | None, ...]:
        at = self.cursor.now.at
        axes = Values(self.cursor, {}).attribute()
        if not isinstance(axes, tuple) or not all(axis is None or isinstance(axis, str) for axis in axes):
            raise self.cursor.error("a list of mesh axes in quotes and nulls belongs here", at)
        return axes

    def fresh(self, seen: Mapping[str, Any], what: str) -> str:
        at = self.cursor.now.at
        name = self.cursor.string("a name in quotes")
        if name in seen:
            raise self.cursor.error(f"the {what} {name[:80]!r} stands here twice", at)
        return name

    def parameter(self) -> None:
        path = self.fresh(self.parameters, "parameter")
        values = Values(self.cursor, {})
        self.cursor.expect(":")
        type = values.type()
        self.cursor.expect("init")
        at = self.cursor.now.at
        try:
            init = plain(initializer(values.attribute()))
        except ValueError as error:
            raise error if isinstance(error, TextError) else self.cursor.error(str(error), at) from error
        trainable = not self.cursor.accept("frozen")
        self.parameters[path] = Parameter(path, type, init, trainable, self.loc())

    def state(self) -> None:
        name = self.fresh(self.states, "state")
        values = Values(self.cursor, symbol_clause(self.cursor))
        self.cursor.expect(":")
        type = values.type()
        self.cursor.expect("=")
        at = self.cursor.now.at
        initial = values.attribute()
        if not isinstance(initial, (bool, int, float)):
            raise self.cursor.error("the initial value of a state is a number", at)
        self.states[name] = State(name, type, initial, range=range_clause(self.cursor), loc=self.loc())

    def prepare(self) -> None:
        if self.prepared is not None:
            raise self.cursor.error("a program has one prepare graph")
        self.prepared = _BlockReader(self.cursor, {}).block({"param"}, {"pack"})

    def function(self) -> None:
        name = self.fresh(self.functions, "function")
        block = _BlockReader(self.cursor, symbol_clause(self.cursor)).block(set(), {"output"})
        self.functions[name] = block.graph

    def entry(self) -> None:
        name = self.fresh(self.entries, "entry")
        symbols = symbol_clause(self.cursor)
        block = _BlockReader(self.cursor, symbols).block({"input", "param", "state"}, {"output", "update"})

        def named(items: list[Any], kind: str) -> tuple[str, ...]:
            return tuple(item[1] for item in items if item[0] == kind)

        for items, order in ((block.inputs, ("input", "param", "state")), (block.outputs, ("output", "update"))):
            kinds = [item[0] for item in items]
            if kinds != sorted(kinds, key=order.index):
                raise self.cursor.error(f"entry {name[:80]!r}: its ends stand in the order {', '.join(order)}")
        self.entries[name] = Entry(
            name,
            block.graph,
            tuple(port for _, _, port in block.inputs if port is not None),
            named(block.inputs, "param"),
            named(block.inputs, "state"),
            named(block.outputs, "output"),
            named(block.outputs, "update"),
            tuple(symbols.values()),
            tuple(block.guards),
        )

    def loc(self) -> Loc | None:
        return _location(self.cursor)


def _location(cursor: Cursor) -> Loc | None:
    if not cursor.accept("@"):
        return None
    file = cursor.string("a file in quotes")
    cursor.expect(":")
    line = cursor.integer()
    cursor.expect(":")
    column = cursor.integer()
    label = cursor.string() if cursor.now.kind == "text" else ""
    return Loc(file, line, column, label)


class _BlockReader:
    """Reads graphs in braces; the numbers of values run through nested regions, which see their own only."""

    def __init__(self, cursor: Cursor, symbols: Mapping[str, Symbol]) -> None:
        self.cursor = cursor
        self.values = Values(cursor, symbols)
        self.defined: set[str] = set()
        self.locs: dict[Loc, Loc] = {}

    def block(self, heads: set[str], tails: set[str], depth: int = 0) -> _Block:
        """A block whose inputs are named by these words; without any, inputs and outputs have no names."""
        cursor = self.cursor
        if depth > MAX_DEPTH:
            raise cursor.error(f"regions are nested deeper than {MAX_DEPTH}")
        cursor.expect("{")
        known: dict[str, Value] = {}
        inputs: list[Value] = []
        outputs: list[Value] = []
        nodes: list[Node] = []
        block = _Block(Graph((), (), ()), [], [], [])
        while not cursor.accept("}"):
            token = cursor.now
            if outputs and token.text not in tails:
                raise cursor.error(f"{' or '.join(sorted(tails))} belongs here, not {cursor.describe()}")
            if token.kind == "value":
                nodes.append(self.node(known, depth))
            elif token.text in (heads or {"input"}) and not nodes and not block.guards:
                cursor.take()
                value, head = self.head(token.text, bool(heads), known)
                inputs.append(value)
                block.inputs.append(head)
            elif token.text == "guard" and "input" in heads and not nodes:
                cursor.take()
                block.guards.append(self.guard())
            elif token.text in tails:
                cursor.take()
                name = cursor.string("a name in quotes") if heads else ""
                outputs.append(self.use(known))
                block.outputs.append((token.text, name))
            else:
                raise cursor.error(f"a node, an input or an output belongs here, not {cursor.describe()}")
        block.graph = Graph(tuple(inputs), tuple(nodes), tuple(outputs))
        return block

    def head(self, kind: str, named: bool, known: dict[str, Value]) -> tuple[Value, tuple[str, str, Port | None]]:
        cursor = self.cursor
        number = self.new()
        name = cursor.string("a name in quotes") if named else ""
        cursor.expect(":")
        type = self.values.type()
        known[number.text] = value = Value(type)
        port = self.port(name, type) if named and kind == "input" else None
        return value, (kind, name, port)

    def port(self, name: str, type: TensorType) -> Port:
        cursor = self.cursor
        source: Mapping[str, Any] | None = None
        range = range_clause(cursor)
        if cursor.accept("from"):
            at = cursor.now.at
            given = _lists(self.values.attribute())
            if not isinstance(given, dict):
                raise cursor.error("a mapping belongs here", at)
            source = given
        doc = cursor.string() if cursor.accept("doc") else ""
        return Port(name, type, range, source, doc, _location(cursor))

    def guard(self) -> Guard:
        left = self.values.dim()
        self.cursor.expect("==")
        return Guard(left, self.values.dim(), _location(self.cursor))

    def new(self) -> Token:
        token = self.cursor.expect_kind("value", "a value")
        if token.text in self.defined:
            raise self.cursor.error(f"{token.text} is defined twice", token.at)
        self.defined.add(token.text)
        return token

    def use(self, known: Mapping[str, Value]) -> Value:
        token = self.cursor.expect_kind("value", "a value")
        if token.text not in known:
            hint = "another graph defines it" if token.text in self.defined else "nothing before defines it"
            raise self.cursor.error(f"{token.text}: {hint}", token.at)
        return known[token.text]

    def node(self, known: dict[str, Value], depth: int) -> Node:
        cursor = self.cursor
        results = [self.new()]
        while cursor.accept(","):
            results.append(self.new())
        cursor.expect("=")
        word = cursor.expect_kind("word", "an op")
        kind = OPS.get(word.text)
        if kind is None:
            near = difflib.get_close_matches(word.text, OPS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise cursor.error(f"no op is called {word.text[:80]}{hint}", word.at)
        inputs, present = self.operands(kind, known)
        op = self.op(kind, present, word)
        with suppress(OpError):
            # What does not fit is for `verify` to tell, which shows the nodes around.
            op = op.canonical(*op.arguments([value.type for value in inputs]))
        cursor.expect(":")
        types = [self.values.type()]
        while cursor.accept(","):
            types.append(self.values.type())
        if len(types) != len(results):
            raise cursor.error(f"{word.text} has {len(results)} results and {len(types)} types", word.at)
        loc = _location(cursor)
        if loc is not None:
            loc = self.locs.setdefault(loc, loc)
        regions: list[Graph] = []
        while cursor.sees("{"):
            regions.append(self.block(set(), {"output"}, depth + 1).graph)
        outputs = tuple(Value(type) for type in types)
        for token, value in zip(results, outputs, strict=True):
            known[token.text] = value
        return Node(op, inputs, outputs, tuple(regions), loc)

    def operands(self, kind: type[Op], known: Mapping[str, Value]) -> tuple[tuple[Value, ...], tuple[str, ...]]:
        """The operands in declared order, and the names of the optional ones."""
        cursor = self.cursor
        cursor.expect("(")
        start = cursor.now.at
        given: list[tuple[str, Value]] = []
        while not cursor.accept(")"):
            if given:
                cursor.expect(",")
            name = ""
            if cursor.now.kind == "word":
                name = cursor.take().text
                cursor.expect("=")
            given.append((name, self.use(known)))
        inputs: list[Value] = []
        present: list[str] = []
        for operand in kind.operands:
            if operand.endswith("*"):
                while given and not given[0][0]:
                    inputs.append(given.pop(0)[1])
            elif operand.endswith("?"):
                if given and given[0][0] == operand[:-1]:
                    present.append(operand[:-1])
                    inputs.append(given.pop(0)[1])
            elif given and not given[0][0]:
                inputs.append(given.pop(0)[1])
            else:
                raise cursor.error(f"{kind.name} needs {operand}; its operands are {', '.join(kind.operands)}", start)
        if given:
            raise cursor.error(f"{kind.name} takes {', '.join(kind.operands) or 'no operands'}", start)
        return tuple(inputs), tuple(present)

    def op(self, kind: type[Op], present: tuple[str, ...], word: Token) -> Op:
        cursor = self.cursor
        fields: dict[str, Any] = {}
        if cursor.accept("{"):
            while not cursor.accept("}"):
                if fields:
                    cursor.expect(",")
                key = cursor.expect_kind("word", "an attribute")
                if key.text == "present" or key.text not in kind.model_fields:
                    names = ", ".join(name for name in kind.model_fields if name != "present")
                    raise cursor.error(f"{kind.name} has no attribute {key.text}; it has {names or 'none'}", key.at)
                if key.text in fields:
                    raise cursor.error(f"{key.text} stands here twice", key.at)
                cursor.expect(":")
                fields[key.text] = self.values.attribute()
        try:
            return kind(**fields, present=present)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or kind.name
            raise cursor.error(f"{kind.name}, {where}: {first['msg']}", word.at) from error


def _lists(value: Any) -> Any:
    """Plain data has lists where attributes have tuples."""
    if isinstance(value, tuple):
        return [_lists(item) for item in value]
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return value


def range_clause(cursor: Cursor) -> tuple[int, int] | None:
    """The clause that bounds the values of an input or a state, if there is one."""
    if not cursor.accept("range"):
        return None
    low = cursor.integer()
    cursor.expect("..")
    return low, cursor.integer()
