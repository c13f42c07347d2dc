"""One entry of a document: ports from declared inputs, states, outputs by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...compiler.ir import AnyDim, Dim, DType, Entry, Graph, Loc, OpError, Port, State, Symbol, TensorType, Value
from ...compiler.ir.dims import symbols as symbols_of
from ...compiler.ir.types import check_size
from ...compiler.ops.tensor import Tensor, full
from ..diagnostics import Collector, SpecError, error_at
from ..model.formulas import Formula
from ..model.types import AnyType, RecordType, TypeExpr
from ..source import Span
from .application import as_tensors
from .body import Body, Key
from .context import MOST_VALUES, Context
from .fields import read_value
from .inputs import check_bounds, input_source, whole
from .nodes import run_module
from .scope import Ref, Scope
from .symbols import bound_symbols, entry_symbols
from .types import check_number, tensor_type
from .values import POISON, describe, flatten

ROOT = Key("", absolute=True)
"""Where the parameters of the whole program live."""


@dataclass(slots=True)
class EntryBuilder:
    """One entry under elaboration: `open` makes its scope, `build` finishes it. ``dims`` fixes symbols."""

    context: Context
    name: str
    module: Any
    given: frozenset[str]
    states: dict[str, State]
    dims: Mapping[str, int] = field(default_factory=dict)
    ports: list[Port] = field(default_factory=list)
    sizes: list[tuple[Formula, AnyDim]] = field(default_factory=list)
    state_types: dict[str, Any] = field(default_factory=dict)
    state_values: dict[str, Value] = field(default_factory=dict)

    def open(self) -> Scope:
        """The scope of the entry with its inputs and states. Raises SpecError with all mistakes in them."""
        program = self.context.program
        document = self.context.loaded.document
        program.start_entry()
        scope = Scope(self.context, Body(program.shapes), program.collector, module=self.module)
        scope.symbols.update(entry_symbols(scope, self.module, self.dims))
        collector = Collector()
        self.add_inputs(scope, self.module.inputs or {}, collector)
        for name, declaration in (document.state or {}).items():
            try:
                scope.names[name] = self._state(scope, name, declaration)
            except SpecError as error:
                collector.add(error)
        collector.raise_any()
        # Symbols of optional inputs that are not given have no value.
        bound = bound_symbols(self.sizes)
        scope.symbols = {k: size for k, size in scope.symbols.items() if k in bound or isinstance(size, int)}
        return scope

    def add_inputs(self, scope: Scope, declarations: Mapping[str, Any], collector: Collector) -> None:
        """Declared inputs become ports and names; what is mistaken is reported, and its name poisoned."""
        for name, declaration in declarations.items():
            try:
                scope.names[name] = self._input(scope, name, declaration)
            except SpecError as error:
                collector.add(error)
                scope.names[name] = POISON

    def build(self) -> Entry:
        """The finished entry. Raises SpecError, Poisoned."""
        scope = self.open()
        return self.finish(scope, *self._split(scope, run_module(scope, self.module)))

    def finish(
        self, scope: Scope, names: list[str], values: list[Value], updates: list[str], updated: list[Value]
    ) -> Entry:
        """The entry that gives these outputs, by name, and sets these states."""
        program, body = self.context.program, scope.body
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
            symbols=self._used_symbols(kept, updated),
            guards=tuple(program.guards),
        )

    def _used_symbols(self, states: Mapping[str, Value], updated: list[Value]) -> tuple[Symbol, ...]:
        types = [port.type for port in self.ports] + [value.type for value in (*states.values(), *updated)]
        used = {s for type in types for size in type.shape for s in symbols_of(size)}
        return tuple(sorted(used, key=lambda s: s.name))

    # ---- inputs and states

    def _input(self, scope: Scope, name: str, declaration: Any) -> Any:
        if declaration.optional and name not in self.given:
            return None
        types = self._types(scope, declaration)
        bounds = self._bounds(scope, name, declaration, types)
        source = None
        if declaration.from_ is not None:
            source = input_source(scope, name, declaration.from_, list(_leaves(types)))
        value = _map_types(types, scope.body.input)
        for path, tensor in flatten(name, value):
            loc = self._loc(declaration.span, path)
            self.ports.append(Port(path, tensor.type, bounds, source, str(declaration.doc or ""), loc))
        return value

    def _state(self, scope: Scope, name: str, declaration: Any) -> Any:
        types = self._types(scope, declaration)
        initial = (
            0
            if declaration.initial is None
            else read_value(scope, declaration.initial, what="the first value of a state")
        )
        if not isinstance(initial, (bool, int, float)):
            raise error_at(declaration.initial.span, f"a state begins with a number, not {describe(initial)}")
        with scope.errors_at(declaration.initial.span if declaration.initial is not None else declaration.span):
            for type in _leaves(types):
                check_number(_unless_default(initial, declaration, type), type.dtype)
        bounds = self._bounds(scope, name, declaration, types)
        value = _map_types(types, lambda type: Tensor(scope.body.build, Value(type)))
        self.state_types[name] = types
        for path, tensor in flatten(name, value):
            self.state_values[path] = tensor.value
            first = _unless_default(initial, declaration, tensor.type)
            state = State(path, tensor.type, first, self._loc(declaration.span, path), bounds)
            known = self.states.setdefault(path, state)
            if known.type != tensor.type:
                message = f"the state `{path}` is {known.type} in one entry and {tensor.type} in another"
                hint = "bound its symbols with the document's `dims`" if str(known.type) == str(tensor.type) else None
                raise error_at(declaration.span, message, hint)
        return value

    def _bounds(self, scope: Scope, name: str, declaration: Any, types: Any) -> tuple[int, int] | None:
        """The range of an input or a state. Raises SpecError."""
        if declaration.range is None:
            return None
        bounds = (whole(scope, declaration.range[0]), whole(scope, declaration.range[1]))
        check_bounds(name, bounds, list(_leaves(types)), declaration.range[0].span)
        return bounds

    def _types(self, scope: Scope, declaration: Any) -> Any:
        """The tensor types of a declaration, in lists and records."""
        if declaration.count is None:
            return self._type(scope, declaration.type)
        count = whole(scope, declaration.count)
        if not 0 <= count <= MOST_VALUES:
            raise error_at(declaration.count.span, f"`count` lies from 0 to {MOST_VALUES}, this is {count}")
        return [self._type(scope, declaration.type) for _ in range(count)]

    def _type(self, scope: Scope, declared: TypeExpr) -> Any:
        if isinstance(declared, RecordType):
            return {key: self._type(scope, inner) for key, inner in declared.fields.items()}
        if isinstance(declared, AnyType):
            raise error_at(declared.span, "an input of a model has a type with dims: `float[N, 3]`")
        type = tensor_type(declared, scope.evaluate, scope.compute)
        try:
            check_size(type)
        except ValueError as error:
            raise error_at(declared.span, str(error)) from None
        self.sizes += zip((dim for dim in declared.dims if isinstance(dim, Formula)), type.shape, strict=True)
        return type

    def _loc(self, span: Span, label: str) -> Loc:
        return Loc(self.context.file, span.start_line, span.start_column, label)

    # ---- outputs

    def _split(self, scope: Scope, outputs: Any) -> tuple[list[str], list[Value], list[str], list[Value]]:
        """Outputs and state updates, flattened, with their values."""
        names: list[str] = []
        values: list[Value] = []
        updates: list[str] = []
        updated: list[Value] = []
        for name, value in outputs.items():
            span = self.module.outputs.key_span(name)
            scope.place(span, name)
            if name in self.state_types and value is not None:
                for path, tensor in flatten(name, self._update(scope, name, self.state_types[name], value, span)):
                    updates.append(path)
                    updated.append(tensor.value)
            elif value is not None:
                _check_output(name, value, span)
                for path, tensor in flatten(name, as_tensors(scope.body.build, value, scope.compute)):
                    names.append(path)
                    values.append(tensor.value)
        if len(names) + len(updates) > MOST_VALUES:
            span = self.module.outputs.span
            raise error_at(span, f"an entry gives at most {MOST_VALUES} tensors", limit="values")
        return names, values, updates, updated

    def _update(self, scope: Scope, path: str, types: Any, value: Any, span: Span) -> Any:
        """The next value of a state: of its structure and types; a number fills it. Raises SpecError."""
        if isinstance(types, TensorType):
            if isinstance(value, (bool, int, float, Dim)):
                with scope.errors_at(span):
                    check_number(value, types.dtype)
                    return full(scope.body.build, types.shape, value, types.dtype)
            if isinstance(value, Tensor):
                return self._of_type(scope, path, types, value, span)
        elif isinstance(types, list) and isinstance(value, list) and len(types) == len(value):
            pairs = enumerate(zip(types, value, strict=True))
            return [self._update(scope, f"{path}.{at}", type, item, span) for at, (type, item) in pairs]
        elif isinstance(types, dict) and isinstance(value, dict) and types.keys() == value.keys():
            return {key: self._update(scope, f"{path}.{key}", types[key], value[key], span) for key in types}
        elif isinstance(value, (bool, int, float)):
            return _map_types(types, lambda type: self._update(scope, path, type, value, span))
        wanted = str(types) if isinstance(types, TensorType) else describe(types)
        raise error_at(span, f"the output `{path}` sets a state: it is {describe(value)}, the state is {wanted}")

    def _of_type(self, scope: Scope, path: str, wanted: TensorType, tensor: Tensor, span: Span) -> Tensor:
        message = f"the output `{path}` sets a state: it is {tensor.type}, the state is {wanted}"
        if tensor.dtype is not wanted.dtype or tensor.rank != wanted.rank:
            raise error_at(span, message)
        with scope.errors_at(span):
            try:
                for left, right in zip(tensor.shape, wanted.shape, strict=True):
                    scope.body.shapes.same(left, right, "")
            except OpError:
                raise error_at(span, message) from None
            # Sizes that only a guard knows to be equal are written alike.
            return tensor if tensor.shape == wanted.shape else tensor.reshape(*wanted.shape)


def _check_output(name: str, value: Any, span: Span) -> None:
    """Raises SpecError for texts."""
    if isinstance(value, (list, dict)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            _check_output(f"{name}.{key}", item, span)
    elif isinstance(value, (str, Ref)):
        raise error_at(span, f"the output `{name}` is a text, not a tensor")


def _unless_default(initial: float, declaration: Any, type: TensorType) -> float:
    """The first value of a state; what is not said is 0, or false."""
    return False if declaration.initial is None and type.dtype is DType.BOOL else initial


def _map_types(types: Any, make: Any) -> Any:
    """The structure with each type replaced by what ``make`` gives."""
    if isinstance(types, list):
        return [_map_types(item, make) for item in types]
    if isinstance(types, dict):
        return {key: _map_types(item, make) for key, item in types.items()}
    return make(types)


def _leaves(types: Any) -> list[TensorType]:
    found: list[TensorType] = []
    _map_types(types, found.append)
    return found
