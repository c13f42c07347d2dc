"""Graphs of a program as Mermaid flowcharts: a box for each node of the spec, however many ops it became."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ...compiler.ir import AnyDim, Graph, Node, Program, TensorType, Value
from ...compiler.ir.dims import substitute
from ...compiler.ops.attention import Attention
from ...compiler.ops.contract import Conv
from ...compiler.ops.control import Call, Scan
from ...compiler.ops.pooling import AvgPool2d, MaxPool2d
from ...spec.model.formulas import Formula
from ...spec.model.nodes import BlockNode, LoopNode, PartNode, ValueNode
from ...spec.model.nodes import Node as SpecNode
from .written import Place, Written

LONGEST_LABEL = 44
LONGEST_SHAPE = 28
PLUMBING = frozenset(["broadcast", "cast", "constant", "reshape", "slice", "transpose"])
"""Ops that say little about what a node does, if it became others, too."""
HIDDEN = frozenset(["constant", "dimension"])
"""Ops without a box of their own."""
_NAME = re.compile(r"[A-Za-z0-9_.]+(?:\[-?\d+\])?")
_PLAIN = re.compile(r"[^A-Za-z0-9 _.,+*/()=:\[\]-]")


@dataclass(slots=True)
class Box:
    """A node of the spec, and the ops that it became; ``labels`` are those of its iterations.

    ``title`` is what the node says that it is, nothing if it says it by an arg, at length or under a condition;
    ``operand`` is what it is computed of, if that is a calculation.
    """

    title: str = ""
    name: str = ""
    call: bool = False
    operand: str = ""
    labels: dict[str, None] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    @property
    def times(self) -> int:
        """How often it stands in a row."""
        repeats = {label.rpartition(".")[2] for label in self.labels if "." in label}
        return len(self.labels) if len(repeats) == len(self.labels) else 1

    @property
    def loops(self) -> bool:
        """Whether it walks along a sequence."""
        return any(isinstance(node.op, Scan) for node in self.nodes)


@dataclass(frozen=True, slots=True)
class Called:
    """A function that a box calls, which of its inputs are parameters, and the places of the results that are used."""

    name: str
    owned: frozenset[Value]
    used: frozenset[int]


@dataclass(slots=True)
class Chart:
    """A graph as boxes: ids to labels, edges between ids with a shape or nothing, and what the boxes call."""

    boxes: dict[str, Box] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    edges: dict[tuple[str, str], str] = field(default_factory=dict)
    calls: list[Called] = field(default_factory=list)

    def __str__(self) -> str:
        """The text of the flowchart."""
        lines = ["flowchart TD"]
        lines += [f'  {key}(["{label}"])' for key, label in self.inputs.items()]
        for key, box in self.boxes.items():
            opening, closing = ("[[", "]]") if box.call else ("[", "]")
            lines.append(f'  {key}{opening}"{_label(box)}"{closing}')
        lines += [f'  {key}(["{label}"])' for key, label in self.outputs.items()]
        for (source, target), shape in self.edges.items():
            lines.append(f'  {source} -- "{shape}" --> {target}' if shape else f"  {source} --> {target}")
        return "\n".join(lines)


def escaped(text: str) -> str:
    """A text as part of a quoted Mermaid label: what is no plain letter, number or sign is a character code."""
    kept = " ".join(text.split())
    if len(kept) > LONGEST_LABEL:
        kept = kept[: LONGEST_LABEL - 3] + "..."
    return _PLAIN.sub(lambda found: f"#{ord(found.group())};", kept)


def shape_text(type: TensorType, sizes: Mapping[str, int]) -> str:
    """`N x 64 x 112 x 112`, known symbols as numbers; nothing if that is long or a scalar."""
    text = " x ".join(str(substitute(size, sizes)) for size in type.shape)
    return escaped(text) if len(text) <= LONGEST_SHAPE else ""


def chart(
    program: Program,
    graph: Graph,
    owned: frozenset[Value],
    used: frozenset[int],
    written: Written,
    sizes: Mapping[str, int],
    names: tuple[Sequence[str], Sequence[str]],
) -> Chart:
    """A graph as a chart, without what its outputs at the places ``used`` do not need.

    ``owned`` are its inputs that are parameters, ``names`` those of its other inputs and of its outputs. Names that are
    fewer or more than the values (lists and records are several) are left out but for the first.
    """
    made = Chart()
    outputs = [(at, value) for at, value in enumerate(graph.outputs) if at in used]
    needed = _needed(graph, [value for _, value in outputs])
    drawn = _Drawn(program, written, sizes, made, needed)
    given = [value for value in graph.inputs if value not in owned]
    for at, value in enumerate(given):
        if value in needed:
            name = _name(names[0], at, len(given))
            label = _terminal(name, shape_text(value.type, sizes)) if name else "more"
            key = drawn.owner[value] = _key("i", label, made.inputs)
            drawn.arrived[key] = []
    for node in graph.nodes:
        if any(value in needed for value in node.outputs):
            drawn.node(node, owned)
    for at, value in outputs:
        if value in given:
            continue  # handed on as it came
        label = _terminal(_name(names[1], at, len(graph.outputs)) or "out", shape_text(value.type, sizes))
        drawn.edge(value, _key("o", label, made.outputs), False)
    read = {source for source, _ in made.edges}
    made.inputs = {key: label for key, label in made.inputs.items() if key in read}
    return made


def _needed(graph: Graph, outputs: Sequence[Value]) -> set[Value]:
    """The values that some outputs depend on, themselves included."""
    needed = set(outputs)
    for node in reversed(graph.nodes):
        if any(value in needed for value in node.outputs):
            needed.update(node.inputs)
    return needed


def _name(names: Sequence[str], at: int, count: int) -> str:
    return names[at] if names and (len(names) == count or at == 0) else ""


def _key(letter: str, label: str, known: dict[str, str]) -> str:
    """The id of a terminal; terminals that say the same are one."""
    found = next((key for key, text in known.items() if text == label), None)
    if found is None:
        found = f"{letter}{len(known)}"
        known[found] = label
    return found


@dataclass(slots=True)
class _Drawn:
    program: Program
    written: Written
    sizes: Mapping[str, int]
    made: Chart
    needed: set[Value]
    owner: dict[Value, str] = field(default_factory=dict)
    arrived: dict[str, list[str]] = field(default_factory=dict)
    keys: dict[Place, str] = field(default_factory=dict)

    def node(self, node: Node, owned: frozenset[Value]) -> None:
        place = (node.loc.file, node.loc.line, node.loc.column) if node.loc else None
        if node.op.name in HIDDEN and (place is None or place not in self.written.nodes):
            return
        if isinstance(node.op, Call) and not self.program.functions[node.op.function].nodes:
            self.pass_on(node, self.program.functions[node.op.function])
            return
        key = self.keys.get(place) if place is not None else None
        if key is None:
            key = f"n{len(self.made.boxes)}"
            self.made.boxes[key] = self.box(place)
            self.arrived[key] = []
            if place is not None:
                self.keys[place] = key
        box = self.made.boxes[key]
        box.nodes.append(node)
        box.labels[node.loc.label if node.loc else ""] = None
        calls = list(_calls(node, owned, self.needed, self.program))
        self.made.calls += calls
        if calls and not box.title:
            box.title = self.written.module(self.program.functions[calls[0].name])
        for value in node.inputs:
            self.edge(value, key, True)
        self.owner |= dict.fromkeys(node.outputs, key)

    def pass_on(self, node: Node, graph: Graph) -> None:
        """A call of a function that only hands its operands back is no box."""
        for result, value in zip(node.outputs, graph.outputs, strict=True):
            operand = node.inputs[graph.inputs.index(value)] if value in graph.inputs else None
            if operand is not None and operand in self.owner:
                self.owner[result] = self.owner[operand]

    def edge(self, value: Value, target: str, note: bool) -> None:
        source = self.owner.get(value)
        if source is None or source == target:
            return
        shape = shape_text(value.type, self.sizes)
        if note and shape not in self.arrived[target]:
            self.arrived[target].append(shape)
        terminal = self.made.inputs.get(source, "more")
        said = terminal != "more" or not note or shape in self.arrived[source]
        self.made.edges.setdefault((source, target), "" if said else shape)

    def box(self, place: Place | None) -> Box:
        said = self.written.nodes.get(place) if place is not None else None
        if said is None:
            return Box()
        title, names = _title(said), ", ".join(map(str, said.names))
        return Box(title, names if names != title else "", isinstance(said, LoopNode), _operand(said))


def _title(said: SpecNode) -> str:
    if isinstance(said, ValueNode):
        return _short(said.value.text)
    text = said.part if isinstance(said, PartNode) else said.block if isinstance(said, BlockNode) else said.op
    return (text.literal or "").rpartition(".")[2]


def _operand(said: SpecNode) -> str:
    """The operand of a node, if that is a calculation."""
    given = None if isinstance(said, ValueNode) else said.in_
    return "" if not isinstance(given, Formula) or _NAME.fullmatch(given.text) else _short(given.text)


def _short(formula: str) -> str:
    return formula if len(formula) <= LONGEST_LABEL and " if " not in formula else ""


def _calls(node: Node, owned: frozenset[Value], needed: Container[Value], program: Program) -> Iterator[Called]:
    """The functions that a node calls, those in its loops too."""
    if isinstance(node.op, Call):
        callee = program.functions[node.op.function]
        handed = zip(callee.inputs, node.inputs, strict=True)
        used = frozenset(at for at, value in enumerate(node.outputs) if value in needed)
        yield Called(node.op.function, frozenset(inner for inner, outer in handed if outer in owned), used)
    for region in node.regions:
        known = frozenset(inner for inner, outer in zip(region.inputs, node.inputs, strict=False) if outer in owned)
        read = _needed(region, region.outputs)
        for each in region.nodes:
            yield from _calls(each, known, read, program)


def _terminal(name: str, shape: str) -> str:
    return escaped(name) + (f"<br/>{shape}" if shape else "")


def _label(box: Box) -> str:
    """The title of a box, how often it is there, what tells its ops apart, and its name."""
    inner = [node for node in box.nodes if node.op.name not in PLUMBING] or box.nodes
    title = escaped(box.title or (inner[-1].op.name if inner else ""))
    lines = [f"{title} x{box.times}" if box.times > 1 else title]
    if box.operand:
        lines.append(f"of {escaped(box.operand)}")
    if box.loops:
        lines.append("step by step")
    elif box.times == 1 and (detail := _detail(inner)):
        lines.append(escaped(detail))
    if box.name:
        lines.append(escaped(box.name))
    return "<br/>".join(lines)


def _detail(nodes: Sequence[Node]) -> str:
    """What tells one op from another of its kind: the kernel and stride of a convolution, heads of attention."""
    for node in nodes:
        op = node.op
        if isinstance(op, Conv):
            # A transposed convolution has its stride between the elements of its input.
            said = [_times(node.inputs[1].type.shape[2:]), _stride((*op.stride, *op.input_dilation))]
            return ", ".join(part for part in (*said, f"{op.groups} groups" if op.groups > 1 else "") if part)
        if isinstance(op, MaxPool2d | AvgPool2d):
            kernel, stride = (each if isinstance(each, tuple) else (each,) for each in (op.kernel, op.stride or 1))
            return ", ".join(part for part in (_times(kernel), _stride(stride)) if part)
        if isinstance(op, Attention):
            return f"{op.heads} heads" + (", causal" if op.causal else "")
    return ""


def _times(sizes: Iterable[AnyDim]) -> str:
    return "x".join(map(str, sizes))


def _stride(steps: Iterable[int]) -> str:
    widest = max(steps, default=1)
    return f"stride {widest}" if widest > 1 else ""
