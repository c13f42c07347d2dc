"""A document to a program: every entry elaborated, parameters, state and precision settled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

from ...compiler.ir import DType, Entry, Graph, Port, Program, State, Symbol, TensorType, Value
from ...compiler.ir.dims import LIMIT, bounds
from ...compiler.ir.dims import symbol as make_symbol
from ...compiler.ir.dims import symbols as symbols_of
from ...compiler.ops.tensor import Tensor
from ..diagnostics import Collector, SpecError, error_at, error_of, suggest
from ..formula.ast import names as names_in
from ..load import LoadedDocument
from ..model.formulas import Formula, StaticValue, Text
from ..model.types import AnyType, RecordType, TypeExpr
from ..model.types import TensorType as DeclaredTensor
from ..source import Source
from ..weights.matching import PathPattern
from .application import as_tensor
from .body import Body, Key
from .context import Context, ProgramBuilder
from .fields import read_value
from .instance import instantiate
from .names import check_names
from .nodes import read_initializer, run_module
from .scope import Scope
from .types import tensor_type
from .values import Poisoned, describe, flatten

ROOT = Key("", absolute=True)


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """A model whose parameters come from one file: its path prefix, its layouts, and the file if the spec names one."""

    prefix: str
    layouts: Mapping[str, Any]
    file: str | None


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
    """How a person wants the document: args by name, a variant, optional inputs that will be given, a dtype."""

    args: Mapping[str, StaticValue] = field(default_factory=dict)
    variant: str | None = None
    given: frozenset[str] = frozenset()
    dtype: str | None = None
    entries: tuple[str, ...] | None = None


def elaborate(loaded: LoadedDocument, request: Request) -> Lowered:
    """The program of a model. Raises SpecError with all mistakes that were found."""
    document = loaded.document
    at = Source(loaded.source.name, "").whole()
    if document.is_library:
        raise error_at(loaded.source.whole(), "this is a library, not a model: it has no `graph`")
    collector = Collector()
    storage, compute, keep = _precision(loaded, request)
    builder = ProgramBuilder(collector, compute, storage)
    check_names(loaded, collector)
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
            entries[name] = _Entry(context, name, module, request.given, states).build()
        except SpecError as error:
            collector.add(error)
        except Poisoned:
            continue
    if not collector:
        _check_given(request, modules, collector, at)
        _check_parts(context, collector)
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


@dataclass(slots=True)
class _Entry:
    """One entry under elaboration."""

    context: Context
    name: str
    module: Any
    given: frozenset[str]
    states: dict[str, State]
    ports: list[Port] = field(default_factory=list)
    state_values: dict[str, Value] = field(default_factory=dict)

    def build(self) -> Entry:
        """The finished entry. Raises SpecError, Poisoned."""
        program = self.context.program
        program.start_entry()
        body = Body(program.shapes)
        scope = Scope(self.context, body, program.collector)
        scope.symbols.update(self._symbols(scope))
        document = self.context.loaded.document
        for name, declaration in (self.module.inputs or {}).items():
            scope.names[name] = self._input(scope, name, declaration)
        for name, declaration in (document.state or {}).items():
            scope.names[name] = self._state(scope, name, declaration)
        outputs = run_module(scope, self.module)
        names, values, updates, updated = self._split(scope, outputs)
        for owned in body.owned:
            program.own(owned.under(ROOT, (self.name,)))
        nodes = tuple(body.build.nodes)
        read = {value for node in nodes for value in node.inputs} | {*values, *updated}
        kept = {name: value for name, value in self.state_values.items() if value in read}
        graph = Graph((*body.inputs, *body.parameters.values(), *kept.values()), nodes, (*values, *updated))
        params = tuple(key.under(ROOT).path for key in body.parameters)
        return Entry(
            name=self.name,
            graph=graph,
            inputs=tuple(self.ports),
            params=params,
            states=tuple(kept),
            outputs=tuple(names),
            updates=tuple(updates),
            symbols=self._used_symbols(scope),
            guards=tuple(program.guards),
        )

    def _symbols(self, scope: Scope) -> dict[str, Any]:
        document = self.context.loaded.document
        found: dict[str, None] = {}
        declarations = [*(self.module.inputs or {}).values(), *(document.state or {}).values()]
        for declaration in declarations:
            for formula in _dims_of(declaration.type):
                found.update(dict.fromkeys(name.id for name in names_in(formula.expr) if name.id[0].isupper()))
        dims: Any = getattr(self.module, "dims", None) or {}
        for name in dims:
            if name not in found:
                raise error_at(dims.key_span(name), f"no input has the dimension {name}", suggest(name, found))
        symbols = {}
        for name in found:
            low, high = 1, LIMIT
            if name in dims:
                low, high = (_whole(scope, bound) for bound in dims[name])
                if low > high or low < 0:
                    raise error_at(dims.key_span(name), f"the range of {name} is empty: {low} to {high}")
            symbols[name] = make_symbol(name, low, high)
        return symbols

    def _used_symbols(self, scope: Scope) -> tuple[Symbol, ...]:
        used = {s for port in self.ports for size in port.type.shape for s in symbols_of(size)}
        return tuple(sorted(used, key=lambda s: s.name))

    def _input(self, scope: Scope, name: str, declaration: Any) -> Any:
        if declaration.optional and name not in self.given:
            return None
        count = None if declaration.count is None else _whole(scope, declaration.count)
        bounds = None
        if declaration.range is not None:
            bounds = (_whole(scope, declaration.range[0]), _whole(scope, declaration.range[1]))
            if bounds[0] > bounds[1]:
                raise error_at(declaration.span, f"the range of `{name}` is empty: {bounds[0]} to {bounds[1]}")
        source = None if declaration.from_ is None else _plain(scope, declaration.from_)
        types = self._types(scope, declaration.type, count)
        value = map_types(types, scope.body.input)
        for path, tensor in flatten(name, value):
            self.ports.append(Port(path, tensor.type, bounds, source, str(declaration.doc or "")))
        return value

    def _state(self, scope: Scope, name: str, declaration: Any) -> Any:
        count = None if declaration.count is None else _whole(scope, declaration.count)
        types = self._types(scope, declaration.type, count)
        initial = 0 if declaration.initial is None else read_value(scope, declaration.initial, frozenset())
        if not isinstance(initial, (int, float)):
            raise error_at(declaration.span, f"a state begins with a number, not {describe(initial)}")

        def make(type: TensorType) -> Tensor:
            return Tensor(scope.body.build, Value(type))

        value = map_types(types, make)
        for path, tensor in flatten(name, value):
            self.state_values[path] = tensor.value
            known = self.states.setdefault(path, State(path, tensor.type, initial))
            if str(known.type) != str(tensor.type):
                raise error_at(
                    declaration.span, f"the state `{path}` is {known.type} in one entry, {tensor.type} in another"
                )
        return value

    def _types(self, scope: Scope, declared: TypeExpr, count: int | None) -> Any:
        if count is not None:
            return [self._types(scope, declared, None) for _ in range(count)]
        if isinstance(declared, RecordType):
            return {key: self._types(scope, inner, None) for key, inner in declared.fields.items()}
        if isinstance(declared, AnyType):
            raise error_at(declared.span, "an input of a model has a type with dims: `float[N, 3]`")
        return tensor_type(declared, scope.evaluate, scope.compute)

    def _split(self, scope: Scope, outputs: Any) -> tuple[list[str], list[Value], list[str], list[Value]]:
        """Outputs and state updates, flattened, with their values."""
        document = self.context.loaded.document
        names: list[str] = []
        values: list[Value] = []
        updates: list[str] = []
        updated: list[Value] = []
        for name, value in outputs.items():
            span = self.module.outputs.key_span(name)
            if isinstance(value, (int, float)):
                with scope.errors_at(span):
                    value = as_tensor(scope.body.build, name, value)
            if isinstance(value, str):
                raise error_at(span, f"the output `{name}` is a text, not a tensor")
            is_state = name in (document.state or {})
            for path, tensor in flatten(name, value):
                if not is_state:
                    names.append(path)
                    values.append(tensor.value)
                    continue
                wanted = self.states.get(path)
                if wanted is None or wanted.type != tensor.type:
                    was = "missing there" if wanted is None else str(wanted.type)
                    raise error_at(span, f"the output `{path}` sets a state: it is {tensor.type}, the state is {was}")
                updates.append(path)
                updated.append(tensor.value)
        return names, values, updates, updated


def map_types(types: Any, make: Any) -> Any:
    """The structure with each type replaced by what ``make`` gives."""
    if isinstance(types, list):
        return [map_types(item, make) for item in types]
    if isinstance(types, dict):
        return {key: map_types(item, make) for key, item in types.items()}
    return make(types)


def _dims_of(declared: TypeExpr) -> Iterator[Formula]:
    if isinstance(declared, RecordType):
        for inner in declared.fields.values():
            yield from _dims_of(inner)
    elif isinstance(declared, DeclaredTensor):
        yield from (dim for dim in declared.dims if isinstance(dim, Formula))


def _whole(scope: Scope, formula: Formula) -> int:
    value = scope.static(formula, "this")
    if not isinstance(value, int) or isinstance(value, bool):
        raise error_at(formula.span, f"a whole number stands here, not {describe(value)}")
    return value


def _plain(scope: Scope, declaration: Any) -> Any:
    """Declarations of `from` as plain data: numbers, texts, lists, dicts."""
    if isinstance(declaration, BaseModel):
        keys = type(declaration).model_fields
        data = {key: _plain(scope, getattr(declaration, key)) for key in keys if getattr(declaration, key) is not None}
        return data
    if isinstance(declaration, StaticValue):
        return read_value(scope, declaration, frozenset({"*"} if declaration.value == "" else ()))
    if isinstance(declaration, Formula):
        return scope.static(declaration, "this")
    return str(declaration) if isinstance(declaration, str) else declaration


def _check_given(request: Request, modules: Mapping[str, Any], collector: Collector, at: Any) -> None:
    optional = {name for module in modules.values() for name, d in (module.inputs or {}).items() if d.optional}
    for name in sorted(request.given - optional):
        listed = ", ".join(sorted(optional)) or "none"
        collector.report(
            at, f"there is no optional input `{name}`", suggest(name, optional) or f"optional inputs: {listed}"
        )


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
    mesh = {name: _whole(home, size) for name, size in sharding.mesh.items()}
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
            for size, axis in zip(parameter.type.shape, axes, strict=True):
                if axis is not None and axis in mesh and mesh[axis] > 0 and bounds(size)[0] % mesh[axis] != 0:
                    message = f"`{parameter.path}`: {size} is not divisible by the {mesh[axis]} chips of `{axis}`"
                    collector.report(span, message)


def _sources(context: Context) -> Iterator[WeightsSource]:
    document = context.loaded.document
    yield WeightsSource(context.root.path, document.weights or {}, None)
    for part in context.parts.values():
        if part.inner is not None:
            for at, source in enumerate(_sources(part.inner)):
                file = getattr(part.declaration, "weights", None) if at == 0 else source.file
                yield replace(source, file=None if file is None else str(file))


def _warnings(program: Program) -> tuple[str, ...]:
    used = set(program.used_tensors())
    return tuple(
        f"the parameter `{path}` is owned, but nothing uses it" for path in program.parameters if path not in used
    )
