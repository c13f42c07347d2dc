"""`sharding` of a document and of a person who asks for another: mesh axes, patterns, and whether sizes divide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...compiler.ir import AnyDim, Graph, Loc, Placement, Program, Shape, Sharding
from ...compiler.ir.dims import decide
from ...compiler.ops.control import Call
from ..diagnostics import Collector, SpecError, suggest
from ..source import Source, Span
from ..weights.matching import PathPattern, PatternError
from .body import Body
from .context import Context
from .inputs import whole
from .scope import Scope

MOST_DEVICES = 2**20


@dataclass(frozen=True, slots=True)
class Spread:
    """How a person wants a model spread, beside or instead of what its document says.

    ``mesh`` replaces the document's mesh (the devices along each axis); empty means one device, whatever the document
    says; None leaves it. ``rules`` place parameters by path and values by label, before the document's own rules.
    """

    mesh: Mapping[str, int] | None = None
    rules: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Rule:
    """A pattern and the mesh axes of what it matches: parameters, values, or both. ``spans`` are those of the axes."""

    text: str
    axes: tuple[str | None, ...]
    params: bool
    values: bool
    key: Span
    list: Span
    spans: tuple[Span, ...]


def read_sharding(context: Context, program: Program, spread: Spread, collector: Collector) -> Sharding | None:
    """How the program lies on a mesh; None if nobody says. Every mistake is reported."""
    declared = context.loaded.document.sharding
    if spread.mesh is not None and not spread.mesh and not spread.rules:
        # Without a mesh there is nothing to spread, but what the document says must still be right.
        read_sharding(context, program, Spread(), collector)
        return None
    if declared is None and spread.mesh is None and not spread.rules:
        return None
    mesh = _mesh_of(context, spread, declared, collector)
    rules = list(_asked(spread))
    if declared is not None:
        rules += [*_declared(declared.params, params=True), *_declared(declared.values, params=False)]
    placed = _Placed(mesh, program, collector)
    for rule in rules:
        placed.place(rule)
    return Sharding(mesh, placed.params, placed.values)


def _mesh_of(context: Context, spread: Spread, declared: Any, collector: Collector) -> dict[str, int]:
    at = Source("--mesh", "").whole()
    if spread.mesh is None:
        if declared is None:
            collector.report(Source("--shard", "").whole(), "there is no mesh", "declare one, or give it by --mesh")
            return {}
        return _mesh(context, declared.mesh, collector)
    if declared is not None:
        _mesh(context, declared.mesh, collector)
    if not spread.mesh:
        collector.report(at, "without a mesh nothing can be spread by --shard")
    for name, size in spread.mesh.items():
        _check_size(name, size, at, collector)
    return dict(spread.mesh)


def _mesh(context: Context, declared: Any, collector: Collector) -> dict[str, int]:
    """The devices along each axis."""
    home = Scope(context, Body(context.program.shapes), collector)
    mesh: dict[str, int] = {}
    for name, formula in declared.items():
        try:
            size = whole(home, formula)
        except SpecError as error:
            collector.add(error)
            size = 1
        mesh[str(name)] = _check_size(name, size, formula.span, collector)
    return mesh


def _check_size(name: str, size: int, span: Span, collector: Collector) -> int:
    if not 1 <= size <= MOST_DEVICES:
        collector.report(span, f"the mesh axis `{name}` has {size} chips; it has 1 to {MOST_DEVICES}")
        return 1
    return size


def _declared(table: Any, params: bool) -> Iterator[_Rule]:
    """The rules of a table of the document."""
    for text, axes in (table or {}).items():
        names = tuple(None if axis is None else str(axis) for axis in axes)
        spans = tuple(axes.span if axis is None else axis.span for axis in axes)
        yield _Rule(str(text), names, params, not params, table.key_span(text), axes.span, spans)


def _asked(spread: Spread) -> Iterator[_Rule]:
    """The rules of a command line, at places in what was typed."""
    for text, axes in spread.rules.items():
        shown = ",".join(axis or "-" for axis in axes)
        source = Source(f"--shard {text[:60]}={shown[:60]}", f"{text}={shown}")
        spans, column = [], len(text) + 2
        for axis in axes:
            width = len(axis or "-")
            spans.append(Span(source, 1, column, 1, column + width))
            column += width + 1
        key = Span(source, 1, 1, 1, len(text) + 1)
        behind = Span(source, 1, len(text) + 2, 1, len(text) + 2 + len(shown))
        yield _Rule(text, axes, True, True, key, behind, tuple(spans))


class _Placed:
    """What the rules place. Of several rules that match, the first decides."""

    def __init__(self, mesh: Mapping[str, int], program: Program, collector: Collector) -> None:
        self.mesh, self.collector = mesh, collector
        self.parameters = {path: {parameter.type.shape} for path, parameter in program.parameters.items()}
        self.labels = _Labels(program).of_program()
        self.params: dict[str, Placement] = {}
        self.values: dict[str, Placement] = {}

    def place(self, rule: _Rule) -> None:
        """Follow one rule, or report what is wrong with it."""
        self.check_axes(rule)
        try:
            pattern = PathPattern.parse(rule.text)
        except PatternError as error:
            self.collector.report(rule.key, str(error))
            return
        placement = Placement(rule.axes, _loc(rule.key))
        matched = 0
        for wanted, shapes, placed in (
            (rule.params, self.parameters, self.params),
            (rule.values, self.labels, self.values),
        ):
            names = [name for name in shapes if pattern.match(name) is not None] if wanted else []
            matched += len(names)
            for name in names:
                if not self.fits(rule, name, shapes[name]):
                    return
                placed.setdefault(name, placement)
        if not matched:
            self.report_unmatched(rule)

    def check_axes(self, rule: _Rule) -> None:
        for at, (axis, span) in enumerate(zip(rule.axes, rule.spans, strict=True)):
            if axis is not None and axis not in self.mesh:
                hint = suggest(axis, self.mesh) or f"its axes: {', '.join(self.mesh) or 'none'}"
                self.collector.report(span, f"the mesh has no axis `{axis}`", hint)
            elif axis is not None and axis in rule.axes[:at]:
                self.collector.report(span, f"the mesh axis `{axis}` stands twice")

    def report_unmatched(self, rule: _Rule) -> None:
        if rule.params and rule.values:
            hint = suggest(rule.text, (*self.parameters, *self.labels))
            self.collector.report(rule.key, f"no parameter and no value is called like `{rule.text}`", hint)
        elif rule.params:
            hint = suggest(rule.text, self.parameters)
            self.collector.report(rule.key, f"no parameter matches `{rule.text}`", hint)
        else:
            hint = suggest(rule.text, self.labels)
            self.collector.report(rule.key, f"no value has a label like `{rule.text}`", hint)

    def fits(self, rule: _Rule, name: str, shapes: Iterable[Shape]) -> bool:
        """Whether something that bears the name can be placed so."""
        ranked = [shape for shape in shapes if len(shape) == len(rule.axes)]
        if not ranked:
            rank = max(len(shape) for shape in shapes)
            message = f"`{name}` has {rank} {'axis' if rank == 1 else 'axes'}, {len(rule.axes)} are placed"
            self.collector.report(rule.list, message)
            return False
        for shape in ranked:
            for at, (size, axis) in enumerate(zip(shape, rule.axes, strict=True)):
                if axis is not None and axis in self.mesh and not _divides(size, self.mesh[axis]):
                    span = rule.key if rule.params and not rule.values else rule.spans[at]
                    message = f"`{name}`: {size} is not divisible by the {self.mesh[axis]} chips of `{axis}`"
                    self.collector.report(span, message)
                    return False
        return True


def _divides(size: AnyDim, devices: int) -> bool:
    """Whether so many devices can share the size; where only a run tells, that is asked then."""
    return decide(size, "==", devices * (size // devices)) is not False


def _loc(span: Span) -> Loc:
    return Loc(span.source.name, span.start_line, span.start_column)


class _Labels:
    """The labels of a program, calls expanded, with the shapes of what bears them."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.known: dict[str, dict[str, set[Shape]]] = {}

    def of_program(self) -> dict[str, set[Shape]]:
        """Those of inputs, outputs, states and nodes of all entries."""
        found: dict[str, set[Shape]] = {}
        for entry in self.program.entries.values():
            for port in entry.inputs:
                found.setdefault(port.name, set()).add(port.type.shape)
            for name, value in zip(entry.outputs, entry.graph.outputs, strict=False):
                found.setdefault(name, set()).add(value.type.shape)
            _merge(found, self.of_graph(entry.graph))
        for name, state in self.program.state.items():
            found.setdefault(name, set()).add(state.type.shape)
        return found

    def of_graph(self, graph: Graph) -> dict[str, set[Shape]]:
        """Those of the nodes of a graph: of several nodes with one label, the last one of each rank counts."""
        last: dict[str, dict[int, set[Shape]]] = {}
        inner: dict[str, set[Shape]] = {}
        for node in graph.nodes:
            label = node.loc.label if node.loc is not None else ""
            shapes: dict[int, set[Shape]] = {}
            for value in node.outputs:
                shapes.setdefault(value.type.rank, set()).add(value.type.shape)
            last.setdefault(label, {}).update(shapes)
            for region in node.regions:
                # The nodes of a loop bear its label already.
                _merge(inner, self.of_graph(region))
            if isinstance(node.op, Call):
                below = self.of_function(node.op.function)
                _merge(inner, {f"{label}.{name}" if label else name: shapes for name, shapes in below.items()})
        found = {label: set().union(*ranks.values()) for label, ranks in last.items() if label}
        _merge(found, inner)
        return found

    def of_function(self, name: str) -> dict[str, set[Shape]]:
        """Those of a function, as it sees them itself."""
        if name not in self.known:
            self.known[name] = self.of_graph(self.program.functions[name])
        return self.known[name]


def _merge(found: dict[str, set[Shape]], more: Mapping[str, set[Shape]]) -> None:
    for label, shapes in more.items():
        found.setdefault(label, set()).update(shapes)
