"""The `sharding` of a program becomes constraints on its values, for targets that run on a mesh of devices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..ir.dims import AnyDim, decide, symbols
from ..ir.graph import Graph, Guard, Loc, Node, Value
from ..ir.program import Entry, Program
from ..ir.sharding import Placement, Sharding
from ..ir.types import TensorType
from ..ops.control import Call
from ..ops.placement import ShardingConstraint
from .context import Context


class ShardError(Exception):
    """A sharding that does not fit its program: a size that the devices do not divide, an axis that is not there."""


def shard(program: Program, context: Context) -> Program:
    """The program with a `sharding_constraint` behind each value that its sharding names.

    A label means the last node that bears it, in the graph or in a function below the call that the label leads
    through; a function whose calls are spread differently becomes several. Named outputs and updates get one too;
    inputs, states and parameters lie where the sharding says when they come in. Sizes that are not known yet become
    guards of their entry. Raises `ShardError`.
    """
    sharding = program.sharding
    if sharding is None:
        return program
    for path, parameter in program.parameters.items():
        if path in sharding.params:
            _check(sharding, path, parameter.type, sharding.params[path])
    tree = _Tree.of(sharding.values)
    spreader = _Spreader(sharding, program.functions)
    entries = {name: spreader.entry(program, entry, tree) for name, entry in program.entries.items()}
    if spreader.count:
        context.rewritten("shard", f"values spread over {sharding}: {spreader.count}")
    return replace(program, entries=entries, functions=spreader.made)


@dataclass(slots=True)
class _Tree:
    """Placements by label, a level for each name in it. ``label`` is the whole of it."""

    label: str = ""
    here: Placement | None = None
    below: dict[str, _Tree] = field(default_factory=dict)

    @classmethod
    def of(cls, placed: Mapping[str, Placement]) -> _Tree:
        root = cls()
        for label, placement in placed.items():
            at = root
            for name in label.split("."):
                at = at.below.setdefault(name, cls(f"{at.label}.{name}" if at.label else name))
            at.here = placement
        return root

    def at(self, label: str) -> _Tree | None:
        """What stands at a label and below it; None if nothing does."""
        found: _Tree | None = self
        for name in label.split(".") if label else ():
            found = found.below.get(name) if found is not None else None
        return found

    def key(self) -> object:
        """Equal for trees that say the same of what stands below."""
        return tuple((name, tree.here and tree.here.axes, tree.key()) for name, tree in sorted(self.below.items()))


@dataclass(slots=True)
class _Spreader:
    """Graphs in the making. ``made`` are the functions that they call, callees first."""

    sharding: Sharding
    functions: Mapping[str, Graph]
    made: dict[str, Graph] = field(default_factory=dict)
    variants: dict[tuple[str, object], str] = field(default_factory=dict)
    guards: list[Guard] = field(default_factory=list)
    count: int = 0

    def entry(self, program: Program, entry: Entry, tree: _Tree) -> Entry:
        self.guards = []
        ports = [(port.name, port.type) for port in entry.inputs]
        for name, type in (*ports, *((name, program.state[name].type) for name in entry.states)):
            placement = self.sharding.values.get(name)
            if placement is not None and len(placement.axes) == type.rank:
                self.fits(name, type, placement)
        graph = self.graph(entry.graph, tree)
        nodes = list(graph.nodes)
        placed = {node.output for node in nodes if isinstance(node.op, ShardingConstraint)}
        outputs = list(graph.outputs)
        for place, name in enumerate((*entry.outputs, *entry.updates)):
            placement, value = self.sharding.values.get(name), outputs[place]
            if placement is None or len(placement.axes) != value.type.rank or value in placed:
                continue
            outputs[place] = Value(value.type)
            nodes.append(self.constraint(name, value, outputs[place], placement, None))
        graph = Graph(graph.inputs, tuple(nodes), tuple(outputs))
        return replace(entry, graph=graph, guards=(*entry.guards, *self.new_guards(entry)))

    def new_guards(self, entry: Entry) -> Iterable[Guard]:
        """Those that speak of the entry's own symbols, each once."""
        seen = {(guard.left, guard.right) for guard in entry.guards}
        for guard in self.guards:
            if (guard.left, guard.right) not in seen and symbols(guard.left) <= set(entry.symbols):
                seen.add((guard.left, guard.right))
                yield guard

    def graph(self, graph: Graph, tree: _Tree) -> Graph:
        """The graph with constraints behind the values that the tree names."""
        last: dict[str, Node] = {}
        for node in graph.nodes:
            label = node.loc.label if node.loc is not None else ""
            found = tree.at(label) if label else None
            if found is not None and found.here is not None and self.wanted(node, found.here):
                last[label] = node
        nodes: list[Node] = []
        for original in graph.nodes:
            node = self.inside(original, tree)
            label = node.loc.label if node.loc is not None else ""
            found = tree.at(label) if last.get(label) is original else None
            if found is None or found.here is None:
                nodes.append(node)
                continue
            placement = found.here
            wanted = self.wanted(node, placement)
            fresh = {value: Value(value.type) for value in wanted}
            nodes.append(replace(node, outputs=tuple(fresh.get(value, value) for value in node.outputs)))
            nodes += [self.constraint(found.label, fresh[value], value, placement, node.loc) for value in wanted]
        return Graph(graph.inputs, tuple(nodes), graph.outputs)

    def inside(self, node: Node, tree: _Tree) -> Node:
        """The node with its regions and its callee spread."""
        if node.regions:
            node = replace(node, regions=tuple(self.graph(region, tree) for region in node.regions))
        if isinstance(node.op, Call):
            below = tree.at(node.loc.label) if node.loc is not None else tree
            name = self.function(node.op.function, below or _Tree())
            if name != node.op.function:
                node = replace(node, op=node.op.model_copy(update={"function": name}))
        return node

    def function(self, name: str, tree: _Tree) -> str:
        """The name of the function whose values are spread as the tree says."""
        key = (name, tree.key())
        if key not in self.variants:
            graph = self.graph(self.functions[name], tree)
            fresh, number = name, 1
            while fresh in self.made or (number > 1 and fresh in self.functions):
                number += 1
                fresh = f"{name}.{number}"
            self.made[fresh] = graph
            self.variants[key] = fresh
        return self.variants[key]

    @staticmethod
    def wanted(node: Node, placement: Placement) -> list[Value]:
        """The results that a placement can mean: those of its rank."""
        return [value for value in node.outputs if value.type.rank == len(placement.axes)]

    def constraint(self, label: str, value: Value, result: Value, placement: Placement, loc: Loc | None) -> Node:
        self.fits(label, value.type, placement)
        self.count += 1
        return Node(ShardingConstraint(axes=placement.axes), (value,), (result,), (), loc or placement.loc)

    def fits(self, label: str, type: TensorType, placement: Placement) -> None:
        """Check the sizes that are known, and keep guards for the others."""
        for size, devices, axis in _check(self.sharding, label, type, placement):
            loc = placement.loc or Loc()
            said = f"{label} is spread over the {devices} devices of {axis}"
            self.guards.append(Guard(size, devices * (size // devices), replace(loc, label=said)))


def _check(sharding: Sharding, label: str, type: TensorType, placement: Placement) -> Iterable[tuple[AnyDim, int, str]]:
    """The sizes, each with the devices that must divide it and their axis, that only a run will tell."""
    where = f"{placement.loc}: " if placement.loc else ""
    if len(placement.axes) != type.rank:
        raise ShardError(f"{where}{label!r} has {type.rank} axes, {len(placement.axes)} are placed")
    open_sizes: list[tuple[AnyDim, int, str]] = []
    for size, axis in zip(type.shape, placement.axes, strict=True):
        if axis is None:
            continue
        if axis not in sharding.mesh:
            raise ShardError(f"{where}the mesh has no axis {axis!r} (it has {', '.join(sharding.mesh)})")
        devices = sharding.mesh[axis]
        answer = decide(size, "==", devices * (size // devices))
        if answer is False:
            raise ShardError(f"{where}{label!r}: {size} is not divisible by the {devices} devices of {axis!r}")
        if answer is None:
            open_sizes.append((size, devices, axis))
    return open_sizes
