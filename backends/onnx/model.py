"""An ONNX model before it is a protobuf: nodes and graphs with provisional names, and the choice of final ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Union

import numpy as np

from ...compiler.ir import Loc, TensorType

Attribute = Union[int, float, str, Sequence[int], "Subgraph"]


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One operator. ``inputs`` may hold "" for an operand left out."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[tuple[str, Attribute], ...] = ()
    loc: Loc | None = None


Typed = tuple[str, TensorType]


@dataclass(frozen=True, slots=True)
class Subgraph:
    """The body of Scan, Loop or If. It sees the values of the graph around it."""

    nodes: tuple[OnnxNode, ...]
    inputs: tuple[Typed, ...]
    outputs: tuple[Typed, ...]


@dataclass(slots=True)
class Model:
    """One entry as ONNX. ``parameters`` are the weights by provisional name; ``constants`` are stored inline."""

    entry: str
    opset: int
    nodes: tuple[OnnxNode, ...]
    inputs: tuple[Typed, ...]
    outputs: tuple[Typed, ...]
    parameters: tuple[tuple[str, str, TensorType], ...]
    """Provisional name, path, type. One that is an input too is its value where none is given."""
    constants: dict[str, np.ndarray]
    names: dict[str, str] = field(default_factory=dict)
    """Final names by provisional ones."""


_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST = 120


def safe(text: str) -> str:
    """A readable name in a safe alphabet; empty if nothing is left."""
    return _UNSAFE.sub("_", text)[:_LONGEST].strip("_")


class Naming:
    """Final names: unique, readable, and the same for the same graph."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}

    def give(self, provisional: str, wanted: str) -> None:
        """Name a value ``wanted``, or that with a number if it is taken."""
        name = wanted or "value"
        while name in self._taken:
            self._counts[wanted] = self._counts.get(wanted, 1) + 1
            name = f"{wanted or 'value'}_{self._counts[wanted]}"
        self._taken.add(name)
        self.names[provisional] = name


def walk(nodes: Iterable[OnnxNode]) -> Iterator[OnnxNode]:
    """Every node, those of subgraphs after the node that holds them."""
    for node in nodes:
        yield node
        for _, value in node.attributes:
            if isinstance(value, Subgraph):
                yield from walk(value.nodes)
