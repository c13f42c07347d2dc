"""Products in the steps of a loop that can be done for all steps at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ..ir.graph import Node, Value
from ..ops.contract import Dot
from ..ops.shape import Transpose
from ..ops.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Product:
    """A product of two rows, summed over the steps: a product of their stacks. ``axes`` reorder the result."""

    op: Dot
    lhs: Value
    rhs: Value
    axes: tuple[tuple[int, ...], ...]

    def over_steps(self, stacks: Mapping[Value, Tensor]) -> Tensor:
        """The sum, from the stack of each row."""
        op = self.op
        summed = {
            "lhs_contract": (0, *_shifted(op.lhs_contract)),
            "rhs_contract": (0, *_shifted(op.rhs_contract)),
            "lhs_batch": _shifted(op.lhs_batch),
            "rhs_batch": _shifted(op.rhs_batch),
        }
        result: Tensor = stacks[self.lhs].then(op.model_copy(update=summed), stacks[self.rhs])
        for axes in self.axes:
            result = result.then(Transpose(axes=axes))
        return result


@dataclass(frozen=True, slots=True)
class Map:
    """A product of a row and a constant: a product of the stack and the constant. ``axes`` reorder the result."""

    op: Dot
    row: Value
    weight: Value
    axes: tuple[tuple[int, ...], ...]

    def over_steps(self, stacks: Mapping[Value, Tensor], weight: Tensor) -> Tensor:
        """The stack of the products."""
        moved = self.op.model_copy(update={"lhs_contract": _shifted(self.op.lhs_contract)})
        result: Tensor = stacks[self.row].then(moved, weight)
        for axes in self.axes:
            result = result.then(Transpose(axes=(0, *_shifted(axes))))
        return result


def _shifted(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axes behind a new first one."""
    return tuple(axis + 1 for axis in axes)


def find_product(value: Value, producers: Mapping[Value, Node], fixed: Collection[Value]) -> Product | None:
    """``value`` as a product of two rows that change from step to step, if it is one."""
    node, axes = _behind_transposes(value, producers)
    if node is None or not isinstance(node.op, Dot) or any(operand in fixed for operand in node.inputs):
        return None
    lhs, rhs = node.inputs
    return Product(node.op, lhs, rhs, axes)


def find_map(
    value: Value, producers: Mapping[Value, Node], constants: Collection[Value], fixed: Collection[Value]
) -> Map | None:
    """``value`` as a product of a row, on the left, and a constant, if it is one."""
    node, axes = _behind_transposes(value, producers)
    if node is None or not isinstance(node.op, Dot) or node.op.lhs_batch:
        return None
    row, weight = node.inputs
    return Map(node.op, row, weight, axes) if weight in constants and row not in fixed else None


def _behind_transposes(
    value: Value, producers: Mapping[Value, Node]
) -> tuple[Node | None, tuple[tuple[int, ...], ...]]:
    """The node that a value comes from but for the order of its axes, and how they are reordered."""
    axes: list[tuple[int, ...]] = []
    node = producers.get(value)
    while node is not None and isinstance(node.op, Transpose):
        axes.append(node.op.axes)
        node = producers.get(node.inputs[0])
    return node, tuple(reversed(axes))
