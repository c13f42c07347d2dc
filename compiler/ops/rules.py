"""Checks and conversions that the declarations of several ops share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..ir.dims import AnyDim, decide, maximum, minimum
from ..ir.op import OpError, Shapes
from ..ir.types import DType, TensorType


def normal_axis(what: str, axis: int, rank: int) -> int:
    """The axis counted from 0. Raises `OpError` unless ``-rank <= axis < rank``."""
    if not -rank <= axis < rank:
        raise OpError(f"{what}: axis {axis} of a tensor with {rank} axes")
    return axis % rank


def normal_axes(what: str, axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """The axes counted from 0, in the given order. Raises `OpError` for one outside, and for one given twice."""
    normal = tuple(normal_axis(what, axis, rank) for axis in axes)
    if len(set(normal)) != len(normal):
        raise OpError(f"{what}: an axis stands twice in {list(axes)}")
    return normal


def need_kind(what: str, type: TensorType, *kinds: str) -> None:
    """Raises `OpError` unless the dtype is one of these kinds ("bool", "int", "float")."""
    if type.dtype.kind not in kinds:
        raise OpError(f"{what}: takes {' or '.join(kinds)}, not {type}")


def need_index(what: str, type: TensorType) -> None:
    """Raises `OpError` unless the values can index: int32 or int64."""
    if type.dtype not in (DType.INT32, DType.INT64):
        raise OpError(f"{what}: indices are int32 or int64, not {type}")


def need_same_dtype(what: str, left: TensorType, right: TensorType) -> None:
    """Raises `OpError` unless both have one dtype."""
    if left.dtype is not right.dtype:
        raise OpError(f"{what}: {left} and {right} have different dtypes; cast one of them")


def need_length(what: str, field: str, given: Sequence[object], length: int, per: str) -> None:
    """Raises `OpError` unless an attribute has one entry for each axis."""
    if len(given) != length:
        raise OpError(f"{what}: {field} has {len(given)} entries, but there are {length} {per}")


def need_positive(what: str, field: str, given: Sequence[int]) -> None:
    """Raises `OpError` unless every entry of an attribute is 1 or more."""
    if min(given, default=1) < 1:
        raise OpError(f"{what}: {field} {list(given)} has an entry below 1")


def need_at_most(shapes: Shapes, left: AnyDim, right: AnyDim, what: str) -> None:
    """Raises `OpError` if ``left`` is always above ``right``; if it may be or not, that becomes a guard."""
    answer = decide(left, "<=", right)
    if answer is False:
        raise OpError(f"{what}: {left} is more than {right}")
    if answer is None:
        shapes.same(minimum(left, right), left, what)


def need_at_least(shapes: Shapes, left: AnyDim, right: AnyDim, what: str) -> None:
    """Raises `OpError` if ``left`` is always below ``right``; if it may be or not, that becomes a guard."""
    answer = decide(left, ">=", right)
    if answer is False:
        raise OpError(f"{what}: {left} is less than {right}")
    if answer is None:
        shapes.same(maximum(left, right), left, what)


def widened(array: np.ndarray) -> np.ndarray:
    """16-bit floats as float32, everything else as it is: what meanings compute in."""
    return array.astype(np.float32) if DType.of(array).is_half else array


def lowest(dtype: np.dtype) -> int | float:
    """The value below all others of an int or float dtype."""
    return int(np.iinfo(dtype).min) if dtype.kind in "iu" else -np.inf
