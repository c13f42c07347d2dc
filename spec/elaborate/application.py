"""Ops applied to values of a spec: numbers become tensors, several results become lists and records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...compiler.ir import Builder, Dim, DType, Op, OpError
from ...compiler.ops import functional as F
from ...compiler.ops.elementwise import Where
from ...compiler.ops.tensor import Tensor, apply, elementwise, number
from .types import check_number
from .values import Value, describe

MISSING = object()
"""Stands for an operand that is not given, where others are given by name."""


def operand_names(operands: Sequence[str]) -> list[tuple[str, str]]:
    """Name and mark of each operand: "" required, "?" optional, "*" a list."""
    return [(name.rstrip("?*"), name[len(name.rstrip("?*")) :]) for name in operands]


def line_up(what: str, operands: Sequence[str], given: Sequence[Value]) -> list[Value]:
    """Values in declared order, missing optional ones as None. Raises `OpError` for too few or too many."""
    declared = operand_names(operands)
    if len(declared) == 1 and declared[0][1] == "*" and len(given) > 1:
        # An op whose only operand is a list is given its items.
        given = [list(given)]
    if len(given) > len(declared):
        names = ", ".join(name for name, _ in declared) or "none"
        raise OpError(f"{what}: {len(given)} operands are given, it takes {len(declared)}: {names}")
    lined = [*given, *[MISSING] * (len(declared) - len(given))]
    for at, ((name, mark), value) in enumerate(zip(declared, lined, strict=True)):
        if mark == "" and (value is None or value is MISSING):
            raise OpError(f"{what}: the operand `{name}` is {'null' if value is None else 'missing'}")
        if value is MISSING:
            value = lined[at] = [] if mark == "*" else None
        if mark == "*" and not isinstance(value, list):
            raise OpError(f"{what}: the operand `{name}` is a list, not {describe(value)}")
    return lined


def as_tensor(build: Builder, what: str, value: Value, like: DType | None = None) -> Tensor:
    """A tensor, or a number made one. Raises `OpError` for lists, records and texts."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (bool, int, float, Dim)):
        kind = (
            DType.BOOL if isinstance(value, bool) else DType.INT64 if isinstance(value, (int, Dim)) else DType.FLOAT32
        )
        if like is not None and (like.is_float or kind is not DType.FLOAT32):
            kind = like
        return number(build, value, kind)
    raise OpError(f"{what}: a tensor is needed, this is {describe(value)}{way_out(value)}")


def way_out(value: Value) -> str:
    """How to get a tensor out of a list or record."""
    if isinstance(value, dict) and value:
        return f"; take a field, as in `.{next(iter(value))}`"
    if isinstance(value, list) and value:
        return "; take an item, as in `[0]`"
    return ""


def apply_op(build: Builder, op: Op, given: Sequence[Value], compute: DType) -> Value:
    """The value of an op on values of a spec; ``compute`` is the dtype of floats where nothing else says it.

    Raises `OpError`.
    """
    lined = line_up(op.name, op.operands, given)
    if isinstance(op, Where) and isinstance(lined[0], Tensor):
        return F.where(lined[0], *as_operands(build, op.name, lined[1:], compute))
    if op.elementwise and all(value is not None for value in lined):
        return elementwise(build, op, *as_operands(build, op.name, lined, compute))
    tensors: list[Any] = []
    like = next((value.dtype for value in lined if isinstance(value, Tensor) and value.dtype.is_float), None)
    for (_, mark), value in zip(operand_names(op.operands), lined, strict=True):
        if value is None:
            tensors.append(None)
        elif mark == "*":
            tensors.append([as_tensor(build, op.name, item, like) for item in value])
        else:
            tensors.append(as_tensor(build, op.name, value, like if isinstance(value, float) else None))
    result = apply(build, op, *tensors)
    return dict(zip(op.results, result, strict=True)) if op.results else result


def as_tensors(build: Builder, value: Value, compute: DType) -> Value:
    """The value with each number made a tensor: bool, int64, or a float of the compute dtype."""
    if isinstance(value, list):
        return [as_tensors(build, item, compute) for item in value]
    if isinstance(value, dict):
        return {key: as_tensors(build, item, compute) for key, item in value.items()}
    if isinstance(value, (bool, int, float, Dim)):
        kind = DType.BOOL if isinstance(value, bool) else compute if isinstance(value, float) else DType.INT64
        return number(build, value, kind)
    return value


def as_operands(build: Builder, what: str, values: Sequence[Value], compute: DType) -> list[Any]:
    """Tensors and numbers, as arithmetic takes them. Raises `OpError` for others.

    Fractions that no number of another tensor stands beside are floats of the compute dtype.
    """
    for value in values:
        if not isinstance(value, (Tensor, bool, int, float, Dim)):
            raise OpError(f"{what}: a tensor is needed, this is {describe(value)}{way_out(value)}")
    dtypes = [value.dtype for value in values if isinstance(value, Tensor) and value.dtype is not DType.BOOL]
    if dtypes:
        for value in values:
            # A number that wrapped around in a narrow dtype would be another one.
            if type(value) is int and not any(dtype.is_float for dtype in dtypes):
                check_number(value, dtypes[0])
        return list(values)
    return [number(build, value, compute) if isinstance(value, float) else value for value in values]
