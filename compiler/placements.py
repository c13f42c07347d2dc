"""Where packed tensors lie on a mesh of devices: it follows from the parameters that they are made of."""

from __future__ import annotations

from .ir.graph import Node, Value
from .ir.op import Access
from .ir.program import Program
from .ir.sharding import Axes
from .ops.placement import ShardingConstraint
from .ops.shape import Broadcast, Concat, Reshape, Transpose


def tensor_placements(program: Program) -> dict[str, Axes]:
    """The mesh axes of every tensor that entries read and that is spread; others are whole on every device."""
    if program.sharding is None:
        return {}
    placed = {name: placement.axes for name, placement in program.sharding.params.items()}
    known: dict[Value, Axes] = {}
    for name, value in zip(program.prepare_inputs, program.prepare.inputs, strict=True):
        known[value] = placed.get(name, (None,) * value.type.rank)
    for node in program.prepare.nodes:
        for value in node.outputs:
            known[value] = _result(node, value, known)
    for name, value in zip(program.packed, program.prepare.outputs, strict=True):
        placed[name] = known[value]
    return {name: placed[name] for name in program.used_tensors() if any(placed.get(name, ()))}


def value_placements(program: Program) -> dict[str, Axes]:
    """The mesh axes of the inputs and states of entries that are spread, by name."""
    if program.sharding is None:
        return {}
    ranks: dict[str, set[int]] = {}
    for entry in program.entries.values():
        for port in entry.inputs:
            ranks.setdefault(port.name, set()).add(port.type.rank)
    for name, state in program.state.items():
        ranks.setdefault(name, set()).add(state.type.rank)
    placed = program.sharding.values
    return {
        name: placed[name].axes for name, found in ranks.items() if name in placed and {len(placed[name].axes)} == found
    }


def _result(node: Node, value: Value, known: dict[Value, Axes]) -> Axes:
    """Where a result lies without moving its operands; whole where that is not told."""
    whole: Axes = (None,) * value.type.rank
    match node.op:
        case ShardingConstraint(axes=given):
            return given
        case Transpose(axes=order):
            return tuple(known[node.inputs[0]][axis] for axis in order)
        case Reshape():
            return _regrouped(node.inputs[0], value, known[node.inputs[0]])
        case Concat(axis=joined):
            all_placed = {known[operand] for operand in node.inputs}
            same = all_placed.pop() if len(all_placed) == 1 else whole
            return tuple(None if at == joined else placed for at, placed in enumerate(same))
        case Broadcast(axes=places):
            wide = list(whole)
            for place, axis, size in zip(places, known[node.inputs[0]], node.inputs[0].type.shape, strict=True):
                wide[place] = axis if size == value.type.shape[place] else None
            return tuple(wide)
    if set(node.op.access) != {Access.SAME} or any(v.type.shape != value.type.shape for v in node.inputs):
        return whole
    merged = list(whole)
    for operand in node.inputs:
        for at, name in enumerate(known[operand]):
            if merged[at] is None and name not in merged:
                merged[at] = name
    return tuple(merged)


def _regrouped(operand: Value, result: Value, placed: Axes) -> Axes:
    """A reshape keeps the place of an axis that stays as it is, axes of size 1 aside."""
    old, new = operand.type.shape, result.type.shape
    kept = [(at, size) for at, size in enumerate(old) if size != 1]
    found = [(at, size) for at, size in enumerate(new) if size != 1]
    axes: list[str | None] = [None] * len(new)
    if [size for _, size in kept] == [size for _, size in found]:
        for (before, _), (after, _) in zip(kept, found, strict=True):
            axes[after] = placed[before]
    return tuple(axes)
