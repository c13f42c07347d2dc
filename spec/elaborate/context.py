"""One instance of a document: its args, its parts, and the program that is being built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...compiler.ir import DType, Graph, Guard, Loc, Parameter, Shapes, TensorType
from ...compiler.ops.tensor import Tensor
from ..diagnostics import Collector, error_at
from ..formula.ast import Expr
from ..formula.errors import FormulaError
from ..formula.functions import LONGEST_LIST
from ..load import LoadedDocument
from ..model.blocks import Block
from ..model.parts import OpPart, PartDecl
from ..source import Span
from .body import Body, Function, Key, Owned
from .references import block_names, find_block
from .values import Named

MOST_NODES = 10**6
"""Nodes of a program with every call expanded."""
MOST_FUNCTIONS = 10_000
"""Blocks with different args or operand types; each is built apart."""
DEEPEST_CALLS = 24
"""Blocks that call each other."""
MOST_VALUES = 10_000
"""Tensors that one call takes or gives."""
MOST_ITEMS = 10_000_000
"""Items of all lists that the formulas of a program make or walk."""
TOO_MANY_ITEMS = f"the lists of this document have more than {MOST_ITEMS} items, all formulas together"


@dataclass(slots=True)
class ProgramBuilder:
    """What all scopes of one program share.

    ``numbers`` tell functions of one name apart. ``functions`` are cached by (block, args, operand types);
    `start_entry` forgets them, for entries have symbols of their own. ``training`` is true in training graphs,
    ``draws`` where random numbers need no seed: there, and where what they learn is measured.
    ``ops`` are known by op class and fields. ``items`` counts what the lists of formulas hold. ``unknown`` are names
    that a scope (by the id of its model) does not know: they are reported already. ``checked`` are the documents whose
    names are checked, ``models`` those that parts refer to, by the `id` of the referring one and the reference.
    ``keep`` are layers that compute in float32. ``clashes`` are places that own one path.
    """

    collector: Collector
    compute: DType
    storage: DType
    keep: frozenset[str] = frozenset()
    training: bool = False
    draws: bool = False
    shapes: Shapes = field(default_factory=Shapes)
    guards: list[Guard] = field(default_factory=list)
    functions: dict[str, Graph] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    built: dict[Any, Function | None] = field(default_factory=dict)
    owners: dict[str, Owned] = field(default_factory=dict)
    active: list[tuple[Any, str, Span]] = field(default_factory=list)
    contexts: list[Context] = field(default_factory=list)
    ops: dict[Any, Any] = field(default_factory=dict)
    items: int = 0
    unknown: set[tuple[int, str]] = field(default_factory=set)
    checked: dict[int, LoadedDocument] = field(default_factory=dict)
    models: dict[tuple[int, str], LoadedDocument] = field(default_factory=dict)
    clashes: set[tuple[Span, Span]] = field(default_factory=set)

    def spend(self, length: int, expr: Expr) -> None:
        """Counts items of lists that formulas make or walk. Raises FormulaError when all together are too many."""
        self.items += length
        if self.items > MOST_ITEMS:
            raise FormulaError(TOO_MANY_ITEMS, expr.start, expr.stop, limit="list")

    def charge(self, length: int, span: Span) -> None:
        """Counts items of a list that is kept or handed on. Raises SpecError."""
        if length > LONGEST_LIST:
            raise error_at(span, f"the lists here have more than {LONGEST_LIST} items", limit="list")
        self.items += length
        if self.items > MOST_ITEMS:
            raise error_at(span, TOO_MANY_ITEMS, limit="list")

    def start_entry(self) -> None:
        """Symbols and guards of the last entry are done."""
        self.shapes, self.guards, self.built = Shapes(), [], {}

    def place_guards(self, file: str, span: Span) -> None:
        """Guards that came up since the last call belong to this place."""
        for left, right in self.shapes.guards[len(self.guards) :]:
            self.guards.append(Guard(left, right, Loc(file, span.start_line, span.start_column)))

    def function_name(self, wish: str) -> str:
        """A name for a function that is not taken."""
        name = wish
        while name in self.functions:
            self.numbers[wish] = self.numbers.get(wish, 1) + 1
            name = f"{wish}_{self.numbers[wish]}"
        return name

    def own(self, owned: Owned) -> None:
        """Enter a parameter. Two owners of one path are a mistake."""
        path = owned.key.path
        known = self.owners.get(path)
        if known is None:
            self.owners[path] = owned
        elif known.owner != owned.owner:
            here, there = owned.apart(known)
            if (here, there) in self.clashes:
                return
            self.clashes.add((here, there))
            if here == there:
                message, hint = f"every iteration owns the parameter `{path}`", "a `path` with `$i` tells them apart"
            else:
                message = f"two nodes own the parameter `{path}`; the other one is at {there}"
                hint = "give one a `path` of its own, or make it a part to share it"
            self.collector.report(here, message, hint)
        elif known.parameter.type != owned.parameter.type:
            types = f"{known.parameter.type} in one call and {owned.parameter.type} in another"
            self.collector.report(owned.spans[-1], f"the parameter `{path}` is {types}")

    def parameters(self) -> dict[str, Parameter]:
        """Every parameter by path, in order of construction."""
        found = {}
        for path, owned in self.owners.items():
            one, loc = owned.parameter, owned.parameter.loc
            loc = None if loc is None else Loc(loc.file, loc.line, loc.column, path)
            found[path] = Parameter(path, one.type, one.init, one.trainable, loc)
        return found


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

    def block_names(self) -> list[str]:
        """Every block that can be named here."""
        return block_names(self.loaded)

    def find_block(self, name: str) -> tuple[Context, Block] | None:
        """The block of that name and the document it belongs to; None if there is none."""
        found = find_block(self.loaded, name)
        if found is None:
            return None
        library, block = found
        return (self if library is None else self.includes[library]), block


@dataclass(eq=False)
class Part:
    """A module that several calls share. ``parameters`` are known from the first call on (op parts)."""

    name: str
    declaration: PartDecl
    context: Context
    base: Key
    inner: Context | None = None
    parameters: dict[str, tuple[Key, TensorType]] = field(default_factory=dict)
    called: bool = False

    @property
    def is_op(self) -> bool:
        return isinstance(self.declaration, OpPart)

    def named(self, body: Body) -> Named:
        """What the part's name stands for in a formula: no value, but its parameters."""
        return Named(None, PartParameters(self, body))


@dataclass(frozen=True, slots=True)
class PartParameters(Mapping[str, Tensor]):
    """The parameters of an op part as tensors of a body, in the compute dtype; made when asked for."""

    part: Part
    body: Body

    def __getitem__(self, name: str) -> Tensor:
        key, type = self.part.parameters[name]
        tensor = self.body.parameter(key, type)
        return tensor.cast(self.part.context.program.compute) if type.dtype.is_float else tensor

    def __contains__(self, name: object) -> bool:
        return name in self.part.parameters

    def __iter__(self) -> Iterator[str]:
        return iter(self.part.parameters)

    def __len__(self) -> int:
        return len(self.part.parameters)


def check_nodes(count: int, span: Span) -> None:
    """Raises LimitError if a program gets larger than `MOST_NODES`."""
    if count > MOST_NODES:
        raise error_at(
            span, f"the program has more than {MOST_NODES} nodes when it is expanded", limit="expanded-nodes"
        )
