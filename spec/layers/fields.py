"""Types of fields that layers share, and checks that name the layer."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ...compiler.ir import AnyDim, OpError, TensorType

Count = Annotated[int, Field(strict=True, ge=1)]
"""A whole number, 1 or more."""
Whole = Annotated[int, Field(strict=True, ge=0)]
"""A whole number, 0 or more."""
Switch = Annotated[bool, Field(strict=True)]
"""true or false, never 1 or 0."""
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A finite number above 0."""


def known(layer: str, what: str, size: AnyDim) -> int:
    """The size as an int. Raises `OpError` for one that is found at run time only: parameters have fixed shapes."""
    if not isinstance(size, int):
        raise OpError(f"{layer}: {what} must be known when the spec is read, it is {size}")
    return size


def check_float(layer: str, what: str, type: TensorType) -> None:
    """Raises `OpError` unless the operand holds floats."""
    if not type.dtype.is_float:
        raise OpError(f"{layer}: {what} must be float, it is {type}")


def check_rank(layer: str, what: str, type: TensorType, rank: int, form: str) -> None:
    """Raises `OpError` unless the operand has ``rank`` axes; ``form`` shows them."""
    if type.rank != rank:
        raise OpError(f"{layer}: {what} must have {rank} axes, {form}; it is {type}")
