"""Whether a program is sound: what every pass relies on and must keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..ops.control import Call
from ..ops.source import Constant
from .dims import AnyDim, Symbol, decide
from .graph import Graph, Node, Value, infer_types
from .op import OpError, Shapes
from .program import Entry, Program
from .text.printer import neighbourhood, symbols_of
from .types import TensorType


class VerifyError(Exception):
    """A program that is not sound: names the pass, the graph and the node, and shows the nodes around it."""


def verify(program: Program, after: str = "") -> None:
    """Raises `VerifyError` for an unsound program. ``after`` is the pass that made it, for the message."""
    try:
        _program(program)
    except _Fault as fault:
        origin = f"after {after}: " if after else ""
        raise VerifyError(f"{origin}{fault}") from fault


def verify_graph(graph: Graph, functions: Mapping[str, Graph] | None = None, after: str = "") -> None:
    """As `verify`, for one graph that may call ``functions``."""
    try:
        _Checker("the graph", functions or {}, ()).graph(graph)
    except _Fault as fault:
        origin = f"after {after}: " if after else ""
        raise VerifyError(f"{origin}{fault}") from fault


class _Fault(Exception):
    pass


def _need(holds: bool, message: str) -> None:
    if not holds:
        raise _Fault(message)


def _program(program: Program) -> None:
    types = program.tensor_types()
    for path, parameter in program.parameters.items():
        _need(parameter.path == path, f"parameter {path!r} calls itself {parameter.path!r}")
        _need(parameter.type.is_static, f"parameter {path!r} has a size that is not known: {parameter.type}")
    for name, state in program.state.items():
        _need(state.name == name, f"state {name!r} calls itself {state.name!r}")
    _prepare(program)
    functions: dict[str, Graph] = {}
    for name, graph in program.functions.items():
        _Checker(f"function {name!r}", functions, ()).graph(graph)
        functions[name] = graph
    _need(bool(program.entries), "the program has no entry")
    for name, entry in program.entries.items():
        _need(entry.name == name, f"entry {name!r} calls itself {entry.name!r}")
        _entry(program, entry, types)
        guards = [(guard.left, guard.right) for guard in entry.guards]
        _Checker(f"entry {name!r}", functions, guards).graph(entry.graph)


def _prepare(program: Program) -> None:
    graph = program.prepare
    _distinct("prepare", "input", program.prepare_inputs)
    _distinct("prepare", "packed tensor", program.packed)
    _need(len(graph.inputs) == len(program.prepare_inputs), "prepare: its inputs and their names differ in number")
    for path, value in zip(program.prepare_inputs, graph.inputs, strict=True):
        _need(path in program.parameters, f"prepare: there is no parameter {path!r}")
        _same_type(f"prepare: parameter {path!r}", program.parameters[path].type, value.type)
    _need(len(graph.outputs) == len(program.packed), "prepare: its outputs and their names differ in number")
    for name, value in zip(program.packed, graph.outputs, strict=True):
        _need(name not in program.parameters, f"prepare: {name!r} is packed and public")
        _need(value.type.is_static, f"prepare: {name!r} has a size that is not known: {value.type}")
    _Checker("prepare", program.functions, ()).graph(graph)


def _entry(program: Program, entry: Entry, types: Mapping[str, TensorType]) -> None:
    what = f"entry {entry.name!r}"
    for kind, names in (
        ("input", [port.name for port in entry.inputs]),
        ("parameter", entry.params),
        ("state", entry.states),
        ("output", entry.outputs),
        ("update", entry.updates),
        ("symbol", [symbol.name for symbol in entry.symbols]),
    ):
        _distinct(what, kind, names)
    wanted: list[tuple[str, TensorType]] = [(f"input {port.name!r}", port.type) for port in entry.inputs]
    for name in entry.params:
        _need(name in types, f"{what}: there is no parameter {name!r}")
        wanted.append((f"parameter {name!r}", types[name]))
    for name in (*entry.states, *entry.updates):
        _need(name in program.state, f"{what}: there is no state {name!r}")
    wanted += [(f"state {name!r}", program.state[name].type) for name in entry.states]
    given = entry.graph.inputs
    _need(len(given) == len(wanted), f"{what}: its graph takes {len(given)} values, its signature has {len(wanted)}")
    for (item, type), value in zip(wanted, given, strict=True):
        _same_type(f"{what}: {item}", type, value.type)
    results, names = entry.graph.outputs, (*entry.outputs, *entry.updates)
    _need(len(results) == len(names), f"{what}: its graph gives {len(results)} values, its signature has {len(names)}")
    for name, value in zip(entry.updates, results[len(entry.outputs) :], strict=True):
        _same_type(f"{what}: the update of {name!r}", program.state[name].type, value.type)
    _symbols(what, entry)


def _symbols(what: str, entry: Entry) -> None:
    declared = {symbol.name: symbol for symbol in entry.symbols}
    found: Iterable[Symbol] = symbols_of(entry.graph)
    for symbol in found:
        _need(symbol.name in declared, f"{what}: the symbol {symbol.name} is not declared")
        _need(symbol == declared[symbol.name], f"{what}: the symbol {symbol.name} has two ranges")


def _distinct(what: str, kind: str, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        _need(name not in seen, f"{what}: the {kind} {name!r} stands there twice")
        seen.add(name)


def _same_type(what: str, wanted: TensorType, given: TensorType) -> None:
    _need(_agree(wanted, given), f"{what} is {wanted}, the graph has {given}")


def _agree(left: TensorType, right: TensorType) -> bool:
    """Whether two types are the same, or may be (an equality that depends on the sizes is an entry's guard)."""
    if left == right:
        return True
    if left.dtype is not right.dtype or left.rank != right.rank:
        return False
    return all(decide(a, "==", b) is not False for a, b in zip(left.shape, right.shape, strict=True))


@dataclass(slots=True)
class _Checker:
    """One graph with its regions. ``guards`` are the equalities that hold."""

    what: str
    functions: Mapping[str, Graph]
    guards: Sequence[tuple[AnyDim, AnyDim]]

    def graph(self, graph: Graph) -> None:
        self.scope(graph, graph, set())

    def scope(self, root: Graph, graph: Graph, everywhere: set[Value]) -> None:
        """``everywhere`` holds what is defined in the whole of ``root``; a scope sees its own values only."""
        seen: set[Value] = set()
        for value in graph.inputs:
            _need(value not in everywhere, f"{self.what}: an input of a graph is defined elsewhere too")
            everywhere.add(value)
            seen.add(value)
        for node in graph.nodes:
            fault = self.node(node, seen, everywhere)
            if fault:
                place = f" ({node.loc})" if node.loc else ""
                raise _Fault(f"{self.what}, {node.op.name}{place}: {fault}\n{neighbourhood(root, node)}")
            for region in node.regions:
                self.scope(root, region, everywhere)
            everywhere.update(node.outputs)
            seen.update(node.outputs)
        _need(all(value in seen for value in graph.outputs), f"{self.what}: an output is not defined in the graph")

    def node(self, node: Node, seen: set[Value], everywhere: set[Value]) -> str | None:
        """What is wrong with a node, or None."""
        for position, value in enumerate(node.inputs):
            if value not in seen:
                hint = "in another graph" if value in everywhere else "after it, or nowhere"
                return f"operand {position} is defined {hint}"
        if len(set(node.outputs)) != len(node.outputs) or any(value in everywhere for value in node.outputs):
            return "a result is defined twice"
        try:
            arguments = node.op.arguments([value.type for value in node.inputs])
            if node.op.canonical(*arguments) != node.op:
                return f"its attributes are not in normal form; they would be {node.op.canonical(*arguments)!r}"
            types = infer_types(node.op, arguments, node.regions, Shapes(known=set(self.guards)))
        except OpError as error:
            return str(error)
        except IndexError:
            return f"has {len(node.inputs)} operands, takes {', '.join(node.op.operands)}"
        given = tuple(value.type for value in node.outputs)
        if len(types) != len(given) or not all(map(_agree, types, given)):
            return f"gives {', '.join(map(str, types))}, not {', '.join(map(str, given))}"
        if isinstance(node.op, Constant) and len(node.op.value.data) != node.op.value.type.nbytes:
            return f"{len(node.op.value.data)} bytes for {node.op.value.type}"
        return self.call(node) if isinstance(node.op, Call) else None

    def call(self, node: Node) -> str | None:
        assert isinstance(node.op, Call)
        callee = self.functions.get(node.op.function)
        if callee is None:
            return f"no function {node.op.function!r} stands before"
        for kind, wanted, given in (("takes", callee.inputs, node.inputs), ("gives", callee.outputs, node.outputs)):
            types = ", ".join(str(value.type) for value in wanted)
            if len(wanted) != len(given) or not all(_agree(a.type, b.type) for a, b in zip(wanted, given, strict=True)):
                return f"{node.op.function!r} {kind} {types}"
        return None
