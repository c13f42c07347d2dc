"""One instance of a document: its args, its parts, and the program that is being built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...compiler.ir import DType, Graph, Guard, Loc, Parameter, Shapes
from ..diagnostics import Collector, error_at
from ..load import LoadedDocument
from ..model.parts import PartDecl
from ..source import Span
from .body import Body, Function, Key, Owned
from .values import Named

MOST_NODES = 10**6
"""Nodes of a program with every call expanded."""


@dataclass(slots=True)
class ProgramBuilder:
    """What all scopes of one program share.

    ``functions`` are cached by (block, args, operand types); `start_entry` forgets them, for entries have symbols of
    their own. ``training`` is true in training graphs.
    """

    collector: Collector
    compute: DType
    storage: DType
    training: bool = False
    shapes: Shapes = field(default_factory=Shapes)
    guards: list[Guard] = field(default_factory=list)
    functions: dict[str, Graph] = field(default_factory=dict)
    built: dict[Any, Function | None] = field(default_factory=dict)
    owners: dict[str, Owned] = field(default_factory=dict)
    active: list[tuple[Any, str, Span]] = field(default_factory=list)
    contexts: list[Context] = field(default_factory=list)

    def start_entry(self) -> None:
        """Symbols and guards of the last entry are done."""
        self.shapes, self.guards, self.built = Shapes(), [], {}

    def place_guards(self, file: str, span: Span) -> None:
        """Guards that came up since the last call belong to this place."""
        for left, right in self.shapes.guards[len(self.guards) :]:
            self.guards.append(Guard(left, right, Loc(file, span.start_line, span.start_column)))

    def function_name(self, wish: str) -> str:
        """A name for a function that is not taken."""
        name, number = wish, 1
        while name in self.functions:
            number += 1
            name = f"{wish}_{number}"
        return name

    def own(self, owned: Owned) -> None:
        """Enter a parameter. Two owners of one path are a mistake."""
        path = owned.key.path
        known = self.owners.get(path)
        if known is None:
            self.owners[path] = owned
        elif known.owner != owned.owner:
            self.collector.report(
                owned.span,
                f"two nodes own the parameter `{path}`; the other one is at {known.span}",
                "give one a `path` of its own, or make it a part to share it",
            )
        elif known.parameter.type != owned.parameter.type:
            self.collector.report(
                owned.span,
                f"the parameter `{path}` is {known.parameter.type} in one call and {owned.parameter.type} in another",
            )

    def parameters(self) -> dict[str, Parameter]:
        """Every parameter by path, in order of construction."""
        return {path: replace(owned.parameter, path=path) for path, owned in self.owners.items()}


@dataclass(eq=False)
class Context:
    """A document with given args. ``root`` is where its parameters live; equal only to itself."""

    program: ProgramBuilder
    loaded: LoadedDocument
    root: Key
    statics: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    includes: dict[str, Context] = field(default_factory=dict)
    file: str = field(init=False)

    def __post_init__(self) -> None:
        self.file = self.loaded.label

    def __hash__(self) -> int:
        return id(self)

    @property
    def blocks(self) -> Mapping[str, Any]:
        return self.loaded.document.blocks or {}

    def block_names(self) -> list[str]:
        """Every block that can be named here."""
        own = list(self.blocks)
        return own + [f"{name}.{block}" for name, inner in self.includes.items() for block in inner.blocks]

    def find_block(self, name: str) -> tuple[Context, Any] | None:
        """The block of that name and the document it belongs to; None if there is none."""
        if name in self.blocks:
            return self, self.blocks[name]
        library, _, block = name.partition(".")
        if library in self.includes and block in self.includes[library].blocks:
            return self.includes[library], self.includes[library].blocks[block]
        return None


@dataclass(eq=False)
class Part:
    """A module that several calls share. ``parameters`` are known from the first call on (op parts)."""

    name: str
    declaration: PartDecl
    base: Key
    inner: Context | None = None
    parameters: dict[str, tuple[Key, Any]] = field(default_factory=dict)
    called: bool = False

    def named(self, body: Body) -> Named:
        """What the part's name stands for in a formula: no value, but its parameters."""
        return Named(None, {name: body.parameter(key, type) for name, (key, type) in self.parameters.items()})


def check_nodes(count: int, span: Span) -> None:
    """Raises LimitError if a program gets larger than `MOST_NODES`."""
    if count > MOST_NODES:
        raise error_at(
            span, f"the program has more than {MOST_NODES} nodes when it is expanded", limit="expanded-nodes"
        )
