"""`repeat`, unrolled when the spec is read, and `scan`, a loop at run time. Both hand values on with `carry`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...compiler.ir import AnyDim, Dim, DType, Graph, TensorType
from ...compiler.ir.dims import LIMIT, decide
from ...compiler.ops import functional as F
from ...compiler.ops.control import Scan
from ...compiler.ops.tensor import Tensor, apply, full
from ..diagnostics import error_at, suggest
from ..model.nodes import Scan as ScanDecl
from ..source import Span
from .application import as_tensors
from .body import Body
from .calls import Callee, RunModule, call, match_inputs
from .context import MOST_NODES
from .scope import Scope
from .values import Value, describe, leaves, map_leaves, signature


def repeat_count(scope: Scope, formula: Any) -> int:
    """How often a node is repeated. Raises SpecError; a named limit for more than the nodes a program may have."""
    count = scope.static(formula, "`repeat`")
    if not isinstance(count, int) or isinstance(count, bool):
        raise error_at(formula.span, f"`repeat` is a whole number, not {describe(count)}")
    if count < 0:
        raise error_at(formula.span, f"`repeat` is 0 or more, not {count}")
    if count > MOST_NODES:
        raise error_at(formula.span, f"`repeat` is {MOST_NODES} at most, this is {count}", limit="repeat")
    return count


def repeat(
    iterations: Iterable[int],
    carry: Mapping[str, Value],
    outputs: Iterable[str] | None,
    once: Callable[[int, Mapping[str, Value]], Value],
    span: Span,
) -> Value:
    """Run ``once`` for each iteration and hand ``carry`` on.

    ``outputs`` names the fields of the result of an iteration, None if that is a single value. Raises SpecError.
    """
    names = None if outputs is None else list(outputs)
    check_carry(carry, names, span)
    carried = dict(carry)
    collected: list[Value] = []
    for i in iterations:
        value = once(i, carried)
        collected.append(value)
        carried = {name: value if names is None else value[name] for name in carried}
    if names is None:
        return next(iter(carried.values())) if carried else collected
    return {name: carried[name] if name in carried else [value[name] for value in collected] for name in names}


def check_carry(carry: Mapping[str, Value], outputs: list[str] | None, span: Span) -> None:
    """Carried inputs must come out again. Raises SpecError."""
    if outputs is None:
        if len(carry) > 1:
            raise error_at(span, "a block without `outputs` carries one input: its value", "give the block `outputs`")
        return
    for name in carry:
        if name not in outputs:
            hint = suggest(name, outputs) or f"its outputs: {', '.join(outputs)}"
            raise error_at(span, f"`{name}` is carried, but no output has this name", hint)


@dataclass(frozen=True, slots=True)
class Steps:
    """How a scan walks: its length, the axis of its sequences, and how it ends."""

    length: AnyDim
    axis: int
    reverse: bool
    lengths: Tensor | None


def scan(
    scope: Scope,
    declaration: ScanDecl,
    callee: Callee,
    given: Mapping[str, Value],
    carry: Mapping[str, Value],
    span: Span,
    label: str,
    run: RunModule,
) -> Value:
    """A scan of ``callee``: the last carried values, and the other outputs stacked. Raises SpecError, Poisoned."""
    outputs = list(callee.module.outputs) if callee.module.outputs is not None else None
    check_carry(carry, outputs, span)
    axis = _axis(scope, declaration)
    over = {name: scope.operand(operand) for name, operand in (declaration.over or {}).items()}
    for name, value in over.items():
        _check_sequence(name, value, axis, declaration)
    with scope.errors_at(span):
        sequences = {name: map_leaves(value, lambda t: F.move_axis(t, axis, 0)) for name, value in over.items()}
    steps = Steps(
        _length(scope, declaration, sequences, span),
        axis,
        _reverse(scope, declaration),
        _lengths(scope, declaration),
    )
    rows = {name: map_leaves(value, _row) for name, value in sequences.items()}
    matched, _ = match_inputs(scope, callee, {**given, **carry, **rows}, span)
    carried = {name: matched[name] for name in carry}
    constants = {name: matched[name] for name in given}
    loop = _Loop(scope, callee, declaration, steps, constants, carried, sequences, span, label, run)
    with scope.errors_at(span):
        return loop.build(outputs)


def _axis(scope: Scope, declaration: ScanDecl) -> int:
    if declaration.axis is None:
        return 0
    axis = scope.static(declaration.axis, "`axis`")
    if not isinstance(axis, int) or isinstance(axis, bool) or not 0 <= axis < 16:
        raise error_at(declaration.axis.span, f"`axis` counts from 0, this is {describe(axis)}")
    return axis


def _reverse(scope: Scope, declaration: ScanDecl) -> bool:
    return declaration.reverse is not None and scope.condition(declaration.reverse)


def _lengths(scope: Scope, declaration: ScanDecl) -> Tensor | None:
    if declaration.lengths is None:
        return None
    lengths = scope.evaluate(declaration.lengths)
    if lengths is not None and not (isinstance(lengths, Tensor) and lengths.rank == 1 and lengths.dtype is DType.INT64):
        raise error_at(declaration.lengths.span, f"`lengths` is int64[N], not {describe(lengths)}")
    return lengths


def _length(scope: Scope, declaration: ScanDecl, sequences: Mapping[str, Value], span: Span) -> AnyDim:
    walked = [tensor.shape[0] for value in sequences.values() for tensor in leaves(value)]
    if declaration.steps is not None:
        steps = scope.static(declaration.steps, "`steps`")
        if not isinstance(steps, (int, Dim)) or isinstance(steps, bool):
            raise error_at(declaration.steps.span, f"`steps` is a whole number, not {describe(steps)}")
        if not decide(steps, ">=", 1):
            hint = None if isinstance(steps, int) else "bound the sizes with `dims`"
            raise error_at(declaration.steps.span, f"`steps` is 1 or more, not {steps}", hint)
        if decide(steps, ">", LIMIT):
            raise error_at(declaration.steps.span, f"`steps` is {LIMIT} at most, not {steps}", limit="steps")
        return steps
    if not walked:
        raise error_at(span, "`scan` has nothing to walk over", "give `over` a tensor, or `steps`")
    return walked[0]


def _check_sequence(name: str, value: Value, axis: int, declaration: ScanDecl) -> None:
    """What is walked over is made of tensors that have the axis. Raises SpecError."""
    if isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            _check_sequence(name, item, axis, declaration)
        return
    if value is None:
        return
    assert declaration.over is not None
    span = declaration.over.key_span(name)
    if not isinstance(value, Tensor):
        raise error_at(span, f"`over` walks along tensors, `{name}` is {describe(value)}", "give it with `in`")
    if axis >= value.rank:
        raise error_at(span, f"`over` walks along axis {axis}, `{name}` is {value.type}")


def _row(tensor: Tensor) -> TensorType:
    return tensor.type.with_shape(tensor.shape[1:])


@dataclass(frozen=True, slots=True)
class _Loop:
    """Builds the region of a scan and the node."""

    scope: Scope
    callee: Callee
    declaration: ScanDecl
    steps: Steps
    constants: Mapping[str, Value]
    carried: Mapping[str, Value]
    sequences: Mapping[str, Value]
    span: Span
    label: str
    run: RunModule

    def build(self, outputs: list[str] | None) -> Value:
        body = Body(self.scope.body.shapes)
        # A region of its own: only what is handed in can be seen.
        region = replace(self.scope, body=body, names={})
        constants = {name: map_leaves(value, lambda t: body.input(t.type)) for name, value in self.constants.items()}
        lengths = None if self.steps.lengths is None else body.input(self.steps.lengths.type)
        fixed = len(body.inputs)
        carried = {name: map_leaves(value, lambda t: body.input(t.type)) for name, value in self.carried.items()}
        carries = len(body.inputs) - fixed
        rows = {name: map_leaves(value, lambda t: body.input(_row(t))) for name, value in self.sequences.items()}
        index = None if lengths is None else body.input(TensorType(DType.INT64, ()))
        region.place(self.span, self.label)
        value = call(region, self.callee, {**constants, **carried, **rows}, self.span, self.label, self.run)
        region.place(self.span, self.label)
        if body.updates:
            path = next(iter(body.updates)).path
            message = f"the running statistics `{path}` cannot be learned inside a scan"
            raise error_at(self.span, message, "normalize the layer instead: op layer_norm")
        fields = dict({next(iter(carried), "value"): value} if outputs is None else value)
        for name in fields.keys() - carried.keys():
            fields[name] = as_tensors(body.build, fields[name], self.scope.compute)
        self._check_stacked(carried, fields)
        self._check_types(carried, fields)
        if lengths is not None and index is not None:
            fields = self._masked(fields, carried, index < lengths)
        stacked = {name: item for name, item in fields.items() if name not in carried}
        results = [*leaves({name: fields[name] for name in carried}), *leaves(stacked)]
        until = self._until(region, fields, carried)
        if until is not None:
            results.append(until)
        parameters = [self.scope.body.parameter(key, value.type) for key, value in body.parameters.items()]
        inputs = (*body.inputs[:fixed], *body.parameters.values(), *body.inputs[fixed:])
        graph = Graph(inputs, tuple(body.build.nodes), tuple(tensor.value for tensor in results))
        self.scope.body.owned.extend(body.owned)
        self.scope.body.expanded += len(graph.nodes) + body.expanded
        operands = [*leaves(dict(self.constants))]
        if self.steps.lengths is not None:
            operands.append(self.steps.lengths)
        operands += [*parameters, *leaves(dict(self.carried)), *leaves(dict(self.sequences))]
        if index is not None:
            operands.append(F.iota(self.scope.body.build, self.steps.length))
        op = Scan(
            constants=fixed + len(parameters),
            carries=carries,
            length=self.steps.length,
            reverse=self.steps.reverse,
            until=until is not None,
        )
        self.scope.place(self.span, self.label)
        return self._result(apply(self.scope.body.build, op, operands, regions=(graph,)), fields, outputs)

    def _check_stacked(self, carried: Mapping[str, Value], fields: Mapping[str, Value]) -> None:
        """Results that are not carried are tensors with room for the axis."""
        for name, value in fields.items():
            if name in carried:
                continue
            for tensor in leaves(value):
                if tensor.rank < self.steps.axis:
                    message = f"`{name}` is {tensor.type}, which cannot be stacked along axis {self.steps.axis}"
                    raise error_at(self.span, message)

    def _check_types(self, carried: Mapping[str, Value], fields: Mapping[str, Value]) -> None:
        for name, before in carried.items():
            if signature(before) != signature(fields[name]):
                was = ", ".join(str(t.type) for t in leaves(before)) or describe(before)
                now = ", ".join(str(t.type) for t in leaves(fields[name])) or describe(fields[name])
                message = f"`{name}` is carried, so its type must not change: {was} becomes {now}"
                hint = "declare the type of the input" if not list(leaves(before)) else None
                raise error_at(self.span, message, hint)

    def _masked(self, fields: Mapping[str, Value], carried: Mapping[str, Value], alive: Tensor) -> dict[str, Value]:
        """Past the end of a sequence, carried values stay and stacked outputs are zero."""
        masked: dict[str, Value] = {}
        for name, value in fields.items():
            old = iter(leaves(carried[name])) if name in carried else None

            def keep(new: Tensor, old: Any = old, name: str = name) -> Tensor:
                if new.rank < 1:
                    hint = "its first axis is that of `lengths`"
                    raise error_at(self.span, f"with `lengths` `{name}` needs an axis, it is {new.type}", hint)
                other = next(old) if old is not None else full(new.build, new.shape, 0, new.dtype)
                mask = alive.reshape(*alive.shape, *(1,) * (new.rank - 1)).broadcast_to(new.shape)
                return F.where(mask, new, other)

            masked[name] = map_leaves(value, keep)
        return masked

    def _until(self, region: Scope, fields: Mapping[str, Value], carried: Mapping[str, Value]) -> Tensor | None:
        if self.declaration.until is None:
            return None
        seen = replace(region, names={name: fields[name] for name in carried}, module=None)
        until = seen.evaluate(self.declaration.until)
        if not (isinstance(until, Tensor) and until.type == TensorType(DType.BOOL, ())):
            raise error_at(self.declaration.until.span, f"`until` is one bool, not {describe(until)}", "all(done)")
        return until

    def _result(self, results: Any, fields: Mapping[str, Value], outputs: list[str] | None) -> Value:
        pending = iter(results if isinstance(results, list) else [results])
        last = {name: map_leaves(fields[name], lambda t: next(pending)) for name in self.carried}
        axis = self.steps.axis
        stacked = {
            name: map_leaves(value, lambda t: F.move_axis(next(pending), 0, axis))
            for name, value in fields.items()
            if name not in self.carried
        }
        if outputs is None:
            return next(iter({**last, **stacked}.values()))
        return {name: last[name] if name in last else stacked[name] for name in outputs}
