"""One op or layer applied to operands: parameters are owned or given, results named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...compiler.ir import DType, Op, OpError, Parameter, TensorType
from ...compiler.ops.tensor import Tensor
from ..diagnostics import error_at, suggest
from ..layers.base import Layer
from ..source import Span
from .application import apply_op, as_tensor, line_up, operand_names
from .body import Key, Owned, join
from .scope import Scope
from .values import Named, Value, map_leaves


@dataclass(frozen=True, slots=True)
class Site:
    """Where a node stands: its scope, its number and iteration. ``used`` collects the parameters of an op part."""

    scope: Scope
    node: Any
    fields: Any
    index: int
    span: Span
    label: str
    owner: tuple[Any, ...] = ()
    part: str | None = None
    used: dict[str, tuple[Key, TensorType]] = field(default_factory=dict)

    def at(self, iteration: int | None) -> Site:
        """The site in one iteration of a repeat."""
        label = self.label if iteration is None else f"{self.label}.{iteration}"
        return replace(self, owner=(self.index, iteration), label=label)

    def of_part(self, name: str) -> Site:
        """The site of a call of an op part: every call has the same owner."""
        return replace(self, owner=("part", name), part=name, used={})

    def key_span(self, key: str) -> Span:
        """Where a key of the node stands."""
        return self.span


def run_op(
    site: Site,
    op: Op | Layer,
    operands: Value,
    positional: bool,
    base: Key | None,
    each: Mapping[str, str] | None,
    compute: tuple[Span, str] | None,
) -> Named:
    """The value of an op node. ``each`` places single parameters, ``compute`` names a dtype. Raises SpecError."""
    scope = site.scope
    scope.place(site.span, site.label)
    with scope.errors_at(site.span):
        names = [*op.operands, *(f"{name}?" for name in op.owned)] if isinstance(op, Layer) else list(op.operands)
        values = operands if positional else _by_name(site, op.name, names, operands)
        before = None
        if compute is not None:
            values, before = _cast_in(values, compute)
        if isinstance(op, Layer):
            named = _run_layer(site, op, line_up(op.name, names, values), base, each)
        else:
            named = Named(apply_op(scope.body.build, op, values))
        if before is not None:
            named = Named(
                map_leaves(named.value, lambda t: t.cast(before) if t.dtype.is_float else t), named.parameters
            )
        return named


def _by_name(site: Site, what: str, names: list[str], operands: Mapping[str, Value]) -> list[Value]:
    declared = [name for name, _ in operand_names(names)]
    for key in operands:
        if key not in declared:
            hint = suggest(key, declared) or f"its operands: {', '.join(declared) or 'none'}"
            raise error_at(site.span, f"`{what}` has no operand `{key}`", hint)
    return [operands.get(name) for name in declared]


def _cast_in(values: list[Value], compute: tuple[Span, str]) -> tuple[list[Value], DType | None]:
    span, word = compute
    floats = [dtype.value for dtype in DType if dtype.is_float]
    if word not in floats:
        raise error_at(span, f"`compute` is a float dtype, not `{word}`", suggest(word, floats) or ", ".join(floats))
    found = [value.dtype for value in values if isinstance(value, Tensor) and value.dtype.is_float]
    cast = [map_leaves(value, lambda t: t.cast(DType(word)) if t.dtype.is_float else t) for value in values]
    return cast, found[0] if found else None


def _run_layer(site: Site, layer: Layer, lined: list[Value], base: Key | None, each: Mapping[str, str] | None) -> Named:
    scope = site.scope
    build = scope.body.build
    count = len(layer.operands)
    tensors = [None if value is None else as_tensor(build, layer.name, value) for value in lined[:count]]
    given = dict(zip(layer.owned, lined[count:], strict=True))
    parameters: dict[str, Tensor] = {}
    for spec in layer.parameters(*tensors):
        dtype = spec.dtype or scope.context.program.storage
        type = TensorType(dtype, spec.shape)
        operand = given.pop(spec.name, None)
        if operand is not None:
            tensor = as_tensor(build, layer.name, operand)
            if tensor.shape != spec.shape:
                raise OpError(f"{layer.name}: `{spec.name}` is {type}, given is {tensor.type}")
            parameters[spec.name] = tensor
            continue
        key = _key(site, layer, spec.name, base, each)
        site.used[spec.name] = (key, type)
        parameters[spec.name] = own_parameter(scope, key, type, spec.init, spec.trainable, site.owner, site.span)
    for name, value in given.items():
        if value is not None:
            raise OpError(f"{layer.name}: it has no parameter `{name}` with these fields")
    if each is not None:
        for name in each:
            if name not in layer.owned:
                hint = suggest(name, layer.owned)
                raise error_at(site.span, f"`{layer.name}` has no parameter `{name}` to place", hint)
    return Named(layer.lower(build, *tensors, **parameters), parameters)


def _key(site: Site, layer: Layer, name: str, base: Key | None, each: Mapping[str, str] | None) -> Key:
    if each is not None and name in each:
        absolute = base is not None and base.absolute
        return Key(each[name], absolute)
    if base is None:
        raise error_at(site.span, f"`{layer.name}` owns parameters, so the node needs a `name` or a `path`")
    return Key(join(base.path, name), base.absolute)


def own_parameter(
    scope: Scope, key: Key, type: TensorType, init: Any, trainable: bool, owner: tuple[Any, ...], span: Span
) -> Tensor:
    """Enter a parameter of this body; gives it in the compute dtype (16-bit storage is cast, float64 too)."""
    for size in type.shape:
        if not isinstance(size, int):
            raise OpError(f"the shape of a parameter is known when the spec is read, this is {type}")
    parameter = Parameter(key.path, type, init, trainable)
    scope.body.owned.append(Owned(key, owner, parameter, span))
    tensor = scope.body.parameter(key, type)
    return tensor.cast(scope.compute) if type.dtype.is_float else tensor
