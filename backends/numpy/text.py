"""From statements to lines of Python: names of arrays across stages, sizes, buffers, comments of origin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ...compiler.ir import AnyDim, Dim
from ...compiler.ir.dims import Extreme, FloorDiv, Symbol
from ..source import origin
from .code import Array, Block, Buffer, Computed, Kind, Line, Stage, Statement
from .plan import Plan
from .scope import numpy_name


@dataclass(slots=True)
class Exports:
    """Arrays of a stage that later stages read, in the order of first use: the i-th is ``letter[i]`` there."""

    letter: str
    arrays: dict[str, int] = field(default_factory=dict)

    def name(self, array: Array) -> str:
        """How a later stage names the array."""
        return f"{self.letter}[{self.arrays.setdefault(array.name, len(self.arrays))}]"

    def result(self) -> str:
        """The tuple that the stage returns."""
        return tuple_text(self.arrays)


def tuple_text(items: Iterable[str]) -> str:
    """Items as the text of a tuple."""
    listed = list(items)
    return f"({listed[0]},)" if len(listed) == 1 else f"({', '.join(listed)})"


def unpacking(names: Sequence[str], source: str) -> list[str]:
    """The line that gives the items of ``source`` names, if there are any."""
    return [f"    {', '.join(names)}{',' if len(names) == 1 else ''} = {source}"] if names else []


@dataclass
class Writer:
    """Writes one function. ``symbols`` gives each dimension symbol its variable; compound sizes get one, too."""

    stage: Stage
    symbols: dict[str, str]
    exports: dict[Stage, Exports]
    inputs: frozenset[str]
    sizes: dict[AnyDim, str] = field(default_factory=dict)
    aliases: dict[str, Array] = field(default_factory=dict)

    def size(self, size: AnyDim | Computed) -> str:
        """A size as text; what is more than a symbol is named at the top of the function."""
        if isinstance(size, int):
            return str(size)
        if isinstance(size, Computed):
            return f"{size.kernel}({', '.join(self.size(argument) for argument in size.arguments)})"
        text = dim_text(size, self.symbols)
        if text.isidentifier():
            return text
        return self.sizes.setdefault(size, f"s{len(self.sizes)}")

    def shape(self, shape: Sequence[AnyDim | Computed]) -> str:
        """A shape as text."""
        return tuple_text([self.size(size) for size in shape])

    def array(self, array: Array) -> str:
        """The name of an array here; that of its source for a copy that the planner removed."""
        while array.name in self.aliases:
            array = self.aliases[array.name]
        stage = array.home.stage
        if array.literal or stage is self.stage or array.name in self.inputs:
            return array.name
        return self.exports[stage].name(array)

    def buffer(self, buffer: Buffer) -> str:
        """The memory of a buffer."""
        if buffer.array is not None:
            name = self.array(buffer.array)
            return name if buffer.array.shape == buffer.shape else f"{name}.reshape({self.shape(buffer.shape)})"
        if buffer.kind is Kind.ARENA:
            return f"b[{buffer.index}]"
        return f"np.empty({self.shape(buffer.shape)}, {numpy_name(buffer.dtype)})"

    def line(self, line: Line) -> str:
        """One line."""
        return "".join(map(self._piece, line))

    def _piece(self, piece: object) -> str:
        match piece:
            case str():
                return piece
            case Array():
                return self.array(piece)
            case Buffer():
                return self.buffer(piece)
            case tuple():
                return self.shape(piece)
            case int() | Dim() | Computed():
                return self.size(piece)
        raise TypeError(f"no piece of a line: {piece!r}")

    def prologue(self) -> list[str]:
        """The lines that name the sizes used so far."""
        return unpacking(list(self.symbols.values()), "sizes") + self.compound()

    def compound(self) -> list[str]:
        """The lines that name those among them that are computed."""
        return [f"    {name} = {dim_text(size, self.symbols)}" for size, name in self.sizes.items()]

    def block(self, block: Block, indent: str) -> Iterator[str]:
        """The lines of a block, a comment where they come from another place of the spec than those before."""
        last = ""
        empty = True
        for item in block.items:
            if isinstance(item, Statement) and item.removed:
                if item.result is not None and item.out is not None and item.out.array is not None:
                    self.aliases[item.result.name] = item.out.array
                continue
            place = origin(item.loc)
            if place and place != last:
                yield f"{indent}# {place}"
            last = place or last
            empty = False
            if isinstance(item, Block):
                yield indent + self.line(item.header)
                yield from self.block(item, indent + "    ")
            else:
                yield from (indent + self.line(each) for each in item.lines)
        if empty and block.header:
            yield indent + "pass"


def table_rows(writer: Writer, plan: Plan) -> list[str]:
    """The lines that return (first use, last use, dtype, shape) of the buffers of a plan."""
    rows = []
    for buffer, first, last in plan.rows():
        facts = f"{first}, {last}, {numpy_name(buffer.dtype)}, {writer.shape(buffer.shape)}"
        rows.append(f"        ({facts}),  # b[{buffer.index}]{_bytes(buffer, writer.symbols)}")
    return ["    return (", *rows, "    )"]


def _bytes(buffer: Buffer, symbols: dict[str, str]) -> str:
    total: AnyDim = buffer.dtype.bytes
    for size in buffer.shape:
        if not isinstance(size, (int, Dim)):
            return ""
        total = total * size
    return f": {dim_text(total, symbols)} bytes"


def dim_text(size: AnyDim, symbols: dict[str, str]) -> str:
    """A dimension as Python over the variables of symbols."""
    if isinstance(size, int):
        return str(size)
    parts: list[str] = []
    for monomial, factor in size.terms:
        body = "*".join(_atom(atom, symbols) for atom in monomial)
        number = abs(factor)
        text = str(number) if not body else body if number == 1 else f"{number}*{body}"
        parts.append((" - " if factor < 0 else " + ") + text if parts else ("-" if factor < 0 else "") + text)
    return "".join(parts)


def _atom(atom: Symbol | FloorDiv | Extreme, symbols: dict[str, str]) -> str:
    match atom:
        case Symbol(name=name):
            return symbols[name]
        case FloorDiv(numerator=numerator, divisor=divisor):
            return f"(({dim_text(numerator, symbols)})//{divisor})"
        case Extreme(kind=kind, items=items):
            return f"{kind}({', '.join(dim_text(item, symbols) for item in items)})"
