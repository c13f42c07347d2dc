"""Calls of blocks and sub-models: operands are matched with declared inputs, each body is built once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ...compiler.ir import AnyDim, TensorType
from ...compiler.ir.dims import decide, maximum, minimum
from ...compiler.ops.control import Call
from ...compiler.ops.tensor import Tensor, apply
from ..diagnostics import SpecError, error_at, suggest
from ..formula.ast import names
from ..model.declarations import ConstantDecl, Inputs, ParamDecl
from ..model.formulas import Formula, StaticValue
from ..model.operands import Operand
from ..model.types import TensorType as DeclaredTensor
from ..source import Span
from .body import Body, Function, Key, Slot
from .context import DEEPEST_CALLS, MOST_FUNCTIONS, MOST_VALUES, Context, check_nodes
from .fields import read_value
from .scope import Scope
from .types import Binder, fill, placeholder, tensor_type
from .values import Named, Poisoned, Value, describe, leaves, map_leaves, signature


class Module(Protocol):
    """What blocks, entries and the main graph of a document have in common."""

    @property
    def inputs(self) -> Inputs | None: ...
    @property
    def params(self) -> Mapping[str, ParamDecl] | None: ...
    @property
    def constants(self) -> Mapping[str, ConstantDecl] | None: ...
    @property
    def graph(self) -> Any: ...
    @property
    def outputs(self) -> Mapping[str, Operand] | None: ...


RunModule = Callable[[Scope, Module], Value]
"""Builds the graph of a module in a scope whose inputs are set; gives its value."""


@dataclass(frozen=True, slots=True)
class Callee:
    """A module with its args: what is called, and how errors call it.

    ``base`` is where its parameters live, None if nobody said; ``owner`` identifies the calling node (empty: a part).
    """

    module: Module
    context: Context
    name: str
    statics: Mapping[str, Value]
    base: Key | None
    owner: tuple[Any, ...]
    let: Mapping[str, StaticValue] | None
    outputs: Mapping[str, Any] | None = None

    @property
    def declared(self) -> Mapping[str, Any]:
        return self.module.inputs or {}

    @property
    def gives_record(self) -> bool:
        return self.module.outputs is not None


def given_inputs(callee: Callee, operands: Value | None, positional: bool, span: Span) -> dict[str, Value]:
    """Operands by input name. ``positional`` says that they were given as a formula or list. Raises SpecError."""
    names = list(callee.declared)
    if not positional:
        assert isinstance(operands, dict)
        for key in operands:
            if key not in names:
                hint = suggest(key, names) or f"its inputs: {', '.join(names) or 'none'}"
                raise error_at(span, f"`{callee.name}` has no input `{key}`", hint)
        return dict(operands)
    values = operands if isinstance(operands, list) else [operands]
    if _takes_list(callee) and len(values) > 1:
        # The only input is a list, which may be written as one.
        values = [values]
    if len(values) > len(names):
        listed = ", ".join(names) or "none"
        raise error_at(span, f"`{callee.name}` takes {len(names)} inputs ({listed}), {len(values)} are given")
    return dict(zip(names, values, strict=False))


def _takes_list(callee: Callee) -> bool:
    first = next(iter(callee.declared.values()), None)
    return first is not None and first.count is not None and len(callee.declared) == 1


def match_inputs(
    scope: Scope, callee: Callee, given: Mapping[str, Value], span: Span
) -> tuple[dict[str, Value], dict[str, AnyDim]]:
    """Check values against the declared inputs; numbers become tensors in ``scope``'s body.

    Tensors may be represented by their types. Returns the values of all inputs and the symbols. Raises SpecError.
    """
    inner = module_scope(scope, callee)
    values: dict[str, Value] = {}
    binder = Binder(callee.name, _evaluate_dims(inner), inner.symbols, scope.body.shapes, span)
    counts: dict[str, int | None] = {}
    for name, declaration in callee.declared.items():
        value = given.get(name)
        if value is None and not declaration.optional:
            state = "null" if name in given else "missing"
            raise error_at(span, f"`{callee.name}`: the input `{name}` is {state}", f"in: {{{name}: ...}}")
        counts[name] = _count(inner, declaration)
        _match(binder, name, declaration, counts[name], value)
        values[name] = value

    def make(declared: DeclaredTensor) -> TensorType:
        return tensor_type(declared, inner.size, scope.compute)

    with scope.errors_at(span):
        binder.solve()
        _check_bounds(scope, callee, inner.symbols, span)
        for name, declaration in callee.declared.items():
            values[name] = fill(declaration.type, counts[name], values[name], make, scope.body.build)
    return values, inner.symbols


def _check_bounds(scope: Scope, callee: Callee, symbols: Mapping[str, AnyDim], span: Span) -> None:
    """The `dims` of a sub-model hold for its calls. What cannot be decided becomes a guard. Raises SpecError."""
    dims: Any = getattr(callee.module, "dims", None) or {}
    home = Scope(callee.context, scope.body, scope.collector)
    for name in dims:
        size = symbols.get(name)
        if size is None:
            continue
        low, high = (home.static(bound, "a bound") for bound in dims[name])
        if not all(isinstance(bound, int) for bound in (low, high)):
            raise error_at(dims.key_span(name), f"the bounds of {name} are whole numbers")
        if decide(size, "<", low) or decide(size, ">", high):
            raise error_at(span, f"`{callee.name}`: {name} is {size} here; it lies from {low} to {high}")
        scope.body.shapes.same(maximum(size, low), size, name)
        scope.body.shapes.same(minimum(size, high), size, name)


def _count(scope: Scope, declaration: Any) -> int | None:
    if declaration.count is None:
        return None
    count = scope.static(declaration.count, "a count")
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= 10**6:
        raise error_at(declaration.count.span, f"a count is a whole number up to 10^6, not {describe(count)}")
    return count


def _match(binder: Binder, name: str, declaration: Any, count: int | None, value: Value) -> None:
    if count is None or value is None or isinstance(value, (int, float, bool)):
        binder.match(name, declaration.type, value)
        return
    if not isinstance(value, list) or len(value) != count:
        raise error_at(binder.span, f"{binder.what(name)} is a list of {count}, not {describe(value)}")
    for at, item in enumerate(value):
        binder.match(f"{name}[{at}]", declaration.type, item)


def _evaluate_dims(scope: Scope) -> Callable[[Formula, dict[str, AnyDim]], Value]:
    """Evaluates dims in ``scope``; symbols that are not bound yet become placeholders."""

    def evaluate(formula: Formula, unbound: dict[str, AnyDim]) -> Value:
        for name in names(formula.expr):
            if name.id[0].isupper() and name.id not in scope.symbols:
                unbound[name.id] = placeholder(name.id)
        with_unbound = replace(scope, symbols={**scope.symbols, **unbound})
        return with_unbound.size(formula)

    return evaluate


def module_scope(caller: Scope, callee: Callee) -> Scope:
    """A scope for the inside of a callee, without inputs yet."""
    return Scope(
        context=callee.context,
        body=caller.body,
        collector=caller.collector,
        statics=dict(callee.statics),
        chain=caller.chain,
        module=callee.module,
    )


def call(scope: Scope, callee: Callee, given: Mapping[str, Value], span: Span, label: str, run: RunModule) -> Value:
    """Call a module on values of ``scope``; gives its value there. Raises SpecError, Poisoned."""
    values, symbols = match_inputs(scope, callee, given, span)
    function = _function(scope, callee, values, symbols, span, label, run)
    scope.place(span, label)
    return emit_call(scope.body, callee, function, values, span)


def emit_call(body: Body, callee: Callee, function: Function, values: Mapping[str, Value], span: Span) -> Value:
    """Append the call node; enter the parameters that the function owns and needs. Raises SpecError."""
    name, base, owner = callee.name, callee.base, callee.owner
    if base is None:
        if any(not owned.key.absolute for owned in function.owned):
            raise error_at(span, f"`{name}` owns parameters, so the node needs a `name` or a `path`")
        base = Key("")
    for owned in function.owned:
        body.owned.append(owned.under(base, owner, span))
    body.expanded += function.nodes
    check_nodes(body.expanded, span)
    operands = [tensor for value in values.values() for tensor in leaves(value)]
    if max(len(operands), len(function.graph.outputs)) > MOST_VALUES:
        raise error_at(span, f"`{name}` takes or gives more than {MOST_VALUES} tensors", limit="values")
    known = function.graph.inputs[len(operands) :]
    for key, value in zip(function.parameters, known, strict=True):
        operands.append(body.current(key.under(base), value.type))
    types = tuple(value.type for value in function.graph.outputs)
    results = apply(body.build, Call(function=function.name, types=types), operands) if types else []
    updated = results[len(results) - len(function.updates) :]
    body.updates |= {key.under(base): tensor for key, tensor in zip(function.updates, updated, strict=True)}
    return _from_template(function.template, results)


def _from_template(template: Any, results: list[Tensor]) -> Value:
    if isinstance(template, Slot):
        return results[template.index]
    if isinstance(template, list):
        return [_from_template(item, results) for item in template]
    if isinstance(template, dict):
        return {key: _from_template(item, results) for key, item in template.items()}
    return template


def _function(
    scope: Scope,
    callee: Callee,
    values: Mapping[str, Value],
    symbols: Mapping[str, AnyDim],
    span: Span,
    label: str,
    run: RunModule,
) -> Function:
    program = scope.context.program
    outputs = callee.outputs
    identity = (id(callee.module), callee.context, None if outputs is None else tuple(outputs.items()))
    key = (identity, signature(dict(callee.statics)), signature(dict(values)))
    for at, (active, name, _) in enumerate(program.active):
        if active == identity:
            path = " -> ".join([*(called for _, called, _ in program.active[at:]), name])
            raise error_at(span, f"the block `{callee.name}` calls itself: {path}", limit="block-recursion")
    if key in program.built:
        function = program.built[key]
        if function is None:
            raise Poisoned
        return function
    if len(program.active) >= DEEPEST_CALLS:
        raise error_at(span, f"blocks call each other more than {DEEPEST_CALLS} deep", limit="call-depth")
    if len(program.functions) >= MOST_FUNCTIONS:
        message = f"blocks are called with more than {MOST_FUNCTIONS} different args and operand types"
        raise error_at(span, message, limit="functions")
    program.built[key] = None
    program.active.append((identity, callee.name, span))
    try:
        function = _build(scope, callee, values, symbols, span, label, run)
    finally:
        program.active.pop()
    program.built[key] = function
    program.functions[function.name] = function.graph
    return function


def _build(
    scope: Scope,
    callee: Callee,
    values: Mapping[str, Value],
    symbols: Mapping[str, AnyDim],
    span: Span,
    label: str,
    run: RunModule,
) -> Function:
    inner = module_scope(scope, callee)
    inner.body = Body(scope.body.shapes)
    inner.chain = ((callee.name, span), *scope.chain)
    inner.symbols = dict(symbols)
    inner.names = {name: map_leaves(value, lambda t: inner.body.input(t.type)) for name, value in values.items()}
    for name, static in (callee.let or {}).items():
        try:
            inner.statics[name] = read_value(inner, static)
        except SpecError as error:
            inner.report(error)
            raise Poisoned from None
    result = run(inner, callee.module)
    if callee.outputs is not None:
        result = _picked(inner, callee)
    if inner.broken:
        raise Poisoned
    name = scope.context.program.function_name(_wish(callee.name))
    return finish(inner.body, name, result, prune=callee.outputs is not None)


def _picked(inner: Scope, callee: Callee) -> Value:
    """The nodes of a sub-model that a part takes instead of its outputs. Raises SpecError."""
    picked = {}
    for name, reference in (callee.outputs or {}).items():
        first, *fields = str(reference).split(".")
        if first not in inner.names:
            message = f"the model `{callee.name}` has no node called `{first}`"
            raise error_at(reference.span, message, suggest(first, inner.names))
        value = inner.names[first]
        value = value.value if isinstance(value, Named) else value
        for field in fields:
            value = _field(callee, reference, value, field)
        picked[name] = value
    return picked


def _field(callee: Callee, reference: Any, value: Value, field: str) -> Value:
    if value is None:
        return None
    if isinstance(value, dict) and field in value:
        return value[field]
    if isinstance(value, list) and field.isdigit() and int(field) < len(value):
        return value[int(field)]
    message = f"`{reference}` of the model `{callee.name}`: {describe(value)} has no `{field}`"
    raise error_at(reference.span, message, suggest(field, value) if isinstance(value, dict) else None)


def _wish(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def finish(body: Body, name: str, result: Value, *, prune: bool = False) -> Function:
    """The function of a finished body. With ``prune`` it owns only the parameters that its result needs."""
    tensors: list[Tensor] = []

    def slot(tensor: Tensor) -> Slot:
        tensors.append(tensor)
        return Slot(len(tensors) - 1)

    template = map_leaves(result, slot)
    if prune:
        _prune(body, tensors)
    graph = body.graph([tensor.value for tensor in (*tensors, *body.updates.values())])
    nodes = len(graph.nodes) + body.expanded
    return Function(name, graph, tuple(body.parameters), tuple(body.owned), template, nodes, tuple(body.updates))


def _prune(body: Body, tensors: list[Tensor]) -> None:
    needed = {tensor.value for tensor in tensors}
    kept = []
    for node in reversed(body.build.nodes):
        if any(value in needed for value in node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    body.build.nodes = kept[::-1]
    made = {value for node in kept for value in node.outputs}
    body.updates = {key: tensor for key, tensor in body.updates.items() if tensor.value in made}
    body.parameters = {key: value for key, value in body.parameters.items() if value in needed}
    body.owned = [owned for owned in body.owned if owned.key in body.parameters]
