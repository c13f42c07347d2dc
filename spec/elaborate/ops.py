"""One op or layer applied to operands: parameters are owned or given, results named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...compiler.ir import DType, Loc, Op, OpError, Parameter, Shape, TensorType
from ...compiler.ir.dims import decide
from ...compiler.ir.types import check_size
from ...compiler.ops.tensor import Tensor
from ..diagnostics import error_at, suggest
from ..layers.base import Layer
from ..source import Span
from .application import MISSING, apply_op, as_tensor, line_up, operand_names
from .body import Key, Owned, join
from .scope import Scope
from .values import Named, Value, map_leaves

SEED, DRAWS = Key("random/seed", absolute=True), Key("random/step", absolute=True)
"""The seed of a training run, and the number of the step: what a training graph draws by."""

PATH = re.compile(r"[\w/:-]+(\.[\w/:-]+)*", re.ASCII)


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
        owner = (self.index, iteration)
        return Site(self.scope, self.node, self.fields, self.index, self.span, label, owner, self.part, self.used)

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
    dtype = None if compute is None else _float_dtype(*compute)
    if dtype is None and isinstance(op, Layer) and op.name in scope.context.program.keep:
        dtype = DType.FLOAT32
    with scope.errors_at(site.span):
        names = [*op.operands, *(f"{name}?" for name in op.owned)] if isinstance(op, Layer) else list(op.operands)
        values = operands if positional else _by_name(site, op.name, names, operands)
        if not isinstance(op, Layer):
            values = _with_random_counter(scope, operand_names(names), values)
        before = None
        if dtype is not None:
            values, before = _cast_in(values, dtype)
        if isinstance(op, Layer):
            named = _run_layer(site, op, line_up(op.name, names, values), base, each, dtype)
        else:
            named = Named(apply_op(scope.body.build, op, values, scope.compute))
        if before is not None:
            back = map_leaves(named.value, lambda t: t.cast(before) if t.dtype.is_float else t)
            named = Named(back, named.parameters)
        return named


def _float_dtype(span: Span, word: str) -> DType:
    floats = [dtype.value for dtype in DType if dtype.is_float]
    if word not in floats:
        raise error_at(span, f"`compute` is a float dtype, not `{word}`", suggest(word, floats) or ", ".join(floats))
    return DType(word)


def _with_random_counter(scope: Scope, operands: list[tuple[str, str]], values: list[Value]) -> list[Value]:
    """In a training graph the seed and the counter of random numbers may be left out; training has its own.

    What draws only if it has a seed (dropout) draws while something is learned.
    """
    program, own = scope.context.program, {"seed": SEED, "step": DRAWS}
    marks = dict(operands)
    if not program.draws or not own.keys() <= marks.keys() or (marks["seed"] == "?" and not program.training):
        return values
    given = dict(zip(marks, values, strict=False))
    if len(values) > len(marks) or any(_is_given(given.get(name)) for name in own):
        return values
    return [
        scope.body.parameter(own[name], TensorType(DType.INT64, ())) if name in own else given.get(name, MISSING)
        for name in marks
    ]


def _is_given(value: Value) -> bool:
    """Whether an operand is there: neither left out nor null."""
    return value is not None and value is not MISSING


def checked_path(text: str, span: Span) -> str:
    """A path of parameters: segments joined with dots. Raises SpecError."""
    if not PATH.fullmatch(text):
        hint = "letters, digits and `_`, `-`, `/`, `:` in segments joined with single dots"
        raise error_at(span, f"`{text[:60]}` is not a path of parameters", hint)
    return text


def _by_name(site: Site, what: str, names: list[str], operands: Mapping[str, Value]) -> list[Value]:
    declared = [name for name, _ in operand_names(names)]
    for key in operands:
        if key not in declared:
            hint = suggest(key, declared) or f"its operands: {', '.join(declared) or 'none'}"
            raise error_at(site.span, f"`{what}` has no operand `{key}`", hint)
    return [operands.get(name, MISSING) for name in declared]


def _cast_in(values: list[Value], dtype: DType) -> tuple[list[Value], DType | None]:
    """Float operands in another dtype, and the dtype that they had."""
    found = [value.dtype for value in values if isinstance(value, Tensor) and value.dtype.is_float]
    cast = [map_leaves(value, lambda t: t.cast(dtype) if t.dtype.is_float else t) for value in values]
    return cast, found[0] if found else None


def _run_layer(
    site: Site,
    layer: Layer,
    lined: list[Value],
    base: Key | None,
    each: Mapping[str, str] | None,
    compute: DType | None,
) -> Named:
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
            if not _may_be(tensor.shape, spec.shape):
                raise OpError(f"{layer.name}: `{spec.name}` is {type}, given is {tensor.type}")
            parameters[spec.name] = tensor
            continue
        key = _key(site, layer, spec.name, base, each)
        site.used[spec.name] = (key, type)
        tensor = own_parameter(scope, key, type, spec.init, spec.trainable, site.owner, site.span)
        parameters[spec.name] = tensor.cast(scope.compute) if tensor.dtype.is_float else tensor
    for name, value in given.items():
        if value is not None:
            raise OpError(f"{layer.name}: it has no parameter `{name}` with these fields")
    for name in each or ():
        if name not in layer.owned:
            hint = suggest(name, layer.owned) or f"its parameters: {', '.join(layer.owned)}"
            raise error_at(site.span, f"`{layer.name}` has no parameter `{name}` to place", hint)
    # Other nodes see the parameters in the dtype that everything has.
    inside = {name: t.cast(compute) if compute and t.dtype.is_float else t for name, t in parameters.items()}
    if not scope.context.program.training:
        return Named(layer.lower(build, *tensors, **inside), parameters)
    value, updates = layer.train(build, *tensors, **inside)
    for name, tensor in updates.items():
        if name in site.used:
            key, type = site.used[name]
            scope.body.updates[key] = tensor.cast(type.dtype)
    return Named(value, parameters)


def _may_be(shape: Shape, wanted: Shape) -> bool:
    """Whether two shapes are equal for some allowed sizes; the layer guards what is not sure."""
    return len(shape) == len(wanted) and all(
        decide(a, "==", b) is not False for a, b in zip(shape, wanted, strict=True)
    )


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
    """Enter a parameter of this body; gives it as it is stored. Raises `OpError` for sizes that are not known."""
    if not type.is_static:
        raise OpError(f"the shape of a parameter is known when the spec is read, this is {type}")
    try:
        check_size(type)
    except ValueError as error:
        raise OpError(str(error)) from None
    loc = Loc(scope.context.file, span.start_line, span.start_column, key.path)
    parameter = Parameter(key.path, type, init, trainable, loc)
    scope.body.owned.append(Owned(key, owner, parameter, (span,)))
    return scope.body.current(key, type)
