"""From a plan to lines of Python: sizes, buffers, launches, comments of origin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...compiler.ir import AnyDim
from ...compiler.ir.dims import Extreme, FloorDiv, Symbol, bounds, decide
from ..source import origin
from .arrays import Array, Buffer
from .kernel import LONG, LONG_TEXT, WIDE, Config, Kernel, Launch, Tiles
from .plan import Block, Piece, Statement


@dataclass(frozen=True)
class Writer:
    """Writes the plan of an entry. ``symbols`` gives each dimension symbol of the entry its variable."""

    symbols: Mapping[str, str]

    def size(self, size: AnyDim) -> str:
        """A size as Python."""
        if isinstance(size, int):
            return str(size)
        parts: list[str] = []
        for monomial, factor in size.terms:
            body = "*".join(self._atom(atom) for atom in monomial)
            number = abs(factor)
            text = str(number) if not body else body if number == 1 else f"{number}*{body}"
            parts.append((" - " if factor < 0 else " + ") + text if parts else ("-" if factor < 0 else "") + text)
        return "".join(parts)

    def _atom(self, atom: Symbol | FloorDiv | Extreme) -> str:
        match atom:
            case Symbol(name=name):
                # A variable of the host has a name that no spec can give.
                return name[1:] if name.startswith("$") else self.symbols[name]
            case FloorDiv(numerator=numerator, divisor=divisor):
                return f"(({self.size(numerator)})//{divisor})"
            case Extreme(kind=kind, items=items):
                return f"{kind}({', '.join(map(self.size, items))})"

    def buffer(self, buffer: Buffer) -> str:
        """The memory of a buffer."""
        root = buffer.root
        return f"{root.kind.value}[{root.index}]"

    def piece(self, piece: Piece) -> str:
        """A piece of a line of the host."""
        if isinstance(piece, str):
            return piece
        return self.buffer(piece.buffer) if isinstance(piece, Array) else self.size(piece)

    def line(self, pieces: Sequence[Piece]) -> str:
        """A line of the host."""
        return "".join(map(self.piece, pieces))

    def launch(self, launch: Launch) -> str:
        """``run(kernel, arguments, grid)``; the grid is a function of the config's constants."""
        given = tuple_text(self.piece(each) for each in launch.arguments)
        grid = tuple_text(" * ".join(self._extent(each) for each in axis if each != 1) or "1" for axis in launch.grid)
        text = f"run({launch.kernel.name}, {given}, lambda c: {grid}"
        if WIDE in launch.kernel.special:
            sizes = [self.size(each) for each in _largest(launch.extents)]
            most = sizes[0] if len(sizes) == 1 else f"max({', '.join(sizes)})"
            text += f", {most} >= {LONG_TEXT}"
        return text + ")"

    def _extent(self, extent: AnyDim | Tiles | str) -> str:
        if isinstance(extent, str):
            return f'c["{extent}"]'
        if isinstance(extent, Tiles):
            return f'triton.cdiv({self.size(extent.size)}, c["{extent.block}"])'
        text = self.size(extent)
        return text if text.isidentifier() or text.isdigit() else f"({text})"

    def block(self, block: Block, indent: str) -> Iterator[str]:
        """The lines of a block, a comment where they come from another place of the spec than those before."""
        last, empty = "", True
        for item in block.items:
            if isinstance(item, Statement) and item.removed:
                continue
            place = origin(item.loc)
            if place and place != last:
                yield f"{indent}# {place}"
            last, empty = place or last, False
            if isinstance(item, Block):
                yield indent + self.line(item.header)
                yield from self.block(item, indent + "    ")
            else:
                yield indent + (self.launch(item.work) if isinstance(item.work, Launch) else self.line(item.work))
        if empty and (block.header or not indent):
            yield indent + "pass"


def _largest(extents: Sequence[AnyDim]) -> list[AnyDim]:
    """Those that some other is not certainly as large as; what is always short is left out, if anything is left."""
    found: list[AnyDim] = []
    for extent in dict.fromkeys(extents):
        if any(decide(other, ">=", extent) for other in found):
            continue
        found = [other for other in found if not decide(extent, ">=", other)] + [extent]
    long = [extent for extent in found if bounds(extent)[1] >= LONG]
    return long or found


def kernel_facts(kernel: Kernel) -> list[str]:
    """The lines of a kernel's entry in KERNELS: its function, arguments, configs, the interpreter's config, and the
    constants that the launcher sets."""
    arguments = tuple_text(
        f'("{each.name}", "{each.kind}", "{each.dtype.value if each.dtype else ""}", {each.written})'
        for each in kernel.arguments
    )
    return [
        f'    "{kernel.name}": (',
        f"        {kernel.name},",
        f"        {arguments},",
        "        (",
        *(f"            {_config(config)}," for config in kernel.configs),
        "        ),",
        f"        {_config(kernel.interpreted)},",
        f"        {tuple_text(map(repr, kernel.special))},",
        "    ),",
    ]


def _config(config: Config) -> str:
    return f"({dict(config.constants)!r}, {config.warps}, {config.stages})"


def tuple_text(items: Iterable[str]) -> str:
    """Items as the text of a tuple."""
    listed = list(items)
    return f"({listed[0]},)" if len(listed) == 1 else f"({', '.join(listed)})"
