"""Rules on shapes: moves that change nothing, and two moves that are one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from ..ir.dims import AnyDim
from ..ir.graph import Value
from ..ops.contract import Dot
from ..ops.reduce import ReduceMax, ReduceMin, ReduceProd, ReduceSum, Reduction
from ..ops.shape import Broadcast, Concat, Pad, Reshape, Reverse, Slice, Transpose
from .numbers import filled
from .rewriting import Is, Match, Number, Rule, Var

X = Var("x")


def _x(match: Match) -> Value:
    return match.value("x")


def _same_type(match: Match) -> str | None:
    return None if match.value("x").type == match.node.output.type else ""


def _filled(match: Match) -> Value:
    return filled(match.build, match.node.output.type, match.number("c"))


# ---- transpose


def _transpose(match: Match, name: str = "") -> Transpose:
    return cast(Transpose, match.op(name))


def _composed_transpose(match: Match) -> Value:
    inner, outer = _transpose(match, "inner").axes, _transpose(match).axes
    return match.emit(Transpose(axes=tuple(inner[axis] for axis in outer)), match.value("x"))


def _in_order(match: Match) -> str | None:
    axes = _transpose(match).axes
    return None if axes == tuple(range(len(axes))) else ""


def _moves_ones(match: Match) -> str | None:
    """Whether the axes that are not of size 1 stay in order."""
    shape = match.value("x").type.shape
    axes = [axis for axis in _transpose(match).axes if shape[axis] != 1]
    return None if axes == sorted(axes) else ""


# ---- broadcast


def _broadcast(match: Match, name: str = "") -> Broadcast:
    return cast(Broadcast, match.op(name))


def _composed_broadcast(match: Match) -> Value:
    inner, outer = _broadcast(match, "inner"), _broadcast(match)
    axes = tuple(outer.axes[axis] for axis in inner.axes)
    return match.emit(Broadcast(shape=outer.shape, axes=axes), match.value("x"))


def _inserted(shape: Sequence[AnyDim], result: Sequence[AnyDim]) -> list[int] | None:
    """The axis of the result that each axis becomes, if a reshape does nothing but insert axes of size 1."""
    places: list[int] = []
    for axis, size in enumerate(result):
        if len(places) < len(shape) and shape[len(places)] == size:
            places.append(axis)
        elif size != 1:
            return None
    return places if len(places) == len(shape) else None


def _broadcast_of_inserted(match: Match) -> Value:
    places = _inserted(match.value("x").type.shape, match.nodes["inner"].output.type.shape)
    assert places is not None, "the guard lets only inserted axes through"
    outer = _broadcast(match)
    axes = tuple(outer.axes[axis] for axis in places)
    return match.emit(Broadcast(shape=outer.shape, axes=axes), match.value("x"))


def _only_inserts(match: Match) -> str | None:
    inner = match.nodes["inner"].output.type.shape
    return None if _inserted(match.value("x").type.shape, inner) is not None else ""


def _adds_ones(match: Match) -> str | None:
    """Whether a broadcast repeats nothing: its new axes have size 1, the others the size they had.

    Scalars stay broadcast: that is the canonical form of a tensor of one number.
    """
    op, shape = _broadcast(match), match.value("x").type.shape
    if not shape:
        return ""
    kept = dict(zip(op.axes, shape, strict=True))
    return None if all(kept.get(axis, 1) == size for axis, size in enumerate(op.shape)) else ""


# ---- slice, pad, concat


def _slice(match: Match, name: str = "") -> Slice:
    return cast(Slice, match.op(name))


def _composed_slice(match: Match) -> Value:
    inner, outer = _slice(match, "inner"), _slice(match)
    start = tuple(a + b for a, b in zip(inner.start, outer.start, strict=True))
    stop = tuple(a + b for a, b in zip(inner.start, outer.stop, strict=True))
    return match.emit(Slice(start=start, stop=stop, stride=outer.stride), match.value("x"))


def _dense_inside(match: Match) -> str | None:
    return None if set(_slice(match, "inner").stride) <= {1} else "the inner slice has a stride"


def _takes_all(match: Match) -> str | None:
    op, shape = _slice(match), match.value("x").type.shape
    whole = op.stop == shape and set(op.start) <= {0} and set(op.stride) <= {1}
    return None if whole else ""


def _product_of_slices(match: Match) -> Value:
    op, cut = cast(Dot, match.op("product")), _slice(match)
    lhs, rhs = match.value("lhs"), match.value("rhs")
    rows, columns = op.free(lhs.type.rank, rhs.type.rank)
    shared = len(op.lhs_batch)

    def part(value: Value, axes: Sequence[int], places: Sequence[int]) -> Value:
        """What of an operand gives the slice; ``places`` says where its axes stand in the result."""
        start: list[AnyDim] = [0] * value.type.rank
        stop, stride = list(value.type.shape), [1] * value.type.rank
        for axis, place in zip(axes, places, strict=True):
            start[axis], stop[axis], stride[axis] = cut.start[place], cut.stop[place], cut.stride[place]
        return match.emit(Slice(start=tuple(start), stop=tuple(stop), stride=tuple(stride)), value)

    left = part(lhs, (*op.lhs_batch, *rows), range(shared + len(rows)))
    behind = range(shared + len(rows), shared + len(rows) + len(columns))
    return match.emit(op, left, part(rhs, (*op.rhs_batch, *columns), (*range(shared), *behind)))


def _pads_nothing(match: Match) -> str | None:
    op = cast(Pad, match.op())
    return None if set(op.low) | set(op.high) | set(op.interior) <= {0} else ""


def _one_operand(match: Match) -> str | None:
    return None if len(match.node.inputs) == 1 else ""


# ---- reductions


def _reduces_ones(match: Match) -> str | None:
    axes = cast(Reduction, match.op()).axes
    shape = match.value("x").type.shape
    return None if isinstance(axes, tuple) and all(shape[axis] == 1 for axis in axes) else ""


def _reshaped(match: Match) -> Value:
    return match.emit(Reshape(shape=match.node.output.type.shape), match.value("x"))


RULES: tuple[Rule, ...] = (
    Rule("a reshape to the same shape", Is(Reshape, X), _x, _same_type),
    Rule("a reshape of one number", Is(Reshape, Number("c")), _filled),
    Rule("a reshape of a reshape", Is(Reshape, Is(Reshape, X)), _reshaped),
    Rule("a transpose that moves nothing", Is(Transpose, X), _x, _in_order),
    Rule("a transpose of one number", Is(Transpose, Number("c")), _filled),
    Rule("a transpose of a transpose", Is(Transpose, Is(Transpose, X, name="inner")), _composed_transpose),
    Rule("a transpose that moves axes of size 1 is a reshape", Is(Transpose, X), _reshaped, _moves_ones),
    Rule("a broadcast to the same shape", Is(Broadcast, X), _x, _same_type),
    Rule(
        "a broadcast of one number",
        Is(Broadcast, Number("c")),
        _filled,
        lambda m: None if m.value("c").type.shape else "",
    ),
    Rule("a broadcast of a broadcast", Is(Broadcast, Is(Broadcast, X, name="inner")), _composed_broadcast),
    Rule(
        "a broadcast of inserted axes",
        Is(Broadcast, Is(Reshape, X, name="inner")),
        _broadcast_of_inserted,
        _only_inserts,
    ),
    Rule("a broadcast that repeats nothing is a reshape", Is(Broadcast, X), _reshaped, _adds_ones),
    Rule("a slice of everything", Is(Slice, X), _x, _takes_all),
    Rule("a slice of one number", Is(Slice, Number("c")), _filled),
    Rule("a slice of a slice", Is(Slice, Is(Slice, X, name="inner")), _composed_slice, _dense_inside),
    Rule(
        "a slice of a product is a product of slices",
        Is(Slice, Is(Dot, Var("lhs"), Var("rhs"), name="product", once=True)),
        _product_of_slices,
    ),
    Rule("a reverse of one number", Is(Reverse, Number("c")), _filled),
    Rule(
        "a reverse of a reverse",
        Is(Reverse, Is(Reverse, X, name="inner")),
        _x,
        lambda m: None if m.op() == m.op("inner") else "",
    ),
    Rule("a pad by nothing", Is(Pad, X, Var("fill")), _x, _pads_nothing),
    Rule("a concat of one", Is(Concat), lambda m: m.node.inputs[0], _one_operand),
    *(
        Rule(f"{kind.name} over axes of size 1 is a reshape", Is(kind, X), _reshaped, _reduces_ones)
        for kind in (ReduceSum, ReduceMax, ReduceMin, ReduceProd)
    ),
)
