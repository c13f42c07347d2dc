"""Distributions of a parameter's first values.

Written plainly, an initializer is a word (``"zeros"``) or a mapping of one word to its number (``{"normal": 0.02}``) or
to its fields (``{"he": {"fan_in": 512}}``). Weights are laid out ``[out, in, *kernel]``; where a parameter is laid out
otherwise, or has another one's fan (a bias), the fan is given.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from math import prod
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError


class _Initializer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    word: ClassVar[str]


class Zeros(_Initializer):
    """All zero."""

    word = "zeros"


class Ones(_Initializer):
    """All one."""

    word = "ones"


class Constant(_Initializer):
    """All the same number."""

    word = "constant"
    value: float


class Normal(_Initializer):
    """Normal with mean 0."""

    word = "normal"
    std: float


class Uniform(_Initializer):
    """Uniform on [-bound, bound)."""

    word = "uniform"
    bound: float


class Xavier(_Initializer):
    """Uniform with variance 2 / (fan_in + fan_out) (Glorot and Bengio, 2010)."""

    word = "xavier"
    fan_in: PositiveInt | None = None
    fan_out: PositiveInt | None = None


class He(_Initializer):
    """Normal with variance 2 / fan_in (He et al., 2015)."""

    word = "he"
    fan_in: PositiveInt | None = None


class KaimingUniform(_Initializer):
    """Uniform on +-1/sqrt(fan_in): what PyTorch's linear and convolution layers start from, weights and biases."""

    word = "kaiming_uniform"
    fan_in: PositiveInt | None = None


class Orthogonal(_Initializer):
    """A matrix (axis 0 by the rest) with orthonormal rows or columns, whichever are fewer (Saxe et al., 2013)."""

    word = "orthogonal"


class Range(_Initializer):
    """0, 1, 2, ... in row-major order: numbers of places."""

    word = "range"


Initializer = Zeros | Ones | Constant | Normal | Uniform | Xavier | He | KaimingUniform | Orthogonal | Range
KINDS: dict[str, type[_Initializer]] = {
    kind.word: kind for kind in (Zeros, Ones, Constant, Normal, Uniform, Xavier, He, KaimingUniform, Orthogonal, Range)
}


def initializer(value: Any) -> Initializer:
    """An initializer from its plain form (or a pair of word and number). Raises `ValueError`."""
    if isinstance(value, _Initializer):
        return value  # type: ignore[return-value]
    if isinstance(value, str):
        word, fields = value, dict[str, Any]()
    elif isinstance(value, Mapping) and len(value) == 1:
        ((word, fields),) = value.items()
    elif isinstance(value, (tuple, list)) and len(value) == 2:
        word, fields = value
    else:
        raise ValueError(f"{value!r} is no initializer")
    if word not in KINDS:
        near = difflib.get_close_matches(str(word), KINDS, 1)
        hint = f"; did you mean {near[0]}?" if near else f" (they are {', '.join(KINDS)})"
        raise ValueError(f"{word!r} is no initializer{hint}")
    kind = KINDS[word]
    if not isinstance(fields, Mapping):
        if not kind.model_fields:
            raise ValueError(f"the initializer {word} takes no number")
        fields = {next(iter(kind.model_fields)): fields}
    try:
        return kind(**fields)  # type: ignore[return-value]
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"initializer {word}, {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def plain(value: Initializer) -> str | dict[str, Any]:
    """The plain form: a word, or a mapping of one word to its number or fields."""
    fields = {key: number for key, number in value.model_dump().items() if number is not None}
    if not fields:
        return value.word
    only = next(iter(type(value).model_fields))
    return {value.word: fields[only] if list(fields) == [only] else fields}


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs per output and outputs per input of a weight ``[out, in, *kernel]``."""
    if len(shape) < 2:
        return max(1, prod(shape)), max(1, prod(shape))
    window = prod(shape[2:])
    return max(1, shape[1] * window), max(1, shape[0] * window)
