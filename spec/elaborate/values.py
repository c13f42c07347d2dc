"""What names stand for while a spec is elaborated.

A value is a `Tensor`, a list of values, a dict (record) of values, None (`null`), or static: a number, bool, text or
dimension. `Named` is what the name of a node stands for: its value and the parameters that the node uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ...compiler.ir import Dim, TensorType
from ...compiler.ops.tensor import Tensor

Value: TypeAlias = Any


class Poisoned(Exception):
    """A value is missing because of a mistake that has been reported already."""


POISON = object()
"""What the name of a mistaken node stands for; to use it raises `Poisoned`."""


@dataclass(frozen=True, slots=True)
class Named:
    """The value of a node, and its parameters by their own names (`n.weight`)."""

    value: Value
    parameters: Mapping[str, Tensor] = field(default_factory=dict)


def leaves(value: Value) -> Iterator[Tensor]:
    """The tensors of a value, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)


def map_leaves(value: Value, change: Callable[[Tensor], Value]) -> Value:
    """The same structure with each tensor replaced."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, list):
        return [map_leaves(item, change) for item in value]
    if isinstance(value, dict):
        return {key: map_leaves(item, change) for key, item in value.items()}
    return value


def signature(value: Value) -> Any:
    """A hashable key that is equal for values of the same structure, types and static content."""
    if isinstance(value, Tensor):
        return value.type
    if isinstance(value, TensorType):
        return value
    if isinstance(value, list):
        if all(type(item) is int for item in value):
            return ("integers", tuple(value))
        return ("list", *map(signature, value))
    if isinstance(value, dict):
        return ("record", *((key, signature(item)) for key, item in value.items()))
    # 1, 1.0 and True are equal in Python but not in a spec; 0.0 and -0.0 neither.
    return (type(value).__name__, value.hex() if type(value) is float else value)


def flatten(name: str, value: Value) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a value with names joined by dots: `cache.0.k`."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from flatten(f"{name}.{at}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from flatten(f"{name}.{key}", item)


def describe(value: Value) -> str:
    """What a person calls the value, in errors."""
    if isinstance(value, Tensor):
        return str(value.type)
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"a record of {', '.join(value) or 'nothing'}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"the size {value}" if isinstance(value, Dim) else repr(value)
