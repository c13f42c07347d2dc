"""A document to a program: every entry elaborated, parameters, state and precision settled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...compiler.ir import DType, Entry, Graph, Program, State
from ...compiler.ops.control import Call
from ..diagnostics import Collector, SpecError, error_at, suggest
from ..load import LoadedDocument
from ..model.formulas import StaticValue
from ..model.nodes import Node, PartNode
from ..source import Source, Span
from .body import Body
from .context import Context, ProgramBuilder
from .entries import ROOT, EntryBuilder
from .initial import first_values
from .instance import instantiate
from .names import check_names
from .precision import read_precision
from .scope import Scope
from .sharding import Spread, read_sharding
from .sources import WeightsSource, check_weights, weights_sources, weights_warnings
from .symbols import declared_symbols, usual_sizes
from .training import check_training
from .unused import unused_parameters
from .values import Poisoned


@dataclass(frozen=True, slots=True)
class Lowered:
    """A program and what the spec says beside it.

    ``keep_float32`` are ops that stay in float32 under a 16-bit policy; ``warnings`` are sentences with their place;
    ``usual`` are the sizes of symbols that reports count with when nobody names others.
    """

    program: Program
    loaded: LoadedDocument
    args: Mapping[str, Any]
    sources: tuple[WeightsSource, ...]
    compute: DType
    storage: DType
    keep_float32: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    usual: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Request:
    """How a person wants the document: args by name, a variant, optional inputs that will be given, a dtype.

    ``dims`` fixes symbols of inputs: the program then takes these sizes only. ``spread`` is a mesh of devices.
    """

    args: Mapping[str, StaticValue] = field(default_factory=dict)
    variant: str | None = None
    given: frozenset[str] = frozenset()
    dtype: str | None = None
    dims: Mapping[str, int] = field(default_factory=dict)
    spread: Spread = field(default_factory=Spread)


def elaborate(loaded: LoadedDocument, request: Request) -> Lowered:
    """The program of a model. Raises SpecError with all mistakes that were found."""
    try:
        return _elaborate(loaded, request)
    except RecursionError:
        # Calls, formulas and lists are each bounded, but not all of them within each other.
        message = "blocks, formulas and lists are nested too deep within each other"
        raise error_at(loaded.source.whole(), message, limit="call-depth") from None


def check_library(loaded: LoadedDocument) -> None:
    """Raises SpecError with the mistakes of a library that can be told without a call: names and references."""
    collector = Collector()
    check_names(loaded, collector, set())
    collector.raise_any()


def _elaborate(loaded: LoadedDocument, request: Request) -> Lowered:
    document = loaded.document
    at = Source(loaded.source.name, "").whole()
    if document.is_library:
        raise error_at(at, "this is a library, not a model: it has no `graph`")
    collector = Collector()
    precision = read_precision(loaded, request.dtype, collector)
    builder = ProgramBuilder(collector, precision.compute, precision.storage, frozenset(precision.keep))
    try:
        context = instantiate(builder, loaded, ROOT, request.args, None, at, request.variant)
    except SpecError as error:
        collector.add(error)
        collector.raise_any()
        raise
    modules: dict[str, Any] = {"main": document, **(document.entries or {})}
    _check_request(request, loaded, modules, collector, at)
    check_weights(context, collector)
    usual = _usual(context, modules, collector)
    entries: dict[str, Entry] = {}
    states: dict[str, State] = {}
    for name, module in modules.items():
        try:
            entries[name] = EntryBuilder(context, name, module, request.given, states, request.dims).build()
        except SpecError as error:
            collector.add(error)
        except Poisoned:
            # What poisoned it was reported.
            continue
    if entries.keys() == modules.keys():
        _check_parts(context, collector)
        check_training(context, request.args, request.variant, request.given)
    parameters, warnings = first_values(context, builder)
    collector.raise_any()
    assert entries.keys() == modules.keys(), "an entry without a program has a mistake that was reported"
    name = str(document.name or loaded.path.stem)
    functions = _reachable(builder.functions, entries)
    program = Program(name, entries, functions, parameters, state=states)
    sharding = read_sharding(context, program, request.spread, collector)
    collector.raise_any()
    return Lowered(
        replace(program, sharding=sharding),
        loaded,
        context.statics,
        tuple(weights_sources(context)),
        precision.compute,
        precision.storage,
        precision.keep,
        (*warnings, *weights_warnings(context, parameters), *_unused(program, builder)),
        usual,
    )


def _check_request(
    request: Request, loaded: LoadedDocument, modules: Mapping[str, Any], collector: Collector, at: Span
) -> None:
    """What is asked for is there: optional inputs, dimensions."""
    optional = {name for module in modules.values() for name, d in (module.inputs or {}).items() if d.optional}
    for name in sorted(request.given - optional):
        listed = ", ".join(sorted(optional)) or "none"
        hint = suggest(name, optional) or f"optional inputs: {listed}"
        collector.report(at, f"there is no optional input `{name}`", hint)
    symbols = sorted({name for module in modules.values() for name in declared_symbols(module, loaded.document)})
    for name in sorted(set(request.dims) - set(symbols)):
        hint = suggest(name, symbols) or f"dimensions: {', '.join(symbols) or 'none'}"
        collector.report(at, f"no input has the dimension `{name}`", hint)


def _usual(context: Context, modules: Mapping[str, Any], collector: Collector) -> dict[str, int]:
    try:
        return usual_sizes(Scope(context, Body(context.program.shapes), collector), modules.values())
    except SpecError as error:
        collector.add(error)
    return {}


def _check_parts(context: Context, collector: Collector) -> None:
    """A part that nothing calls is a mistake. One that a node would call if its condition were true is none."""
    document = context.loaded.document
    named = {node.part.literal for node in _nodes(document) if isinstance(node, PartNode)}
    if None in named:
        return
    for name, part in context.parts.items():
        if not part.called and name not in named:
            assert document.parts is not None
            collector.report(document.parts.key_span(name), f"nothing calls the part `{name}`", "call it or remove it")


def _nodes(document: Any) -> Iterable[Node]:
    """Every node of the document: main graph, entries, blocks and training."""
    modules = [document, *(document.entries or {}).values(), *(document.blocks or {}).values()]
    if document.training is not None:
        modules += [document.training, *(document.training.players or {}).values()]
    for module in modules:
        yield from module.graph or ()


def _reachable(functions: Mapping[str, Graph], entries: Mapping[str, Entry]) -> dict[str, Graph]:
    """The functions that entries call, callees before callers; sub-models may have had others."""
    needed: set[str] = set()
    pending = [entry.graph for entry in entries.values()]
    while pending:
        for node in pending.pop().walk():
            if isinstance(node.op, Call) and node.op.function not in needed:
                needed.add(node.op.function)
                pending.append(functions[node.op.function])
    return {name: graph for name, graph in functions.items() if name in needed}


def _unused(program: Program, builder: ProgramBuilder) -> Iterable[str]:
    for path in unused_parameters(program):
        yield f"{builder.owners[path].spans[-1]}: the parameter `{path}` is owned, but no output needs it"
