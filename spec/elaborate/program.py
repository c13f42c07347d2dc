"""A document to a program: every entry elaborated, parameters, state and precision settled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ...compiler.ir import DType, Entry, Parameter, Program, State
from ...compiler.ir.dims import bounds
from ..diagnostics import Collector, SpecError, error_at, error_of, suggest
from ..load import LoadedDocument
from ..model.formulas import StaticValue, Text
from ..model.parts import ModelPart
from ..source import Source
from ..weights.matching import PathPattern
from .body import Body
from .context import Context, ProgramBuilder
from .declared import read_initializer
from .entries import ROOT, EntryBuilder
from .inputs import whole
from .symbols import declared_symbols
from .instance import instantiate
from .names import check_names
from .scope import Scope
from .training import check_training
from .values import Poisoned


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """A model whose parameters come from one file: its path prefix, its layouts, and the file if the spec names one.

    ``whole`` gives all parameters of a sub-model by its own paths: its file holds those too that the whole model does
    not need. None where there are no others.
    """

    prefix: str
    layouts: Mapping[str, Any]
    file: str | None
    whole: Callable[[], Mapping[str, Parameter]] | None = None


@dataclass(frozen=True, slots=True)
class Lowered:
    """A program and what the spec says beside it.

    ``keep_float32`` are ops that stay in float32 under a 16-bit policy; ``warnings`` are sentences with their place.
    """

    program: Program
    loaded: LoadedDocument
    args: Mapping[str, Any]
    sources: tuple[WeightsSource, ...]
    compute: DType
    storage: DType
    keep_float32: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class Request:
    """How a person wants the document: args by name, a variant, optional inputs that will be given, a dtype.

    ``dims`` fixes symbols of inputs: the program then takes these sizes only.
    """

    args: Mapping[str, StaticValue] = field(default_factory=dict)
    variant: str | None = None
    given: frozenset[str] = frozenset()
    dtype: str | None = None
    dims: Mapping[str, int] = field(default_factory=dict)


def elaborate(loaded: LoadedDocument, request: Request) -> Lowered:
    """The program of a model. Raises SpecError with all mistakes that were found."""
    document = loaded.document
    at = Source(loaded.source.name, "").whole()
    if document.is_library:
        raise error_at(loaded.source.whole(), "this is a library, not a model: it has no `graph`")
    collector = Collector()
    storage, compute, keep = _precision(loaded, request)
    builder = ProgramBuilder(collector, compute, storage)
    check_names(loaded, collector, builder.unknown)
    try:
        context = instantiate(builder, loaded, ROOT, request.args, None, at, request.variant)
    except SpecError as error:
        collector.add(error)
        raise error_of(collector.diagnostics) from None
    modules: dict[str, Any] = {"main": document, **(document.entries or {})}
    entries: dict[str, Entry] = {}
    states: dict[str, State] = {}
    for name, module in modules.items():
        try:
            entries[name] = EntryBuilder(context, name, module, request.given, states, request.dims).build()
        except SpecError as error:
            collector.add(error)
        except Poisoned:
            continue
    if not collector:
        _check_given(request, modules, collector, at)
        _check_dims(request, loaded, modules, collector, at)
        _check_parts(context, collector)
        check_training(loaded, request.args, request.variant, request.given, builder)
    collector.raise_any()
    program = Program(
        name=str(document.name or loaded.path.stem),
        entries=entries,
        functions=builder.functions,
        parameters=_first_values(context, builder),
        state=states,
    )
    _check_sharding(context, program, collector)
    collector.raise_any()
    return Lowered(
        program, loaded, context.statics, tuple(_sources(context)), compute, storage, keep, _warnings(program)
    )


def _precision(loaded: LoadedDocument, request: Request) -> tuple[DType, DType, tuple[str, ...]]:
    """Storage dtype, compute dtype, and the ops that stay in float32."""
    precision = loaded.document.precision
    floats = [dtype.value for dtype in DType if dtype.is_float]

    def read(text: Text | None, default: str) -> str:
        if text is None:
            return default
        if text.literal not in floats:
            raise error_at(
                text.span, f"`{text.text}` is no float dtype", suggest(text.text, floats) or ", ".join(floats)
            )
        return text.literal or default

    compute = read(precision.compute if precision else None, "float32")
    if request.dtype is not None:
        if request.dtype not in floats:
            hint = suggest(request.dtype, floats) or ", ".join(floats)
            raise error_at(loaded.source.whole(), f"`{request.dtype}` is no float dtype", hint)
        compute = request.dtype
        return DType(compute), DType(compute), _kept(loaded)
    return DType(read(precision.params if precision else None, compute)), DType(compute), _kept(loaded)


def _kept(loaded: LoadedDocument) -> tuple[str, ...]:
    precision = loaded.document.precision
    return tuple(map(str, precision.keep_float32 or ())) if precision else ()


def _check_given(request: Request, modules: Mapping[str, Any], collector: Collector, at: Any) -> None:
    optional = {name for module in modules.values() for name, d in (module.inputs or {}).items() if d.optional}
    for name in sorted(request.given - optional):
        listed = ", ".join(sorted(optional)) or "none"
        collector.report(
            at, f"there is no optional input `{name}`", suggest(name, optional) or f"optional inputs: {listed}"
        )


def _check_dims(
    request: Request, loaded: LoadedDocument, modules: Mapping[str, Any], collector: Collector, at: Any
) -> None:
    symbols = sorted({name for module in modules.values() for name in declared_symbols(module, loaded.document)})
    for name in sorted(set(request.dims) - set(symbols)):
        hint = suggest(name, symbols) or f"dimensions: {', '.join(symbols) or 'none'}"
        collector.report(at, f"no input has the dimension `{name}`", hint)


def _check_parts(context: Context, collector: Collector) -> None:
    document = context.loaded.document
    trained = set()
    training = document.training
    if training is not None:
        graphs = [training.graph or [], *((player.graph or []) for player in (training.players or {}).values())]
        trained = {node.part.text for graph in graphs for node in graph if hasattr(node, "part")}
    for name, part in context.parts.items():
        if not part.called and name not in trained:
            collector.report(document.parts.key_span(name), f"nothing calls the part `{name}`", "call it or remove it")  # type: ignore[union-attr]


def _first_values(context: Context, builder: ProgramBuilder) -> dict[str, Any]:
    parameters = builder.parameters()
    rules: Mapping[str, Any] = context.loaded.document.init or {}
    home = Scope(context, Body(builder.shapes), builder.collector)
    compiled = [(PathPattern.parse(str(text)), declaration) for text, declaration in rules.items()]
    for path, parameter in parameters.items():
        for pattern, declaration in compiled:
            if pattern.match(path) is not None:
                parameters[path] = replace(parameter, init=read_initializer(home, declaration))
                break
    return parameters


def _check_sharding(context: Context, program: Program, collector: Collector) -> None:
    sharding = context.loaded.document.sharding
    if sharding is None:
        return
    home = Scope(context, Body(context.program.shapes), collector)
    mesh = {name: whole(home, size) for name, size in sharding.mesh.items()}
    for name, size in mesh.items():
        if size < 1:
            collector.report(sharding.mesh.key_span(name), f"the mesh axis `{name}` has {size} chips")
    for table in (sharding.params, sharding.values):
        for axes in (table or {}).values():
            for axis in axes:
                if axis is not None and axis not in mesh:
                    collector.report(axis.span, f"the mesh has no axis `{axis}`", suggest(axis, mesh))
    for text, axes in (sharding.params or {}).items():
        span = sharding.params.key_span(text)  # type: ignore[union-attr]
        pattern = PathPattern.parse(str(text))
        matched = [p for path, p in program.parameters.items() if pattern.match(path) is not None]
        if not matched:
            collector.report(span, f"no parameter matches `{text}`", suggest(str(text), program.parameters))
        for parameter in matched:
            if len(axes) != parameter.type.rank:
                message = f"`{parameter.path}` has {parameter.type.rank} axes, {len(axes)} are placed"
                collector.report(span, message)
                break
            for extent, axis in zip(parameter.type.shape, axes, strict=True):
                if axis is not None and axis in mesh and mesh[axis] > 0 and bounds(extent)[0] % mesh[axis] != 0:
                    message = f"`{parameter.path}`: {extent} is not divisible by the {mesh[axis]} chips of `{axis}`"
                    collector.report(span, message)


def _sources(context: Context) -> Iterator[WeightsSource]:
    document = context.loaded.document
    yield WeightsSource(context.root.path, document.weights or {}, None)
    for part in context.parts.values():
        if part.inner is None or not isinstance(part.declaration, ModelPart):
            continue
        own, *inner = _sources(part.inner)
        file = part.declaration.weights
        whole = partial(_whole_parameters, context, part.inner, part.declaration)
        yield own if file is None else replace(own, file=str(file), whole=whole)
        yield from inner


def _whole_parameters(context: Context, inner: Context, declaration: ModelPart) -> dict[str, Parameter]:
    """All parameters of a sub-model by its own paths, those of every entry, used here or not."""
    used = context.program
    scratch = ProgramBuilder(Collector(), used.compute, used.storage)
    home = Scope(context, Body(scratch.shapes), scratch.collector)
    variant = None if declaration.variant is None else str(declaration.variant)
    alone = instantiate(scratch, inner.loaded, ROOT, declaration.fields, home, declaration.span, variant)
    document = inner.loaded.document
    for name, module in {"main": document, **(document.entries or {})}.items():
        EntryBuilder(alone, name, module, frozenset(), {}).build()
    scratch.collector.raise_any()
    return scratch.parameters()


def _warnings(program: Program) -> tuple[str, ...]:
    used = set(program.used_tensors())
    return tuple(
        f"the parameter `{path}` is owned, but nothing uses it" for path in program.parameters if path not in used
    )
