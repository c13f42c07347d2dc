"""Lines for calls and loops. A region becomes an inner function; what stays the same it sees from outside."""

from __future__ import annotations

from collections.abc import Sequence

from ....compiler.ir import Node, Op, Value
from ....compiler.ops import control as ops
from ....compiler.ops.placement import ShardingConstraint
from ...api import BackendError
from ..scope import Lowering, Scope, tuple_text


def _call(scope: Scope, node: Node, op: ops.Call) -> None:
    if op.function not in scope.module.functions:
        raise BackendError(f"no function {op.function!r} stands before its call")
    function = scope.module.functions[op.function]
    sizes = zip(function.keywords, function.needs, strict=True)
    told = [f"{keyword}={scope.sizes.text(size)}" for keyword, size in sizes]
    scope.assign_all(node, f"{function.name}({', '.join([*map(scope.use, node.inputs), *told])})", listed=True)


def _bind_outer(scope: Scope, inputs: Sequence[Value], outer: Sequence[Value]) -> None:
    """Let inputs of a region be the values outside."""
    for value, given in zip(inputs, outer, strict=True):
        scope.bind(value, scope.use(given))


def _names(scope: Scope, values: Sequence[Value]) -> str:
    return tuple_text([scope.name(value) for value in values])


def _tuple(scope: Scope, values: Sequence[Value]) -> str:
    return tuple_text([scope.use(value) for value in values])


def _scan(scope: Scope, node: Node, op: ops.Scan) -> None:
    (region,) = node.regions
    kept = op.constants + op.carries
    _bind_outer(scope, region.inputs[: op.constants], node.inputs[: op.constants])
    carried, rows = region.inputs[op.constants : kept], region.inputs[kept:]
    initial, sequences = _tuple(scope, node.inputs[op.constants : kept]), _tuple(scope, node.inputs[kept:])
    results, stop = (region.outputs[:-1], region.outputs[-1:]) if op.until else (region.outputs, ())
    name = scope.region_name("step")
    with scope.function(name, "carry, row"):
        if carried:
            scope.line(f"{_names(scope, carried)} = carry")
        if rows:
            scope.line(f"{_names(scope, rows)} = row")
        scope.module.lower(scope, region)
        returned = [_tuple(scope, results[: op.carries]), _tuple(scope, results[op.carries :])]
        scope.line(f"return {', '.join([*returned, *map(scope.use, stop)])}")
    call = scope.module.helper("scan_until") if op.until else "lax.scan"
    # A symbolic length cannot be told to lax.scan, only read off the sequences.
    told = not rows or op.until
    options = (f", length={scope.sizes.text(op.length)}" if told else "") + (", reverse=True" if op.reverse else "")
    last, stacked = node.outputs[: op.carries], node.outputs[op.carries :]
    targets = f"{_names(scope, last)}, {_names(scope, stacked)}"
    scope.line(f"{targets} = {call}({name}, {initial}, {sequences}{options})")


def _while(scope: Scope, node: Node, op: ops.While) -> None:
    names = []
    initial = _tuple(scope, node.inputs[op.constants :])
    for role, region in zip(("holds", "body"), node.regions, strict=True):
        _bind_outer(scope, region.inputs[: op.constants], node.inputs[: op.constants])
        names.append(scope.region_name(role))
        carried = region.inputs[op.constants :]
        with scope.function(names[-1], "carry"):
            if carried:
                scope.line(f"{_names(scope, carried)} = carry")
            scope.module.lower(scope, region)
            single = role == "holds"
            scope.line(f"return {scope.use(region.outputs[0]) if single else _tuple(scope, region.outputs)}")
    scope.line(f"{_names(scope, node.outputs)} = lax.while_loop({', '.join(names)}, {initial})")


def _cond(scope: Scope, node: Node, op: ops.Cond) -> None:
    names = []
    condition = scope.use(node.inputs[0])
    for role, region in zip(("then", "otherwise"), node.regions, strict=True):
        _bind_outer(scope, region.inputs, node.inputs[1:])
        names.append(scope.region_name(role))
        with scope.function(names[-1], ""):
            scope.module.lower(scope, region)
            scope.line(f"return {_tuple(scope, region.outputs)}")
    scope.line(f"{_names(scope, node.outputs)} = lax.cond({condition}, {', '.join(names)})")


def axes_text(axes: Sequence[str | None]) -> str:
    """Python for the mesh axes of a tensor."""
    return tuple_text([ascii(axis) for axis in axes])


def _sharding_constraint(scope: Scope, node: Node, op: ShardingConstraint) -> None:
    scope.assign(node, f"{scope.module.helper('spread')}({scope.use(node.inputs[0])}, {axes_text(op.axes)})")


LOWERINGS: dict[type[Op], Lowering] = {
    ops.Call: _call,
    ops.Scan: _scan,
    ops.While: _while,
    ops.Cond: _cond,
    ShardingConstraint: _sharding_constraint,
}
