"""Programs as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..dims import LIMIT, Dim, Symbol, symbols
from ..graph import Graph, Loc, Node, Value
from ..init import initializer, plain
from ..op import OpError
from ..program import Entry, Parameter, Port, Program, State
from ..sharding import Sharding
from ..types import DType, Literal, TensorType

_SPELLED_OUT = 16
"""Elements of a literal that are printed as numbers; more are hexadecimal."""


def print_program(program: Program, *, locs: bool = True) -> str:
    """The text of a program, ending in a newline; ``locs`` says whether with places in the spec."""
    printer = _Printer(locs)
    sections = [f"program {quoted(program.name)}"]
    if program.sharding is not None:
        sections.append(printer.sharding(program.sharding))
    declared = [printer.parameter(parameter) for parameter in program.parameters.values()]
    declared += [printer.state(state) for state in program.state.values()]
    if declared:
        sections.append("\n".join(declared))
    if program.packed or program.prepare_inputs:
        sections.append(printer.prepare(program))
    sections += [printer.function(name, graph) for name, graph in program.functions.items()]
    sections += [printer.entry(entry) for entry in program.entries.values()]
    return "\n\n".join(sections) + "\n"


def print_graph(graph: Graph, *, locs: bool = True) -> str:
    """The text of one graph, as the block of a function."""
    return _Printer(locs).block(graph, _inputs(graph))


def neighbourhood(graph: Graph, node: Node, radius: int = 3) -> str:
    """The lines around a node of a graph (or of its regions), the node's own marked."""
    printer = _Printer(True)
    lines = printer.block(graph, _inputs(graph)).split("\n")
    at = printer.places[node]
    return "\n".join(
        f"{'>' if position == at else ' '} {lines[position]}"
        for position in range(max(0, at - radius), min(len(lines), at + radius + 1))
    )


def quoted(text: str) -> str:
    """A string in double quotes, ASCII only."""
    return json.dumps(text)


def symbol_list(found: Iterable[Symbol]) -> str:
    """The clause that declares symbols and their ranges; empty without any."""
    each = [
        found.name if (found.low, found.high) == (1, LIMIT) else f"{found.name}: {found.low}..{found.high}"
        for found in found
    ]
    return f" [{', '.join(each)}]" if each else ""


def symbols_of(graph: Graph) -> list[Symbol]:
    """Every symbol in the types and attributes of a graph, by name."""
    found: set[Symbol] = set()
    for value in graph.inputs:
        found |= _symbols_in(value.type)
    for node in graph.walk():
        for value in node.outputs:
            found |= _symbols_in(value.type)
        for attribute in node.op.fields().values():
            found |= _symbols_in(attribute)
        for region in node.regions:
            for value in region.inputs:
                found |= _symbols_in(value.type)
    return sorted(found, key=lambda symbol: symbol.key())


def _symbols_in(value: Any) -> set[Symbol]:
    if isinstance(value, Dim):
        return symbols(value)
    if isinstance(value, TensorType):
        return _symbols_in(value.shape)
    if isinstance(value, tuple):
        return set().union(*map(_symbols_in, value)) if value else set()
    return set()


@dataclass(slots=True)
class _Printer:
    locs: bool
    numbers: dict[Value, int] = field(default_factory=dict)
    places: dict[Node, int] = field(default_factory=dict)
    """The line of each node in its block."""

    def sharding(self, sharding: Sharding) -> str:
        lines = [f"  mesh {quoted(name)} {size}" for name, size in sharding.mesh.items()]
        for word, placed in (("param", sharding.params), ("value", sharding.values)):
            lines += [f"  {word} {quoted(k)} {attribute_text(p.axes)}{self.at(p.loc)}" for k, p in placed.items()]
        return "\n".join(["sharding {", *lines, "}"])

    def parameter(self, parameter: Parameter) -> str:
        kind = "" if parameter.trainable else " frozen"
        init = attribute_text(plain(initializer(parameter.init)))
        return f"parameter {quoted(parameter.path)}: {parameter.type} init {init}{kind}{self.at(parameter.loc)}"

    def state(self, state: State) -> str:
        header = symbol_list(sorted(_symbols_in(state.type), key=lambda symbol: symbol.key()))
        initial = attribute_text(state.initial)
        span = "" if state.range is None else f" range {state.range[0]}..{state.range[1]}"
        return f"state {quoted(state.name)}{header}: {state.type} = {initial}{span}{self.at(state.loc)}"

    def prepare(self, program: Program) -> str:
        heads = [
            ("param", f" {quoted(name)}: {value.type}")
            for name, value in zip(program.prepare_inputs, program.prepare.inputs, strict=True)
        ]
        return "prepare " + self.block(program.prepare, heads, (), [f"pack {quoted(name)}" for name in program.packed])

    def function(self, name: str, graph: Graph) -> str:
        return f"function {quoted(name)}{symbol_list(symbols_of(graph))} " + self.block(graph, _inputs(graph))

    def entry(self, entry: Entry) -> str:
        values = iter(entry.graph.inputs)
        heads = [("input", self.port(port, next(values))) for port in entry.inputs]
        heads += [("param", f" {quoted(name)}: {next(values).type}") for name in entry.params]
        heads += [("state", f" {quoted(name)}: {next(values).type}") for name in entry.states]
        guards = [f"guard {guard.left} == {guard.right}{self.at(guard.loc)}" for guard in entry.guards]
        tails = [f"output {quoted(name)}" for name in entry.outputs]
        tails += [f"update {quoted(name)}" for name in entry.updates]
        title = f"entry {quoted(entry.name)}{symbol_list(entry.symbols)} "
        return title + self.block(entry.graph, heads, guards, tails)

    def port(self, port: Port, value: Value) -> str:
        text = f" {quoted(port.name)}: {value.type}"
        if port.range is not None:
            text += f" range {port.range[0]}..{port.range[1]}"
        if port.source is not None:
            text += f" from {attribute_text(port.source)}"
        if port.doc:
            text += f" doc {quoted(port.doc)}"
        return text + self.at(port.loc)

    def block(
        self,
        graph: Graph,
        heads: Sequence[tuple[str, str]],
        guards: Sequence[str] = (),
        tails: Sequence[str] | None = None,
    ) -> str:
        """A graph in braces. A head is what stands before and after the name of an input."""
        self.numbers = {}
        lines: list[str] = ["{"]
        self.lines(graph, heads, guards, tails, "", lines)
        return "\n".join(lines)

    def lines(
        self,
        graph: Graph,
        heads: Sequence[tuple[str, str]],
        guards: Sequence[str],
        tails: Sequence[str] | None,
        indent: str,
        lines: list[str],
    ) -> None:
        inner = indent + "  "
        for value, (before, after) in zip(graph.inputs, heads, strict=True):
            lines.append(f"{inner}{before} {self.define(value)}{after}")
        lines += [inner + guard for guard in guards]
        for node in graph.nodes:
            self.places[node] = len(lines)
            lines.append(inner + self.node(node))
            for region in node.regions:
                lines[-1] += " {"
                self.lines(region, _inputs(region), (), None, inner, lines)
        for position, value in enumerate(graph.outputs):
            tail = "output" if tails is None else tails[position]
            lines.append(f"{inner}{tail} {self.name(value)}")
        lines.append(indent + "}")

    def define(self, value: Value) -> str:
        self.numbers[value] = len(self.numbers)
        return self.name(value)

    def name(self, value: Value) -> str:
        # A broken graph can still be printed: that is when it is needed most.
        return f"%{self.numbers[value]}" if value in self.numbers else "%undefined"

    def node(self, node: Node) -> str:
        operands = ", ".join(self.operands(node))
        fields = _fields(node)
        attributes = f" {{{', '.join(fields)}}}" if fields else ""
        results = ", ".join(self.define(value) for value in node.outputs)
        types = ", ".join(str(value.type) for value in node.outputs)
        return f"{results} = {node.op.name}({operands}){attributes} : {types}{self.at(node.loc)}"

    def operands(self, node: Node) -> list[str]:
        texts: list[str] = []
        try:
            arguments = node.op.arguments(node.inputs)
        except IndexError:
            return [self.name(value) for value in node.inputs]
        for operand, value in zip(node.op.operands, arguments, strict=True):
            if operand.endswith("*"):
                texts += [self.name(each) for each in value]
            elif operand.endswith("?"):
                texts += [f"{operand[:-1]}={self.name(value)}"] if value is not None else []
            else:
                texts.append(self.name(value))
        return texts

    def at(self, loc: Loc | None) -> str:
        if loc is None or not self.locs:
            return ""
        label = f" {quoted(loc.label)}" if loc.label else ""
        return f" @{quoted(loc.file)}:{loc.line}:{loc.column}{label}"


def _inputs(graph: Graph) -> list[tuple[str, str]]:
    return [("input", f": {value.type}") for value in graph.inputs]


def _fields(node: Node) -> list[str]:
    """The attributes that have to be told: neither at their default nor what the operands make of it."""
    op = node.op
    defaults = {
        key: info.get_default(call_default_factory=True)
        for key, info in type(op).model_fields.items()
        if key != "present" and not info.is_required()
    }
    told = [
        key for key, value in op.fields().items() if key != "present" and not _same(value, defaults.get(key, _NONE))
    ]
    optional = [key for key in told if key in defaults]
    if optional:
        told = [key for key in told if key not in _implied(node, defaults, optional)]
    return [f"{key}: {attribute_text(getattr(op, key))}" for key in told]


_NONE = object()


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and value == default


def _implied(node: Node, defaults: Mapping[str, Any], keys: Sequence[str]) -> set[str]:
    """Of these attributes, those that the op fills in by itself from the types of its operands."""
    try:
        arguments = node.op.arguments([value.type for value in node.inputs])
        filled = node.op.model_copy(update={key: defaults[key] for key in keys}).canonical(*arguments)
        implied = {key for key in keys if _same(getattr(node.op, key), getattr(filled, key))}
        again = node.op.model_copy(update={key: defaults[key] for key in implied}).canonical(*arguments)
    except (OpError, IndexError):
        return set()
    return implied if again == node.op else set()


def attribute_text(value: Any) -> str:
    """An attribute or plain data as text. Raises `TypeError` for what has none."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case DType():
            return value.value
        case str():
            return quoted(value)
        case int():
            return str(int(value))
        case float():
            return repr(float(value))
        case Dim() | TensorType():
            return str(value)
        case Literal():
            return f"{value.type}({_elements(value)})"
        case tuple() | list():
            return f"[{', '.join(map(attribute_text, value))}]"
        case Mapping():
            return f"{{{', '.join(f'{quoted(key)}: {attribute_text(item)}' for key, item in value.items())}}}"
    raise TypeError(f"{type(value).__name__} has no text form")


def _elements(literal: Literal) -> str:
    if literal.type.elements > _SPELLED_OUT or len(literal.data) != literal.type.nbytes:
        return f"0x{literal.data.hex()}"
    array = literal.array().ravel()
    if not literal.type.dtype.is_float:
        return ", ".join(map(attribute_text, array.tolist()))
    # What NaN carries beside being none is not told by its text.
    if np.isnan(array.astype(np.float64)).any():
        return f"0x{literal.data.hex()}"
    return ", ".join(map(_shortest, array))


def _shortest(item: np.generic) -> str:
    """The shortest text that reads back as the number: 0.1 for the float32 that is next to it."""
    wide = float(item)
    for digits in range(1, 17):
        short = float(f"{wide:.{digits}g}")
        if item.dtype.type(short) == item:
            return repr(short)
    return repr(wide)
