"""`sharding` of a document, checked: mesh axes, patterns, and whether sizes divide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...compiler.ir import Graph, Program
from ...compiler.ir.dims import bounds
from ...compiler.ops.control import Call
from ..diagnostics import Collector, SpecError, suggest
from ..weights.matching import PathPattern
from .body import Body
from .context import Context
from .inputs import whole
from .scope import Scope

MOST_CHIPS = 2**20


def check_sharding(context: Context, program: Program, collector: Collector) -> None:
    """Report every mistake of `sharding`."""
    sharding = context.loaded.document.sharding
    if sharding is None:
        return
    mesh = _mesh(context, sharding.mesh, collector)
    for table in (sharding.params, sharding.values):
        for axes in (table or {}).values():
            for at, axis in enumerate(axes):
                if axis is not None and axis not in sharding.mesh:
                    hint = suggest(axis, sharding.mesh) or f"its axes: {', '.join(sharding.mesh)}"
                    collector.report(axis.span, f"the mesh has no axis `{axis}`", hint)
                elif axis is not None and axis in axes[:at]:
                    collector.report(axis.span, f"the mesh axis `{axis}` stands twice")
    _check_params(sharding.params, mesh, program, collector)
    _check_values(sharding.values, program, collector)


def _mesh(context: Context, declared: Any, collector: Collector) -> dict[str, int]:
    """The chips along each axis."""
    home = Scope(context, Body(context.program.shapes), collector)
    mesh: dict[str, int] = {}
    for name, formula in declared.items():
        try:
            size = whole(home, formula)
        except SpecError as error:
            collector.add(error)
            continue
        if 1 <= size <= MOST_CHIPS:
            mesh[name] = size
        else:
            message = f"the mesh axis `{name}` has {size} chips; it has 1 to {MOST_CHIPS}"
            collector.report(formula.span, message)
    return mesh


def _check_params(table: Any, mesh: Mapping[str, int], program: Program, collector: Collector) -> None:
    for text, axes in (table or {}).items():
        span = table.key_span(text)
        pattern = PathPattern.parse(str(text))
        matched = [p for path, p in program.parameters.items() if pattern.match(path) is not None]
        if not matched:
            collector.report(span, f"no parameter matches `{text}`", suggest(str(text), program.parameters))
        for parameter in matched:
            if len(axes) != parameter.type.rank:
                message = f"`{parameter.path}` has {_axes(parameter.type.rank)}, {len(axes)} are placed"
                collector.report(axes.span, message)
                break
            for extent, axis in zip(parameter.type.shape, axes, strict=True):
                if axis in mesh and bounds(extent)[0] % mesh[axis] != 0:
                    message = f"`{parameter.path}`: {extent} is not divisible by the {mesh[axis]} chips of `{axis}`"
                    collector.report(span, message)


def _check_values(table: Any, program: Program, collector: Collector) -> None:
    if not table:
        return
    labels = _Labels(program).of_program()
    for text, axes in table.items():
        pattern = PathPattern.parse(str(text))
        matched = {label: ranks for label, ranks in labels.items() if pattern.match(label) is not None}
        if not matched:
            hint = suggest(str(text), labels)
            collector.report(table.key_span(text), f"no value has a label like `{text}`", hint)
        for label, ranks in matched.items():
            if len(axes) not in ranks:
                message = f"`{label}` has {_axes(max(ranks))}, {len(axes)} are placed"
                collector.report(axes.span, message)
                break


def _axes(rank: int) -> str:
    return f"{rank} axis" if rank == 1 else f"{rank} axes"


class _Labels:
    """The labels of a program, calls expanded, with the ranks of what bears them."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.known: dict[str, dict[str, set[int]]] = {}

    def of_program(self) -> dict[str, set[int]]:
        """Those of inputs, states and nodes of all entries."""
        found: dict[str, set[int]] = {}
        for entry in self.program.entries.values():
            for port in entry.inputs:
                found.setdefault(port.name, set()).add(port.type.rank)
            _merge(found, self.of_graph(entry.graph))
        for name, state in self.program.state.items():
            found.setdefault(name, set()).add(state.type.rank)
        return found

    def of_graph(self, graph: Graph) -> dict[str, set[int]]:
        """Those of the nodes of a graph."""
        found: dict[str, set[int]] = {}
        for node in graph.nodes:
            label = node.loc.label if node.loc is not None else ""
            found.setdefault(label, set()).update(value.type.rank for value in node.outputs)
            for region in node.regions:
                # The nodes of a loop bear its label already.
                _merge(found, self.of_graph(region))
            if isinstance(node.op, Call):
                inner = self.of_function(node.op.function)
                _merge(found, {f"{label}.{name}" if label else name: ranks for name, ranks in inner.items()})
        return found

    def of_function(self, name: str) -> dict[str, set[int]]:
        """Those of a function, as it sees them itself."""
        if name not in self.known:
            self.known[name] = self.of_graph(self.program.functions[name])
        return self.known[name]


def _merge(found: dict[str, set[int]], more: Mapping[str, set[int]]) -> None:
    for label, ranks in more.items():
        found.setdefault(label, set()).update(ranks)
