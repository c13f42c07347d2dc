"""Rewrite rules: pattern, guard, replacement, and the sweep that applies them.

A rule says what it looks for and what stands instead. The matcher owns what every rule would repeat: both orders of
commutative ops, seeing a number through broadcasts and casts, dtypes, and intermediates that others read too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..ir.graph import Builder, Graph, Node, Value, rewrite_inputs
from ..ir.op import Op, OpError
from ..ops.elementwise import Add, And, Compare, Max, Min, Mul, Or, Xor
from .context import Context
from .numbers import Numbers
from .sweep import map_regions

_COMMUTATIVE = (Add, Mul, Max, Min, And, Or, Xor)
_DEPTH = 16
"""How often what a rule gives is simplified again."""


@dataclass(frozen=True, slots=True)
class Var:
    """Any value. The same name twice in a pattern stands for the same value."""

    name: str


@dataclass(frozen=True, slots=True)
class Number:
    """A value whose elements are all one number that is known; ``equals`` demands it. Read it with `Match.number`."""

    name: str = ""
    equals: float | None = None


@dataclass(frozen=True)
class Is:
    """The result of an op. ``once``: nothing else may read it. ``name`` gives its node.

    Without operands, they may be any.
    """

    op: type[Op]
    operands: tuple[Pattern, ...]
    name: str = ""
    once: bool = False
    flat: tuple[str, ...] | None = None
    """The names of the operands if they are different variables: then there is nothing to search."""

    def __init__(self, op: type[Op], *operands: Pattern, name: str = "", once: bool = False) -> None:
        for key, item in (("op", op), ("operands", operands), ("name", name), ("once", once)):
            object.__setattr__(self, key, item)
        names = [inner.name for inner in operands if isinstance(inner, Var)]
        object.__setattr__(self, "flat", tuple(names) if len(set(names)) == len(operands) else None)


Pattern = Var | Number | Is


@dataclass(slots=True)
class Match:
    """Where a pattern was found. New nodes are made with `emit`."""

    node: Node
    values: dict[str, Value]
    nodes: dict[str, Node]
    numbers: dict[str, np.generic]
    made: Builder | None = None

    @property
    def build(self) -> Builder:
        """Holds the new nodes."""
        if self.made is None:
            self.made = Builder(loc=self.node.loc)
        return self.made

    def value(self, name: str) -> Value:
        """The value that `Var` found."""
        return self.values[name]

    def number(self, name: str) -> np.generic:
        """The number that `Number` found, in the dtype of its tensor."""
        return self.numbers[name]

    def op(self, name: str = "") -> Op:
        """The op that `Is` found; the outermost without a name."""
        return self.nodes[name].op if name else self.node.op

    def emit(self, op: Op, *inputs: Value) -> Value:
        """The single result of a new node. Raises `OpError`."""
        return self.build.emit(op, inputs)[0]


@dataclass(frozen=True)
class Rule:
    """``replace`` gives the value that stands instead, made of the match; it has the same type.

    ``guard`` gives the reason why not, or None; an empty reason is not worth reporting. ``kinds`` are the kinds of
    dtype that the result may have.
    """

    name: str
    pattern: Is
    replace: Callable[[Match], Value]
    guard: Callable[[Match], str | None] = lambda match: None
    kinds: tuple[str, ...] = ("bool", "int", "float")


def rewrite(graph: Graph, rules: Sequence[Rule], context: Context, pass_name: str) -> Graph:
    """The graph, its regions too, after one sweep in which each node tries the rules in order."""
    by_op: dict[type[Op], list[Rule]] = {}
    for rule in rules:
        by_op.setdefault(rule.pattern.op, []).append(rule)
    return _sweep(graph, by_op, context, pass_name)


def _sweep(graph: Graph, rules: Mapping[type[Op], list[Rule]], context: Context, pass_name: str) -> Graph:
    sweep = Sweep(rules, context, pass_name, _reads(graph))
    for node in graph.nodes:
        sweep.add(map_regions(node, lambda region: _sweep(region, rules, context, pass_name)), 0)
    return sweep.graph(graph)


def _reads(graph: Graph) -> Counter[Value]:
    reads: Counter[Value] = Counter(graph.outputs)
    for node in graph.nodes:
        reads.update(node.inputs)
    return reads


@dataclass(slots=True)
class Sweep:
    """One graph in the making."""

    rules: Mapping[type[Op], list[Rule]]
    context: Context
    pass_name: str
    reads: Counter[Value]
    nodes: list[Node] = field(default_factory=list)
    producers: dict[Value, Node] = field(default_factory=dict)
    replaced: dict[Value, Value] = field(default_factory=dict)
    numbers: Numbers = field(init=False)

    def __post_init__(self) -> None:
        self.numbers = Numbers(self.producers)

    def graph(self, graph: Graph) -> Graph:
        """What stands for ``graph``."""
        outputs = tuple(self.replaced.get(value, value) for value in graph.outputs)
        return Graph(graph.inputs, tuple(self.nodes), outputs)

    def add(self, node: Node, depth: int) -> None:
        """Append a node, or what a rule puts in its place."""
        node = rewrite_inputs(node, self.replaced)
        if depth < _DEPTH:
            for rule in self.rules.get(type(node.op), ()):
                if self.apply(rule, node, depth):
                    return
        self.nodes.append(node)
        for value in node.outputs:
            self.producers[value] = node

    def apply(self, rule: Rule, node: Node, depth: int) -> bool:
        match = self.find(rule, node)
        if match is None:
            return False
        try:
            result = rule.replace(match)
        except OpError as error:
            self.context.refused(self.pass_name, rule.name, str(error), node.loc)
            return False
        if result.type != node.output.type:
            self.context.refused(self.pass_name, rule.name, f"{result.type} is not {node.output.type}", node.loc)
            return False
        made = match.build.nodes
        if made and made[-1].outputs == (result,):
            # The replacement defines the same value, so that it can be compared across passes.
            made[-1] = replace(made[-1], outputs=node.outputs)
        else:
            self.replaced[node.output] = result
        self.reads.subtract(node.inputs)
        for new in made:
            self.reads.update(new.inputs)
        for new in made:
            self.add(new, depth + 1)
        if node.output in self.replaced:
            result = self.replaced[node.output]
            self.replaced[node.output] = self.replaced.get(result, result)
        self.context.rewritten(self.pass_name, rule.name, node.loc)
        return True

    def find(self, rule: Rule, node: Node) -> Match | None:
        if len(node.outputs) != 1 or not self.possible(rule.pattern, node):
            return None
        if node.outputs[0].type.dtype.kind not in rule.kinds:
            return None
        names = rule.pattern.flat
        if names is not None and len(names) == len(node.inputs):
            ways = iter([(dict(zip(names, node.inputs, strict=True)), dict[str, Node](), dict[str, np.generic]())])
        else:
            ways = self.match_node(rule.pattern, node, {}, {}, {})
        for values, nodes, numbers in ways:
            match = Match(node, values, nodes, numbers)
            reason = self.shared(rule.pattern, node, nodes) or rule.guard(match)
            if reason is None:
                return match
            if reason:
                self.context.refused(self.pass_name, rule.name, reason, node.loc)
        return None

    def possible(self, pattern: Is, node: Node) -> bool:
        """Whether the operands have what the pattern asks of some operand: a cheap answer that settles most cases."""
        inputs = node.inputs
        for inner in pattern.operands:
            if isinstance(inner, Number):
                if all(self.numbers.of(value) is None for value in inputs):
                    return False
            elif isinstance(inner, Is):
                made = [self.producers[value] for value in inputs if value in self.producers]
                if all(type(producer.op) is not inner.op for producer in made):
                    return False
            elif inner is pattern.operands[0] and len(pattern.operands) == 2 and pattern.operands[1] == inner:
                return inputs[0] is inputs[1]
        return True

    def shared(self, pattern: Is, node: Node, nodes: Mapping[str, Node]) -> str | None:
        """The reason against taking apart an intermediate that others read too."""
        for inner in pattern.operands:
            if isinstance(inner, Is):
                found = nodes[inner.name or f"{id(inner)}"]
                readers = sum(self.reads[value] for value in found.outputs)
                if inner.once and readers > 1:
                    return f"the result of {found.op.name} has {readers} readers"
                reason = self.shared(inner, found, nodes)
                if reason:
                    return reason
        return None

    def match_node(
        self,
        pattern: Is,
        node: Node,
        values: dict[str, Value],
        nodes: dict[str, Node],
        numbers: dict[str, np.generic],
    ) -> Iterator[tuple[dict[str, Value], dict[str, Node], dict[str, np.generic]]]:
        """Every way in which a node fits a pattern, given what is bound already."""
        if type(node.op) is not pattern.op:
            return
        if pattern.operands and len(node.inputs) != len(pattern.operands):
            return
        nodes = {**nodes, pattern.name or f"{id(pattern)}": node}
        if not pattern.operands:
            yield values, nodes, numbers
            return
        orders = [node.inputs]
        if len(node.inputs) == 2 and _commutes(node.op):
            orders.append(node.inputs[::-1])
        for order in orders:
            yield from self.match_all(list(zip(pattern.operands, order, strict=True)), values, nodes, numbers)

    def match_all(
        self,
        pairs: list[tuple[Pattern, Value]],
        values: dict[str, Value],
        nodes: dict[str, Node],
        numbers: dict[str, np.generic],
    ) -> Iterator[tuple[dict[str, Value], dict[str, Node], dict[str, np.generic]]]:
        if not pairs:
            yield values, nodes, numbers
            return
        (pattern, value), rest = pairs[0], pairs[1:]
        match pattern:
            case Var(name=name):
                if values.get(name, value) is value:
                    yield from self.match_all(rest, {**values, name: value}, nodes, numbers)
            case Number(name=name, equals=equals):
                number = self.numbers.of(value)
                if number is not None and (equals is None or number == equals):
                    yield from self.match_all(rest, {**values, name: value}, nodes, {**numbers, name: number})
            case Is():
                inner = self.producers.get(value)
                if inner is not None and len(inner.outputs) == 1:
                    for found in self.match_node(pattern, inner, values, nodes, numbers):
                        yield from self.match_all(rest, *found)


def _commutes(op: Op) -> bool:
    return isinstance(op, _COMMUTATIVE) or (isinstance(op, Compare) and op.direction in ("eq", "ne"))
