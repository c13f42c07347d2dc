"""What depends on parameters alone moves into the prepare graph, and runs once, when a bundle is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from ..ir.graph import Builder, Graph, Node, Value, rewrite_inputs
from ..ir.program import Entry, Program
from ..ir.types import TensorType
from ..ops.shape import Broadcast
from .context import Context
from .frozen import frozen_values, nbytes, parameter_values

SMALL = 64 * 2**10
"""Bytes about which no rule asks whether storage grows."""


def hoist(program: Program, context: Context) -> Program:
    """The program whose entries read packed tensors where they computed on parameters.

    Unless the stored bytes would grow: a broadcast stays, so does what is larger than its operands, and what would be
    stored beside a parameter that is read elsewhere too. What depends on constants alone stays.
    """
    types = program.tensor_types()
    views = {name: _View(entry) for name, entry in program.entries.items()}
    stays: set[Value] = set()
    while True:
        for view in views.values():
            view.find(stays)
        refused = _growing(views, types)
        if not refused:
            break
        stays.update(refused)
        for value, (reason, node) in refused.items():
            context.refused("hoist", f"{node.op.name} : {value.type}", reason, node.loc)
    if not any(view.candidates for view in views.values()):
        return program
    packer = _Packer(program, context)
    entries = {name: packer.entry(views[name]) for name in program.entries}
    prepare = packer.build.graph(packer.inputs.values(), packer.packed.values())
    return replace(
        program,
        entries=entries,
        prepare=prepare,
        prepare_inputs=tuple(packer.inputs),
        packed=tuple(packer.packed),
    )


@dataclass(slots=True)
class _View:
    """One entry: what follows from its parameters, and what of that should move."""

    entry: Entry
    parameters: dict[Value, str] = field(init=False)
    producers: dict[Value, Node] = field(init=False)
    frozen: set[Value] = field(init=False)
    sources: dict[Value, frozenset[str]] = field(init=False)
    """The parameters that a frozen value is made of."""
    candidates: dict[Value, None] = field(init=False)
    direct: set[str] = field(init=False)
    """Parameters that the entry goes on reading."""

    def __post_init__(self) -> None:
        self.parameters = parameter_values(self.entry)
        self.producers = self.entry.graph.producers()
        self.frozen = frozen_values(self.entry.graph, self.parameters)
        self.sources = {value: frozenset((name,)) for value, name in self.parameters.items()}
        for node in self.entry.graph.nodes:
            if len(node.outputs) == 1 and node.output in self.frozen:
                self.sources[node.output] = frozenset().union(*(self.sources[value] for value in node.inputs))

    def find(self, stays: set[Value]) -> None:
        """Set ``candidates``, in order of definition, and ``direct``."""
        self.direct = set()
        found: set[Value] = set()
        seen: set[Value] = set()
        todo = [value for value in self.entry.graph.outputs if value in self.frozen]
        for node in self.entry.graph.nodes:
            if not (len(node.outputs) == 1 and node.output in self.frozen):
                todo += [value for value in node.inputs if value in self.frozen]
        while todo:
            value = todo.pop()
            if value in seen:
                continue
            seen.add(value)
            if value in self.parameters:
                self.direct.add(self.parameters[value])
            elif not self.sources[value] or value in stays or self.grows(self.producers[value]):
                todo += self.producers[value].inputs
            else:
                found.add(value)
        ordered = (node.outputs[0] for node in self.entry.graph.nodes if node.outputs)
        self.candidates = {value: None for value in ordered if value in found}

    def grows(self, node: Node) -> bool:
        if isinstance(node.op, Broadcast):
            return True
        result = nbytes(node.output.type)
        return result > SMALL and result > sum(nbytes(value.type) for value in set(node.inputs))


def _growing(views: dict[str, _View], types: dict[str, TensorType]) -> dict[Value, tuple[str, Node]]:
    """Candidates that would cost more bytes than the parameters that they make superfluous.

    Those made of one large parameter are judged together: slices of it cost what it frees, two transposes twice that.
    """
    direct = set().union(*(view.direct for view in views.values()))
    costs: dict[str, int] = {}
    members: dict[str, list[tuple[Value, Node]]] = {}
    sources: dict[str, set[str]] = {}
    for view in views.values():
        here: Counter[str] = Counter()
        for value in view.candidates:
            largest = _largest(view.sources[value], types)
            here[largest] += nbytes(value.type)
            members.setdefault(largest, []).append((value, view.producers[value]))
            sources.setdefault(largest, set()).update(view.sources[value])
        for largest, cost in here.items():
            # Entries that compute the same share it: they are counted once.
            costs[largest] = max(costs.get(largest, 0), cost)
    found: dict[Value, tuple[str, Node]] = {}
    for largest, cost in costs.items():
        freed = sum(nbytes(types[name]) for name in sources[largest] if name not in direct)
        if cost > max(SMALL, freed):
            reason = f"{largest} would be stored twice" if largest in direct else "more bytes would be stored"
            found |= {value: (reason, node) for value, node in members[largest]}
    return found


def _largest(names: frozenset[str], types: dict[str, TensorType]) -> str:
    return max(sorted(names), key=lambda name: nbytes(types[name]))


class _Packer:
    """The prepare graph in the making. Equal computations of several entries are made once."""

    def __init__(self, program: Program, context: Context) -> None:
        self.context = context
        self.taken = set(program.parameters) | set(program.packed)
        self.build = Builder(nodes=list(program.prepare.nodes))
        self.inputs = dict(zip(program.prepare_inputs, program.prepare.inputs, strict=True))
        self.packed = dict(zip(program.packed, program.prepare.outputs, strict=True))
        self.types = program.tensor_types()
        self.seen: dict[Hashable, Value] = {}
        self.names = {value: name for name, value in self.packed.items()}

    def entry(self, view: _View) -> Entry:
        entry, graph = view.entry, view.entry.graph
        made: dict[Value, Value] = {}
        names: dict[str, Value] = {name: value for value, name in view.parameters.items()}
        replaced: dict[Value, Value] = {}
        for value in view.candidates:
            prepared = self.prepare(value, view, made)
            name = self.name(prepared, view.sources[value], view.producers[value])
            if name in names:
                replaced[value] = names[name]
            else:
                names[name] = value
        nodes = [
            rewrite_inputs(node, replaced)
            for node in graph.nodes
            if not any(value in view.candidates for value in node.outputs)
        ]
        first, last = len(entry.inputs), len(entry.inputs) + len(entry.params)
        inputs = (*graph.inputs[:first], *names.values(), *graph.inputs[last:])
        outputs = tuple(replaced.get(value, value) for value in graph.outputs)
        return replace(entry, graph=Graph(inputs, tuple(nodes), outputs), params=tuple(names))

    def prepare(self, wanted: Value, view: _View, made: dict[Value, Value]) -> Value:
        """The value of the prepare graph that equals a frozen value of an entry."""
        todo = [wanted]
        while todo:
            value = todo[-1]
            if value in made:
                todo.pop()
            elif value in view.parameters:
                made[value] = self.parameter(view.parameters[value])
            else:
                node = view.producers[value]
                missing = [operand for operand in node.inputs if operand not in made]
                todo += missing
                if not missing:
                    made[value] = self.computed(node, tuple(made[operand] for operand in node.inputs))
        return made[wanted]

    def parameter(self, name: str) -> Value:
        if name in self.packed:
            return self.packed[name]
        if name not in self.inputs:
            self.inputs[name] = Value(self.types[name])
        return self.inputs[name]

    def computed(self, node: Node, inputs: tuple[Value, ...]) -> Value:
        key = (type(node.op), node.op, inputs)
        if key not in self.seen:
            value = Value(node.output.type)
            self.build.append(Node(node.op, inputs, (value,), (), node.loc))
            self.seen[key] = value
        return self.seen[key]

    def name(self, prepared: Value, sources: frozenset[str], node: Node) -> str:
        """The name of a packed tensor: that of the largest parameter in it, told apart."""
        if prepared not in self.names:
            largest = _largest(sources, self.types)
            stem = name = largest if largest.endswith(".packed") else f"{largest}.packed"
            number = 1
            while name in self.taken:
                number += 1
                name = f"{stem}{number}"
            self.taken.add(name)
            self.names[prepared] = name
            self.packed[name] = prepared
            self.context.rewritten("hoist", f"{node.op.name} of parameters packed", node.loc)
        return self.names[prepared]
