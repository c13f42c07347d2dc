"""One entry of a document: ports from declared inputs, states, outputs by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from ...compiler.ir import Entry, Graph, Port, State, Symbol, TensorType, Value
from ...compiler.ir.dims import LIMIT
from ...compiler.ir.dims import symbol as make_symbol
from ...compiler.ir.dims import symbols as symbols_of
from ...compiler.ops.tensor import Tensor
from ..diagnostics import error_at, suggest
from ..formula.ast import names as names_in
from ..model.declarations import InputSource
from ..model.formulas import Formula, StaticValue
from ..model.types import AnyType, RecordType, TypeExpr
from ..model.types import TensorType as DeclaredTensor
from .application import as_tensor
from .body import Body, Key
from .context import Context
from .fields import read_value
from .nodes import run_module
from .scope import Scope
from .types import tensor_type
from .values import describe, flatten

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
    state_values: dict[str, Value] = field(default_factory=dict)

    def open(self) -> Scope:
        """The scope of the entry with its inputs and states. Raises SpecError."""
        program = self.context.program
        program.start_entry()
        scope = Scope(self.context, Body(program.shapes), program.collector, module=self.module)
        scope.symbols.update(self._symbols(scope))
        self.add_inputs(scope, self.module.inputs or {})
        for name, declaration in (self.context.loaded.document.state or {}).items():
            scope.names[name] = self._state(scope, name, declaration)
        return scope

    def add_inputs(self, scope: Scope, declarations: Mapping[str, Any]) -> None:
        """Declared inputs become ports and names. Raises SpecError."""
        for name, declaration in declarations.items():
            scope.names[name] = self._input(scope, name, declaration)

    def build(self) -> Entry:
        """The finished entry. Raises SpecError, Poisoned."""
        scope = self.open()
        program, body = self.context.program, scope.body
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
        found = declared_symbols(self.module, self.context.loaded.document)
        dims: Any = getattr(self.module, "dims", None) or {}
        for name in dims:
            if name not in found:
                raise error_at(dims.key_span(name), f"no input has the dimension {name}", suggest(name, found))
        symbols = {}
        for name in found:
            low, high = 1, LIMIT
            if name in dims:
                low, high = (whole(scope, bound) for bound in dims[name])
                if low > high or low < 0:
                    raise error_at(dims.key_span(name), f"the range of {name} is empty: {low} to {high}")
            symbols[name] = self._fixed(name, low, high) if name in self.dims else make_symbol(name, low, high)
        return symbols

    def _fixed(self, name: str, low: int, high: int) -> int:
        size = self.dims[name]
        if not low <= size <= high:
            at = self.context.loaded.source.whole()
            raise error_at(at, f"{name} is {size}; it must lie from {low} to {high}")
        return size

    def _used_symbols(self, scope: Scope) -> tuple[Symbol, ...]:
        used = {s for port in self.ports for size in port.type.shape for s in symbols_of(size)}
        return tuple(sorted(used, key=lambda s: s.name))

    def _input(self, scope: Scope, name: str, declaration: Any) -> Any:
        if declaration.optional and name not in self.given:
            return None
        count = None if declaration.count is None else whole(scope, declaration.count)
        bounds = None
        if declaration.range is not None:
            bounds = (whole(scope, declaration.range[0]), whole(scope, declaration.range[1]))
            if bounds[0] > bounds[1]:
                raise error_at(declaration.span, f"the range of `{name}` is empty: {bounds[0]} to {bounds[1]}")
        source = None if declaration.from_ is None else plain_data(scope, declaration.from_)
        types = self._types(scope, declaration.type, count)
        value = map_types(types, scope.body.input)
        for path, tensor in flatten(name, value):
            self.ports.append(Port(path, tensor.type, bounds, source, str(declaration.doc or "")))
        return value

    def _state(self, scope: Scope, name: str, declaration: Any) -> Any:
        count = None if declaration.count is None else whole(scope, declaration.count)
        types = self._types(scope, declaration.type, count)
        initial = 0 if declaration.initial is None else read_value(scope, declaration.initial)
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


def declared_symbols(module: Any, document: Any) -> dict[str, None]:
    """The dimension symbols in the inputs of a module and the state of its document, in order."""
    found: dict[str, None] = {}
    for declaration in [*(module.inputs or {}).values(), *(document.state or {}).values()]:
        for formula in dims_of(declaration.type):
            found.update(dict.fromkeys(name.id for name in names_in(formula.expr) if name.id[0].isupper()))
    return found


def map_types(types: Any, make: Any) -> Any:
    """The structure with each type replaced by what ``make`` gives."""
    if isinstance(types, list):
        return [map_types(item, make) for item in types]
    if isinstance(types, dict):
        return {key: map_types(item, make) for key, item in types.items()}
    return make(types)


def dims_of(declared: TypeExpr) -> Iterator[Formula]:
    if isinstance(declared, RecordType):
        for inner in declared.fields.values():
            yield from dims_of(inner)
    elif isinstance(declared, DeclaredTensor):
        yield from (dim for dim in declared.dims if isinstance(dim, Formula))


def whole(scope: Scope, formula: Formula) -> int:
    value = scope.static(formula, "this")
    if not isinstance(value, int) or isinstance(value, bool):
        raise error_at(formula.span, f"a whole number stands here, not {describe(value)}")
    return value


def plain_data(scope: Scope, declaration: Any) -> Any:
    """Declarations of `from` as plain data: numbers, texts, lists, dicts."""
    if isinstance(declaration, BaseModel):
        keys = type(declaration).model_fields
        given = [key for key in keys if getattr(declaration, key) is not None]
        text = isinstance(declaration, InputSource) and declaration.text is not None
        data = {key: plain_data(scope, getattr(declaration, key)) for key in given if not (text and key == "default")}
        if isinstance(declaration, InputSource) and declaration.text is not None and declaration.default is not None:
            data["default"] = scope.text(declaration.default.text_template())
        return data
    if isinstance(declaration, StaticValue):
        return read_value(scope, declaration)
    if isinstance(declaration, Formula):
        return scope.static(declaration, "this")
    return str(declaration) if isinstance(declaration, str) else declaration
