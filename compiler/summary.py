"""What a program holds and costs, by part of the network, without any weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .ir.dims import Symbol, substitute
from .ir.graph import Graph, Node, Value
from .ir.op import Cost, Op
from .ir.program import Entry, Program
from .ir.types import TensorType
from .live import Places, peak, root_values
from .ops.control import Call, Cond, Scan
from .passes.frozen import nbytes


@dataclass(slots=True)
class Group:
    """The nodes under one label (without one: of one op). ``result_bytes`` is the size of all they compute together.

    ``parameters`` counts the elements of trainable parameters, ``buffers`` those of the others; a shared one counts
    where it is read first. ``op`` is the one with the most work, ``output`` the type of the last value
    at the chosen sizes.
    """

    label: str
    op: str = ""
    output: str = ""
    parameters: int = 0
    buffers: int = 0
    macs: int = 0
    flops: int = 0
    result_bytes: int = 0
    nodes: int = 0


@dataclass(frozen=True, slots=True)
class EntrySummary:
    """One entry at some ``sizes``. ``activation_bytes`` is the peak of what lives at once, weights aside."""

    name: str
    macs: int
    flops: int
    activation_bytes: int
    nodes: int
    groups: tuple[Group, ...]
    sizes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Summary:
    """A program. Numbers of work are those of its first entry; ``parameters`` and ``buffers`` are of all together.

    ``sizes`` are those of every symbol, of the first entry that has it.
    """

    name: str
    parameters: int
    buffers: int
    parameter_bytes: int
    macs: int
    flops: int
    activation_bytes: int
    nodes: int
    sizes: Mapping[str, int]
    entries: tuple[EntrySummary, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)

    def __str__(self) -> str:
        """One line."""
        work = f"{self.macs:,} multiply-accumulates, {self.nodes:,} nodes"
        return f"{self.name}: {self.parameters:,} parameters, {self.buffers:,} buffers, {work}"


def summarize(
    program: Program,
    sizes: Mapping[str, int] | None = None,
    depth: int = 1,
    usual: Mapping[str, int] | None = None,
) -> Summary:
    """What a program holds and costs.

    ``sizes`` sets symbols; the others are as ``usual`` says, as near as an entry's range allows, else 1 or the least
    that is allowed. Groups are by the first ``depth`` names of a label. A multiply-accumulate of a product or a
    convolution is two flops, whatever else is computed of one number is one; a scan counts its steps, a cond its dearer
    branch, a while one round. Functions are counted once and multiplied. Raises `ValueError` for a size out of range.
    """
    entries: list[EntrySummary] = []
    used: dict[str, int] = {}
    for entry in program.entries.values():
        chosen = {symbol.name: _size(symbol, sizes or {}, usual or {}) for symbol in entry.symbols}
        used = {**chosen, **used}
        entries.append(_Counter(program, chosen, depth).entry(entry))
    elements = {True: 0, False: 0}
    for parameter in program.parameters.values():
        elements[parameter.trainable] += int(parameter.type.elements)  # type: ignore[arg-type]
    first = entries[0]
    return Summary(
        name=program.name,
        parameters=elements[True],
        buffers=elements[False],
        parameter_bytes=sum(nbytes(parameter.type) for parameter in program.parameters.values()),
        macs=first.macs,
        flops=first.flops,
        activation_bytes=first.activation_bytes,
        nodes=first.nodes,
        sizes=used,
        entries=tuple(entries),
    )


def _size(symbol: Symbol, sizes: Mapping[str, int], usual: Mapping[str, int]) -> int:
    if symbol.name not in sizes and symbol.name in usual:
        return min(max(usual[symbol.name], symbol.low), symbol.high)
    size = sizes.get(symbol.name, symbol.low)
    if not symbol.low <= size <= symbol.high:
        raise ValueError(f"{symbol.name} is {size}; it lies between {symbol.low} and {symbol.high}")
    return max(size, 1) if symbol.name not in sizes and symbol.high >= 1 else size


@dataclass(slots=True)
class _Work:
    macs: int = 0
    flops: int = 0
    result_bytes: int = 0
    nodes: int = 0
    output: str = ""
    op: str = ""
    op_flops: int = -1

    def add(self, other: _Work, times: int = 1) -> None:
        self.macs += other.macs * times
        self.flops += other.flops * times
        self.result_bytes += other.result_bytes * times
        self.nodes += other.nodes
        self.output = other.output or self.output
        if other.op_flops > self.op_flops:
            self.op, self.op_flops = other.op, other.op_flops


Breakdown = dict[str, _Work]
"""Work by full label."""


@dataclass(slots=True)
class _Counter:
    program: Program
    sizes: Mapping[str, int]
    depth: int
    functions: dict[str, Breakdown] = field(default_factory=dict)
    peaks: dict[tuple[str, Places, Places], int] = field(default_factory=dict)
    readers: dict[Graph, dict[Value, Node]] = field(default_factory=dict)
    handed: dict[str, dict[int, int]] = field(default_factory=dict)
    costs: dict[tuple[type[Op], Op, tuple[TensorType, ...], tuple[TensorType, ...]], tuple[int, int]] = field(
        default_factory=dict
    )

    def entry(self, entry: Entry) -> EntrySummary:
        work = self.graph(entry.graph)
        groups: dict[str, Group] = {}
        for label, part in work.items():
            group = groups.setdefault(label, Group(label))
            group.macs, group.flops = part.macs, part.flops
            group.result_bytes, group.nodes, group.output = part.result_bytes, part.nodes, part.output
            group.op = part.op
        self.parameters(entry, groups)
        total = _Work()
        for part in work.values():
            total.add(part)
        highest = peak(entry.graph, self.sizes, self.inner, self.passed)
        return EntrySummary(
            entry.name, total.macs, total.flops, highest, total.nodes, tuple(groups.values()), self.sizes
        )

    def parameters(self, entry: Entry, groups: dict[str, Group]) -> None:
        first = len(entry.inputs)
        for name, value in zip(entry.params, entry.graph.inputs[first:], strict=False):
            parameter = self.program.parameters.get(name)
            label = self.reader(entry.graph, value)
            if label is None or parameter is None:
                continue
            group = groups.setdefault(label, Group(label))
            elements = int(parameter.type.elements)  # type: ignore[arg-type]
            if parameter.trainable:
                group.parameters += elements
            else:
                group.buffers += elements

    def reader(self, graph: Graph, value: Value) -> str | None:
        """The label of the node that reads a value first, inside the functions that it is handed to."""
        if graph not in self.readers:
            first: dict[Value, Node] = {}
            for each in graph.nodes:
                for read in each.inputs:
                    first.setdefault(read, each)
            self.readers[graph] = first
        node: Node | None = self.readers[graph].get(value)
        if node is None:
            return None
        label = self.label(node)
        if not isinstance(node.op, Call):
            return label
        callee = self.program.functions[node.op.function]
        inner = self.reader(callee, callee.inputs[node.inputs.index(value)])
        return label if inner is None else self.joined(label, inner)

    def graph(self, graph: Graph) -> Breakdown:
        found: Breakdown = {}
        for node in graph.nodes:
            label = self.label(node)
            if isinstance(node.op, Call):
                for inner, part in self.function(node.op.function).items():
                    found.setdefault(self.joined(label, inner), _Work()).add(part)
            else:
                found.setdefault(label, _Work()).add(self.node(node))
        return found

    def function(self, name: str) -> Breakdown:
        """The work of a function."""
        if name not in self.functions:
            self.functions[name] = self.graph(self.program.functions[name])
        return self.functions[name]

    def memory(self, name: str, given: Places, unread: Places) -> int:
        """The peak memory of a function that may free its inputs ``given``, which are counted then.

        Nobody reads its outputs ``unread``.
        """
        key = (name, given, unread)
        if key not in self.peaks:
            graph = self.program.functions[name]
            owned = [value for at, value in enumerate(graph.inputs) if at in given]
            kept = [value for at, value in enumerate(graph.outputs) if at not in unread]
            self.peaks[key] = peak(graph, self.sizes, self.inner, self.passed, owned, kept)
        return self.peaks[key]

    def inner(self, node: Node, given: Places, unread: Places) -> int:
        """The memory that a node needs while it runs, beside its results and operands: see `peak`."""
        if isinstance(node.op, Call):
            # The results of the callee are those of the call, what it was given was the caller's: counted already.
            passed = self.passed(node)
            counted = [value for at, value in enumerate(node.outputs) if value not in passed and at not in unread]
            counted += [value for at, value in enumerate(node.inputs) if at in given]
            need = self.memory(node.op.function, given, unread)
            return max(0, need - sum(self.nbytes(value.type) for value in counted))
        return max((peak(region, self.sizes, self.inner, self.passed) for region in node.regions), default=0)

    def passed(self, node: Node) -> dict[Value, Value]:
        """The results of a call that are operands handed back."""
        if not isinstance(node.op, Call):
            return {}
        name = node.op.function
        if name not in self.handed:
            graph = self.program.functions[name]
            roots = root_values(graph, self.passed)
            places = {value: place for place, value in enumerate(graph.inputs)}
            found = enumerate(places.get(roots.get(value, value)) for value in graph.outputs)
            self.handed[name] = {result: operand for result, operand in found if operand is not None}
        return {node.outputs[result]: node.inputs[operand] for result, operand in self.handed[name].items()}

    def node(self, node: Node) -> _Work:
        macs, flops = self.cost(node)
        count = 1
        inner: list[_Work] = []
        for region in node.regions:
            part = _Work()
            for work in self.graph(region).values():
                part.add(work)
            inner.append(part)
            count += part.nodes
        if isinstance(node.op, Cond):
            inner = [max(inner, key=lambda part: part.flops)]
        times = self.number(node.op.length) if isinstance(node.op, Scan) else 1
        if node.regions:
            macs, flops = (times * sum(part.macs for part in inner), times * sum(part.flops for part in inner))
        written = sum(self.nbytes(value.type) for value in node.outputs)
        output = self.shown(node.outputs[-1].type) if node.outputs else ""
        return _Work(macs, flops, written, count, output, node.op.name, flops)

    def cost(self, node: Node) -> tuple[int, int]:
        if node.regions:
            return 0, 0
        inputs = tuple(value.type for value in node.inputs)
        outputs = tuple(value.type for value in node.outputs)
        key = (type(node.op), node.op, inputs, outputs)
        if key not in self.costs:
            cost: Cost = node.op.cost(inputs, outputs)
            self.costs[key] = (self.number(cost.macs), self.number(cost.flops))
        return self.costs[key]

    def number(self, value: Any) -> int:
        found = substitute(value, self.sizes)
        if not isinstance(found, int):
            raise ValueError(f"{value} depends on a size that is not given")
        return found

    def shown(self, type: TensorType) -> str:
        return str(TensorType(type.dtype, tuple(self.number(size) for size in type.shape)))

    def nbytes(self, type: TensorType) -> int:
        return self.number(type.nbytes)

    def label(self, node: Node) -> str:
        label = node.loc.label if node.loc else ""
        return ".".join(label.split(".")[: self.depth]) if label else f"({node.op.name})"

    def joined(self, outer: str, inner: str) -> str:
        if inner.startswith("("):
            return outer
        label = inner if outer.startswith("(") else f"{outer}.{inner}"
        return ".".join(label.split(".")[: self.depth])
