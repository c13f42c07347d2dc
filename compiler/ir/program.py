"""A program: entry points over shared parameters, functions, a prepare graph, and state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .dims import Symbol
from .graph import Graph, Guard, Loc
from .sharding import Sharding
from .types import TensorType


@dataclass(frozen=True, slots=True)
class Parameter:
    """A public parameter: what a weights file holds under ``path``.

    ``init`` names the distribution of first values (see `spec.init`). ``trainable`` is false for running statistics.
    """

    path: str
    type: TensorType
    init: Any = "zeros"
    trainable: bool = True
    loc: Loc | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """An input of an entry. ``range`` bounds its values (both included), checked once per call.

    ``source`` says where a person's data comes from (the `from` of the spec), as plain data.
    """

    name: str
    type: TensorType
    range: tuple[int, int] | None = None
    source: Mapping[str, Any] | None = None
    doc: str = ""
    loc: Loc | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What is kept between calls; ``initial`` fills it at first and on reset.

    ``range`` bounds its values (both included), checked when an entry has set it.
    """

    name: str
    type: TensorType
    initial: float | int | bool = 0
    loc: Loc | None = None
    range: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One entry point.

    ``graph.inputs`` are the ``inputs``, then the tensors named by ``params``, then those of ``states``;
    ``graph.outputs`` are the ``outputs``, then the new values of the states named by ``updates``.
    """

    name: str
    graph: Graph
    inputs: tuple[Port, ...]
    params: tuple[str, ...]
    states: tuple[str, ...]
    outputs: tuple[str, ...]
    updates: tuple[str, ...] = ()
    symbols: tuple[Symbol, ...] = ()
    guards: tuple[Guard, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """What the compiler works on.

    ``parameters`` are public. ``prepare`` computes packed tensors from them: its inputs are the parameters named by
    ``prepare_inputs``, its outputs are named by ``packed``. An entry's ``params`` name packed or public tensors.
    ``functions`` are the callees of `call` nodes; a function may call functions that stand before it. ``sharding``
    says how it lies on a mesh of devices; a target that runs on one leaves it aside.
    """

    name: str
    entries: Mapping[str, Entry]
    functions: Mapping[str, Graph] = field(default_factory=dict)
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    prepare: Graph = field(default_factory=lambda: Graph((), (), ()))
    prepare_inputs: tuple[str, ...] = ()
    packed: tuple[str, ...] = ()
    state: Mapping[str, State] = field(default_factory=dict)
    sharding: Sharding | None = None

    def tensor_types(self) -> dict[str, TensorType]:
        """The type of every parameter that entries may name, public or packed."""
        types = {path: parameter.type for path, parameter in self.parameters.items()}
        types |= {name: value.type for name, value in zip(self.packed, self.prepare.outputs, strict=True)}
        return types

    def used_tensors(self) -> tuple[str, ...]:
        """The parameters, public or packed, that some entry reads, in order of first use."""
        return tuple(dict.fromkeys(name for entry in self.entries.values() for name in entry.params))
