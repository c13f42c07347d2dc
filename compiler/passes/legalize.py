"""What a target refuses becomes what it takes: composites decompose, 16-bit primitives widen, the rest is an error."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..decompose import Decompositions
from ..ir.dims import AnyDim, decide, symbols
from ..ir.graph import Builder, Graph, Guard, Loc, Node, Value, rewrite_inputs
from ..ir.op import Op, OpError
from ..ir.program import Entry, Program
from ..ir.types import DType, Literal
from ..ops.control import Call
from ..ops.fused import Fused
from ..ops.source import Bitcast, Cast
from ..splice import splice
from .context import Context
from .sweep import map_graphs, map_regions


class LegalizeError(Exception):
    """A target cannot compute an op in any form; names the op, the reason and the place in the spec."""


def legalize(program: Program, context: Context) -> Program:
    """The program in nodes that ``context.claims`` takes.

    Refused composites are decomposed, in regions too. Refused primitives on 16-bit floats compute in float32 between
    casts. The prepare graph stays: it runs where bundles are made. Idempotent. Raises `LegalizeError`.
    """
    shared = _Shared(context)
    changed = map_graphs(replace(program, prepare=Graph((), (), ())), lambda graph: _Legalizer(shared).graph(graph))
    for (what, why), (count, loc) in shared.decomposed.items():
        context.rewritten("legalize", what if count == 1 else f"{what} ({count} times)", loc, why)
    entries = {name: _guarded(entry, list(shared.guards)) for name, entry in changed.entries.items()}
    return replace(changed, entries=entries, prepare=program.prepare)


def _guarded(entry: Entry, guards: list[tuple[AnyDim, AnyDim]]) -> Entry:
    """The entry with the equalities that decompositions ask for, as far as they speak of its symbols."""
    known = {(guard.left, guard.right) for guard in entry.guards}
    names = set(entry.symbols)
    new = [
        Guard(left, right)
        for left, right in guards
        if (left, right) not in known and (right, left) not in known
        if (symbols(left) | symbols(right)) <= names and decide(left, "==", right) is None
    ]
    return replace(entry, guards=(*entry.guards, *new)) if new else entry


@dataclass(slots=True)
class _Shared:
    context: Context
    decompositions: Decompositions = field(default_factory=Decompositions)
    guards: dict[tuple[AnyDim, AnyDim], None] = field(default_factory=dict)
    decomposed: dict[tuple[str, str], tuple[int, Loc | None]] = field(default_factory=dict)

    def count(self, what: str, why: str, loc: Loc | None) -> None:
        times, first = self.decomposed.get((what, why), (0, loc))
        self.decomposed[what, why] = (times + 1, first)


@dataclass(slots=True)
class _Legalizer:
    """One graph in the making."""

    shared: _Shared
    nodes: list[Node] = field(default_factory=list)
    replaced: dict[Value, Value] = field(default_factory=dict)

    def graph(self, graph: Graph) -> Graph:
        for node in graph.nodes:
            self.admit(node)
        return Graph(graph.inputs, tuple(self.nodes), tuple(self.replaced.get(v, v) for v in graph.outputs))

    def admit(self, node: Node) -> None:
        node = rewrite_inputs(node, self.replaced)
        node = map_regions(node, lambda region: _Legalizer(self.shared).graph(region))
        reason = self.shared.context.claims(node)
        if reason is None:
            self.nodes.append(node)
            return
        if isinstance(node.op, Fused):
            self.inline(node)
        elif node.op.is_composite():
            self.decompose(node, reason)
        elif _touches_half(node):
            self.widen(node, reason)
        else:
            raise LegalizeError(self.message(node, reason))

    def inline(self, node: Node) -> None:
        """A fused region as the nodes that it holds."""
        (region,) = node.regions
        replaced = splice(region, node.inputs, node.outputs, self.admit, lambda loc: loc or node.loc)
        for value, other in replaced.items():
            self.replaced[value] = self.replaced.get(other, other)

    def decompose(self, node: Node, reason: str) -> None:
        self.shared.count(f"{node.op.name} decomposed", reason, node.loc)
        try:
            meaning = self.shared.decompositions.of(node.op, [value.type for value in node.inputs])
        except OpError as error:
            raise LegalizeError(self.message(node, f"{reason}; decomposed: {error}")) from error
        self.shared.guards.update(dict.fromkeys(meaning.guards))
        replaced = splice(meaning.graph, node.inputs, node.outputs, self.admit, lambda loc: node.loc)
        for value, other in replaced.items():
            self.replaced[value] = self.replaced.get(other, other)

    def widen(self, node: Node, reason: str) -> None:
        """A primitive on float32 between casts."""
        build = Builder(loc=node.loc)
        inputs = [
            build.emit(Cast(dtype=DType.FLOAT32), [value])[0] if value.type.dtype.is_half else value
            for value in node.inputs
        ]
        try:
            results = build.emit(_in_float32(node.op), inputs, node.regions)
        except OpError as error:
            raise LegalizeError(self.message(node, f"{reason}; in float32: {error}")) from error
        for value, result in zip(node.outputs, results, strict=True):
            if value.type.dtype is result.type.dtype:
                self.replaced[value] = result
            else:
                build.emit(Cast(dtype=value.type.dtype), [result], outputs=(value,))
        self.shared.count(f"{node.op.name} computed in float32 between casts", reason, node.loc)
        for made in build.nodes:
            if _touches_half(made):
                raise LegalizeError(self.message(node, reason))
            self.admit(made)

    def message(self, node: Node, reason: str) -> str:
        operands = ", ".join(str(value.type) for value in node.inputs)
        where = f"{node.loc}: " if node.loc else ""
        return f"{where}{self.shared.context.target} cannot compute {node.op.name}({operands}): {reason}"


def _touches_half(node: Node) -> bool:
    """Whether this is arithmetic on 16-bit floats, that float32 could do as well."""
    if node.regions or isinstance(node.op, (Call, Cast, Bitcast)):
        return False
    return any(value.type.dtype.is_half for value in (*node.inputs, *node.outputs))


def _in_float32(op: Op) -> Op:
    changed: dict[str, object] = {}
    for key, value in op.fields().items():
        if isinstance(value, DType) and value.is_half:
            changed[key] = DType.FLOAT32
        elif isinstance(value, Literal) and value.type.dtype.is_half:
            changed[key] = Literal.of(value.array(), DType.FLOAT32)
    return op.model_copy(update=changed) if changed else op
