"""What a dot becomes when one operand, or its result, is stored in another form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from ..ir.dims import Shape, product
from ..ir.graph import Builder, Node, Value
from ..ops.contract import Dot
from .form import Form, Piece, regrouped
from .variant import RESULT, Variant


def of_operand(node: Node, at: int, form: Form) -> Variant | None:
    """The variant of a `dot` that reads one operand as it is stored, the other in the order that suits it.

    What is summed must stand together in storage, so that both operands are read as they would be in the natural form.
    The result has the batch axes, then what is left of lhs as it is stored, then what is left of rhs.
    """
    op = cast(Dot, node.op)
    if at == RESULT or node.inputs[0] is node.inputs[1]:
        return None
    summed, others = (op.lhs_contract, op.rhs_contract)[:: 1 if at == 0 else -1]
    if not all(form.is_whole(axis) for axis in (op.lhs_batch, op.rhs_batch)[at]):
        return None
    named = dict(zip(summed, others, strict=True))
    run = [piece for piece in form.order if piece[0] in named]
    other_run = [(named[axis], part) for axis, part in run]
    other = _matching(node.inputs[1 - at], named, form, other_run)
    forms, runs = ((form, other), (run, other_run)) if at == 0 else ((other, form), (other_run, run))
    left, right = (_Operand.of(*each) for each in zip(forms, runs, (op.lhs_batch, op.rhs_batch), strict=True))
    if left is None or right is None:
        return None
    result = _result(op, node.output.type.shape, forms, op.free(len(forms[0].parts), len(forms[1].parts)))
    fields = {"lhs_contract": left.summed, "rhs_contract": right.summed}
    fields |= {"lhs_batch": left.batch, "rhs_batch": right.batch}
    changed = op.model_copy(update=fields)

    def emit(build: Builder, inputs: Sequence[Value]) -> Sequence[Value]:
        pair = zip(inputs, (left, right), strict=True)
        return build.emit(changed, [regrouped(build, value, operand.shape) for value, operand in pair])

    return Variant(forms, (result,), emit, turned=False)


def swapped(node: Node, forms: Mapping[Value, Form]) -> Variant:
    """The variant of a `dot` whose result has what is left of rhs before what is left of lhs.

    It reads its operands in the known ``forms``, if it can read one of them so.
    """
    variants = (of_operand(node, at, forms[value]) for at, value in enumerate(node.inputs) if value in forms)
    natural = tuple(Form.natural(value.type.shape) for value in node.inputs)
    whole = Form.natural(node.output.type.shape)
    base = next(filter(None, variants), Variant(natural, (whole,), lambda build, inputs: build.emit(node.op, inputs)))
    op, (result,) = cast(Dot, node.op), base.results
    rows, columns = op.free(*(value.type.rank for value in node.inputs))
    first = len(op.lhs_batch)
    between = first + len(rows)
    order = [piece for low, high in ((0, first), (between, between + len(columns)), (first, between))
             for piece in result.order if low <= piece[0] < high]  # fmt: skip

    def emit(build: Builder, inputs: Sequence[Value]) -> Sequence[Value]:
        scratch = Builder(loc=build.loc)
        base.emit(scratch, inputs)
        *moves, made = scratch.nodes
        for move in moves:
            build.append(move)
        dot = cast(Dot, made.op)
        fields = {"lhs_contract": dot.rhs_contract, "rhs_contract": dot.lhs_contract}
        fields |= {"lhs_batch": dot.rhs_batch, "rhs_batch": dot.lhs_batch}
        return build.emit(dot.model_copy(update=fields), made.inputs[::-1])

    return Variant(base.operands, (Form(result.parts, tuple(order)),), emit)


@dataclass(frozen=True, slots=True)
class _Operand:
    """An operand with its summed parts put together: its sizes, and where the summed and the batch axes stand."""

    shape: Shape
    summed: tuple[int, ...]
    batch: tuple[int, ...]

    @classmethod
    def of(cls, form: Form, run: Sequence[Piece], batch: Sequence[int]) -> _Operand | None:
        """None if the summed parts do not stand together in that order."""
        places = [form.order.index(piece) for piece in run]
        if not places:
            return cls(form.stored, (), tuple(form.place(axis) for axis in batch))
        first, count = places[0], len(places)
        if places != list(range(first, first + count)):
            return None
        sizes = form.stored
        shape = (*sizes[:first], product(sizes[first : first + count]), *sizes[first + count :])
        moved = [form.place(axis) for axis in batch]
        return cls(shape, (first,), tuple(place if place < first else place - count + 1 for place in moved))


def _matching(value: Value, named: Mapping[int, int], form: Form, run: Sequence[Piece]) -> Form:
    """The form of the other operand: natural, but for the parts of what is summed, which follow those of this one."""
    parts: list[Shape] = [(size,) for size in value.type.shape]
    for axis, other in named.items():
        parts[other] = form.parts[axis]
    order: list[Piece] = []
    for axis in range(len(parts)):
        if axis not in named.values():
            order.append((axis, 0))
        elif axis == min(named.values()):
            order += run
    return Form(tuple(parts), tuple(order))


def _result(op: Dot, shape: Shape, forms: tuple[Form, Form], free: tuple[Sequence[int], Sequence[int]]) -> Form:
    parts: list[Shape] = [(size,) for size in shape[: len(op.lhs_batch)]]
    order: list[Piece] = [(axis, 0) for axis in range(len(parts))]
    for form, axes in zip(forms, free, strict=True):
        named = {axis: len(parts) + k for k, axis in enumerate(axes)}
        parts += [form.parts[axis] for axis in axes]
        order += [(named[axis], part) for axis, part in form.order if axis in named]
    return Form(tuple(parts), tuple(order))
