"""Which tensors are stored with their axes in another order, so that ops and conversions together cost the least.

Each op can stay natural or become its variant on stored forms (see `compiler.layout`). Forms spread from convolutions
over what touches them; then a minimum cut chooses between the two for every op at once: an op costs what the target
says, a tensor that is needed in both forms costs one conversion. The borders of a graph are natural; parameters, and
what a loop does not change, are converted for nothing, as `hoist` and `loop_motion` then move that to where it is done
once.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..ir.graph import Builder, Graph, Node, Value
from ..ir.op import Access, OpError
from ..ir.program import Entry, Program
from ..ir.types import TensorType
from ..layout.coarsen import coarsen
from ..layout.form import Form, regrouped, to_form, to_natural
from ..layout.products import swapped
from ..layout.sizes import TypicalSizes
from ..layout.transposed import as_product
from ..layout.variant import RESULT, Variant
from ..layout.variants import channels_last, propose
from ..mincut import Shared, cheapest_labels, total_cost
from ..ops.contract import Conv, Dot
from ..ops.control import Scan
from ..ops.shape import Broadcast, Reshape, Transpose
from .context import Context, LayoutCosts
from .frozen import frozen_values, parameter_values
from .sweep import map_regions

READERS = 16
"""Most readers of one number, repeated, whose layouts are brought together for its sake."""


def layout(program: Program, context: Context) -> Program:
    """The program with the axes of tensors in the order that costs least, by ``context.layout``.

    Types of entries, functions, regions and their results stay. Without costs, nothing changes.
    """
    if context.layout is None:
        return program
    decided: dict[str, Form | None] = {}
    entries = {name: _entry(entry, context, context.layout, decided) for name, entry in program.entries.items()}
    functions = {name: _function(graph, context, context.layout) for name, graph in program.functions.items()}
    same = all(entries[name] is entry for name, entry in program.entries.items())
    if same and all(functions[name] is graph for name, graph in program.functions.items()):
        return program
    return replace(program, entries=entries, functions=functions)


def _function(graph: Graph, context: Context, costs: LayoutCosts) -> Graph:
    return _graph(graph, {}, context, costs, TypicalSizes.of([value.type for value in graph.inputs]), {})


def _entry(entry: Entry, context: Context, costs: LayoutCosts, decided: dict[str, Form | None]) -> Entry:
    sizes = TypicalSizes.of([port.type for port in entry.inputs])
    graph = _graph(entry.graph, parameter_values(entry), context, costs, sizes, decided)
    return entry if graph is entry.graph else replace(entry, graph=graph)


def _graph(
    graph: Graph,
    fixed: Mapping[Value, str],
    context: Context,
    costs: LayoutCosts,
    sizes: TypicalSizes,
    decided: dict[str, Form | None],
) -> Graph:
    """``fixed`` are inputs that are converted once: parameters, with their names, and what a loop does not change."""

    def inside(node: Node) -> Node:
        constants = node.op.constants if isinstance(node.op, Scan) else 0
        return map_regions(
            node, lambda region: _graph(region, dict.fromkeys(region.inputs[:constants], ""), context, costs, sizes, {})
        )

    inner = tuple(map(inside, graph.nodes))
    if any(new is not old for new, old in zip(inner, graph.nodes, strict=True)):
        graph = Graph(graph.inputs, inner, graph.outputs)
    plan = _Plan(graph, fixed, context, costs, sizes, decided)
    plan.spread()
    chosen = plan.choose()
    if not chosen:
        return graph
    changed = _Rewriter(plan, chosen).graph()
    return coarsen(changed) if costs.whole_axes else changed


@dataclass(slots=True)
class _Plan:
    """What could be stored otherwise in one graph."""

    graph: Graph
    fixed: Mapping[Value, str]
    context: Context
    costs: LayoutCosts
    sizes: TypicalSizes
    decided: dict[str, Form | None]
    """The form that other entries read a parameter in; None if that is the natural one."""
    producers: dict[Value, Node] = field(init=False)
    users: dict[Value, list[Node]] = field(init=False)
    given: set[Value] = field(init=False)
    """What follows from fixed inputs alone, and can be had in any form: converting it is done once."""
    forms: dict[Value, Form] = field(default_factory=dict)
    """The form that each value has if it is not natural."""
    variants: dict[Node, Variant] = field(default_factory=dict)
    refused: set[Node] = field(default_factory=set)
    todo: deque[Value] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.producers, self.users = self.graph.producers(), self.graph.users()
        frozen = frozen_values(self.graph, dict(self.fixed)) if self.fixed else set()
        self.given = {value for value in frozen if not self._repeats(value)}

    def _repeats(self, value: Value) -> bool:
        node = self.producers.get(value)
        return node is not None and isinstance(node.op, Broadcast)

    def spread(self) -> None:
        """Find forms and variants, from convolutions outwards, then from the products that they leave."""
        for node in self.graph.nodes:
            if isinstance(node.op, Conv):
                variants = (channels_last(node), as_product(node))
                variant = next((each for each in variants if each is not None and self.claimed(node, each)), None)
                if variant is not None:
                    self.add(node, variant)
        self.follow()
        for node in self.graph.nodes:
            if isinstance(node.op, Dot) and self.is_open(node) and self.costs.of_node(self.sizes.of_node(node)):
                self.add(node, swapped(node, self.forms))
                self.follow()

    def is_open(self, node: Node) -> bool:
        """Whether a node has no variant yet on whose result others build."""
        return node not in self.variants or all(form.is_natural for form in self.variants[node].results)

    def follow(self) -> None:
        """Let the forms that are new spread."""
        while self.todo:
            value = self.todo.popleft()
            form = self.forms[value]
            producer = self.producers.get(value)
            if producer is not None and producer not in self.variants and value not in self.given:
                self.consider(producer, RESULT, form)
            for node in dict.fromkeys(self.users.get(value, ())):
                if node not in self.variants:
                    self.consider(node, node.inputs.index(value), form)

    def consider(self, node: Node, at: int, form: Form) -> None:
        variant = propose(node, at, form) if node not in self.refused else None
        if variant is not None and (_is_plain(node) or self.claimed(node, variant)):
            self.add(node, variant)

    def claimed(self, node: Node, variant: Variant) -> bool:
        """Whether the target takes the variant as it is."""
        build = Builder()
        values = [
            Value(value.type.with_shape(form.stored)) for value, form in zip(node.inputs, variant.operands, strict=True)
        ]
        try:
            variant.emit(build, values)
        except OpError as error:
            self.context.refused("layout", f"{node.op.name} in another layout", str(error), node.loc)
            return False
        for made in build.nodes:
            reason = self.context.claims(made)
            if reason is not None:
                self.context.refused("layout", f"{node.op.name} in another layout", reason, node.loc)
                self.refused.add(node)
                return False
        return True

    def add(self, node: Node, variant: Variant) -> None:
        self.variants[node] = variant
        for value, form in zip(node.outputs, variant.results, strict=True):
            if not form.is_natural and (value not in self.forms or self.forms[value].is_natural):
                self.todo.append(value)
            self.forms[value] = form
        for value, form in zip(node.inputs, variant.operands, strict=True):
            if value not in self.forms and not form.is_natural:
                self.forms[value] = form
                if value not in self.given:
                    self.todo.append(value)

    def choose(self) -> dict[Node, Variant]:
        """The variants that are worth it."""
        if not self.variants:
            self.decide({})
            return {}
        things: dict[Node | Value, int] = {node: number for number, node in enumerate(self.variants, 1)}
        things |= {value: len(things) + k for k, value in enumerate(self.wanted(), 1)}
        costs = [(0.0, math.inf), *(self.own_costs(node) for node in self.variants)]
        costs += [self.open_costs(value) for value in self.wanted()]
        shared = list(self.conversions(things))
        before = total_cost(costs, shared, [math.isinf(natural) for natural, _ in costs])
        labels = cheapest_labels(costs, shared)
        chosen = {node: variant for node, variant in self.variants.items() if labels[things[node]]}
        after = total_cost(costs, shared, labels)
        if not chosen or after >= before:
            self.decide({})
            return {}
        self.decide({value for value in self.wanted() if labels[things[value]]})
        priced = dict.fromkeys(node.op.name for node in self.variants if max(costs[things[node]]) > 0)
        known = Counter(node.op.name for node in self.variants)
        moved = Counter(node.op.name for node in chosen)
        named = [f"{moved[name]} of {known[name]} {name}" for name in priced]
        what = f"{len(chosen)} of {len(self.graph.nodes)} nodes in another layout ({', '.join(named)})"
        self.context.rewritten("layout", what, why=f"cost {before:.4g} before, {after:.4g} after")
        return chosen

    def decide(self, turned: Collection[Value]) -> None:
        """Keep what other entries should keep to."""
        for value, name in self.fixed.items():
            if value in self.users:
                self.decided.setdefault(name, self.forms[value] if value in turned else None)

    def open_costs(self, value: Value) -> tuple[float, float]:
        """What the choice for a fixed value costs: nothing, but what other entries read is not converted again."""
        name = self.fixed.get(value, "")
        if name not in self.decided:
            return 0.0, 0.0
        known = self.decided[name]
        return (math.inf, 0.0) if known is not None and known.stores_as(self.forms[value]) else (0.0, math.inf)

    def wanted(self) -> list[Value]:
        """Values that follow from fixed inputs and are read in another form by some variant."""
        found: dict[Value, None] = {}
        for node, variant in self.variants.items():
            for value, form in zip(node.inputs, variant.operands, strict=True):
                if value in self.given and value not in found and not form.is_free:
                    found[value] = None
        return list(found)

    def conversions(self, things: Mapping[Node | Value, int]) -> Iterable[Shared]:
        """What must agree, or be converted. Thing 0 is what is natural in any case."""
        readers: dict[Value, dict[int, None]] = {value: {0: None} for value in self.graph.outputs}
        for node in self.graph.nodes:
            variant = self.variants.get(node)
            for number, value in enumerate(node.inputs):
                if value in self.forms and not self.forms[value].is_free:
                    thing = 0 if variant is None else things[node]
                    if variant is not None and not variant.operands[number].stores_as(self.forms[value]):
                        thing = 0
                    readers.setdefault(value, {})[thing] = None
        for value, found in readers.items():
            form = self.forms.get(value)
            if form is None or form.is_free:
                continue
            producer = self.producers.get(value)
            number = producer is not None and isinstance(producer.op, Broadcast) and not producer.inputs[0].type.shape
            if number and len(found) > READERS:
                # In another order it is the same number: half of a graph need not agree about it.
                continue
            source = things.get(value, 0 if producer is None else things.get(producer, 0))
            if producer in self.variants and value not in self.given:
                source = things[producer]
            yield Shared(source, tuple(found), self.price(value.type))

    def price(self, type: TensorType) -> float:
        return self.costs.of_conversion(self.sizes.of_type(type))

    def own_costs(self, node: Node) -> tuple[float, float]:
        """What a node costs as it is, and as its variant, with what the variant converts for itself."""
        variant = self.variants[node]
        natural, other = self.costs.of_node(self.sizes.of_node(node)) or (0.0, 0.0)
        other = other if variant.turned else natural
        if isinstance(node.op, Transpose) and not Form.permuted(node.inputs[0].type.shape, node.op.axes).is_free:
            natural += self.price(node.output.type)
        for value, form in zip(node.inputs, variant.operands, strict=True):
            known = self.forms.get(value)
            if not form.is_free and value not in self.given and not (known and known.stores_as(form)):
                other += self.price(value.type)
        return natural, other


def _is_plain(node: Node) -> bool:
    """Whether a target that takes a node takes it for axes in any order."""
    return isinstance(node.op, (Broadcast, Reshape, Transpose)) or set(node.op.access) == {Access.SAME}


@dataclass(slots=True)
class _Rewriter:
    """The graph in the making: chosen variants on stored values, conversions where the cut runs."""

    plan: _Plan
    chosen: Mapping[Node, Variant]
    build: Builder = field(default_factory=Builder)
    stored: dict[Value, tuple[Value, Form]] = field(default_factory=dict)
    """Results of variants, which are not natural yet."""
    converted: dict[Value, list[tuple[Value, Form]]] = field(default_factory=dict)
    natural: set[Value] = field(default_factory=set)

    def graph(self) -> Graph:
        graph = self.plan.graph
        self.natural.update(graph.inputs)
        for node in graph.nodes:
            self.build.loc = node.loc
            variant = self.chosen.get(node)
            if variant is None:
                for value in node.inputs:
                    self.need(value, node)
                self.build.append(node)
                self.natural.update(node.outputs)
                continue
            inputs = [self.as_form(v, form, node) for v, form in zip(node.inputs, variant.operands, strict=True)]
            for value, made, form in zip(node.outputs, variant.emit(self.build, inputs), variant.results, strict=True):
                self.stored[value] = (made, form)
        for value in graph.outputs:
            self.need(value, None)
        return self.build.graph(graph.inputs, graph.outputs)

    def need(self, value: Value, reader: Node | None) -> None:
        """Define a value in its natural form if that has not happened."""
        if value not in self.natural:
            made, form = self.stored[value]
            self.note(value, form, reader, f"{value.type.with_shape(form.stored)} to {value.type}")
            to_natural(self.build, made, form, value)
            self.natural.add(value)

    def as_form(self, value: Value, form: Form, reader: Node) -> Value:
        """A value in a form."""
        found = [*self.converted.get(value, ()), *([self.stored[value]] if value in self.stored else [])]
        for made, known in found:
            if known.stores_as(form):
                return regrouped(self.build, made, form.stored)
        self.need(value, reader)
        if form.is_free:
            return regrouped(self.build, value, form.stored)
        self.note(value, form, reader, f"{value.type} to {value.type.with_shape(form.stored)}")
        made = to_form(self.build, value, form)
        self.converted.setdefault(value, []).append((made, form))
        return made

    def note(self, value: Value, form: Form, reader: Node | None, what: str) -> None:
        if form.is_free:
            return
        loc = reader.loc if reader is not None else None
        if value in self.plan.given:
            self.plan.context.rewritten("layout", "weights in another order", loc, "converted once")
        else:
            self.plan.context.rewritten("layout", what, loc, f"cost {self.plan.price(value.type):.4g}")
