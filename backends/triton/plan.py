"""The launch plan of an entry: statements in blocks, and which buffers share memory.

Statements get positions in the order of the text. A buffer lives from its first to its last touch; one that is touched
inside a loop but older than it lives to the loop's end, for the next round reads it again. Then, in this order:

1. A store into a carried value, a state or an output is removed if its source can be made there directly: nothing
   touches the old value between the moment the source is begun and the store.
2. A result takes over the memory of an operand that dies there, if the kernel bears it; a copy of a dying array is
   removed.

What is left over is the table of buffers, which are packed into one arena for each set of sizes.

The NumPy target plans by the same steps, but over lines of Python: there an operand may be a part of a buffer, and what
a statement reads is found in its text. So the two share the packing (`compiler/packing.py`), and not this.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ...compiler.ir import Dim, Loc
from ...compiler.ir.dims import substitute
from .arrays import Array, Buffer, Kind
from .kernel import Launch

Piece = str | int | Dim | Array
"""Of a line of the host: text, a size, or an array (its memory)."""


@dataclass(eq=False, slots=True)
class Statement:
    """A launch, or a line of the host.

    ``out`` is memory that it fills, and ``reuse`` are operands whose memory it may take over if they die here. A copy
    fills ``out`` with ``source``; a store fills the existing array ``target`` with it. Either is ``removed`` where the
    two can share memory.
    """

    work: Launch | tuple[Piece, ...]
    out: Array | None = None
    reuse: tuple[Array, ...] = ()
    source: Array | None = None
    target: Array | None = None
    loc: Loc | None = None
    what: str = ""
    """The ops that it computes, for people."""
    removed: bool = False
    position: int = -1

    def arrays(self) -> Iterator[Array]:
        """The arrays that it reads or writes."""
        pieces = (*self.work.arguments, *self.work.writes) if isinstance(self.work, Launch) else self.work
        yield from (piece for piece in pieces if isinstance(piece, Array))


@dataclass(eq=False, slots=True)
class Block:
    """Statements and inner blocks, in order. ``header`` is the line that opens it (the outermost has none)."""

    header: tuple[Piece, ...] = ()
    loop: bool = False
    items: list[Statement | Block] = field(default_factory=list)
    loc: Loc | None = None
    begin: int = -1
    end: int = -1

    def launches(self) -> Iterator[Launch]:
        """Every launch that is left, those of inner blocks included."""
        for item in self.items:
            if isinstance(item, Block):
                yield from item.launches()
            elif isinstance(item.work, Launch) and not item.removed:
                yield item.work


@dataclass(slots=True)
class Life:
    """When a buffer is touched: positions, rising. ``first`` and ``last`` count loops."""

    touches: list[int] = field(default_factory=list)
    first: int = -1
    last: int = -1


@dataclass(slots=True)
class Plan:
    """A planned block, and the buffers of its arena in the order of their index with first and last positions."""

    block: Block
    rows: list[tuple[Buffer, int, int]]

    def bytes(self, sizes: Mapping[str, int]) -> list[tuple[int, int, int]]:
        """First use, last use and bytes of each buffer, for these values of all symbols."""
        found = []
        for buffer, first, last in self.rows:
            elements = substitute(buffer.elements, sizes)
            assert isinstance(elements, int), "a size of a buffer is not known"
            found.append((first, last, elements * buffer.dtype.bytes))
        return found


def plan(block: Block) -> Plan:
    """Plan the memory of an entry's block in place: statements are removed, buffers merged and numbered."""
    planner = _Planner()
    planner.walk(block, ())
    planner.extend()
    for statement, inside in planner.statements:
        if statement.target is not None:
            planner.store(statement, inside)
    for statement, _ in planner.statements:
        if statement.out is not None:
            planner.reuse(statement)
    buffers = [buffer for buffer in planner.lives if buffer.kind is Kind.ARENA]
    buffers.sort(key=lambda buffer: planner.lives[buffer].first)
    for index, buffer in enumerate(buffers):
        buffer.index = index
    rows = [(buffer, planner.lives[buffer].first, planner.lives[buffer].last) for buffer in buffers]
    return Plan(block, rows)


@dataclass(slots=True)
class _Planner:
    lives: dict[Buffer, Life] = field(default_factory=dict)
    statements: list[tuple[Statement, tuple[Block, ...]]] = field(default_factory=list)
    loops: dict[int, tuple[Block, ...]] = field(default_factory=dict)
    at: list[Statement | None] = field(default_factory=list)

    def walk(self, block: Block, inside: tuple[Block, ...]) -> None:
        """Number statements and blocks, and note what they touch."""
        block.begin = self.step(None, (*inside, block))
        for piece in block.header:
            if isinstance(piece, Array):
                self.touch(piece.buffer, block.begin)
        inside = (*inside, block)
        for item in block.items:
            if isinstance(item, Block):
                self.walk(item, inside)
                continue
            item.position = self.step(item, inside)
            self.statements.append((item, inside))
            for array in item.arrays():
                self.touch(array.buffer, item.position)
        block.end = self.step(None, inside)

    def step(self, statement: Statement | None, inside: tuple[Block, ...]) -> int:
        position = len(self.at)
        self.at.append(statement)
        loops = tuple(block for block in inside if block.loop)
        if loops:
            self.loops[position] = loops
        return position

    def touch(self, buffer: Buffer, position: int) -> None:
        if buffer.kind in (Kind.ARENA, Kind.OUTPUT, Kind.STATE):
            touches = self.lives.setdefault(buffer, Life()).touches
            if not touches or touches[-1] != position:
                touches.append(position)

    def extend(self) -> None:
        """Let what a loop touches, and others touch before or after it, live as long as the loop."""
        for buffer, life in self.lives.items():
            life.first, life.last = life.touches[0], life.touches[-1]
            first = -1 if buffer.kind is Kind.STATE else life.first
            final = life.last
            for position in life.touches:
                for loop in self.loops.get(position, ()):
                    if loop.begin > first or loop.end < final:
                        life.first = min(life.first, loop.begin)
                        life.last = max(life.last, loop.end)
                        break

    def store(self, statement: Statement, inside: tuple[Block, ...]) -> None:
        """Let the source of a store be made in its target."""
        source, target = statement.source, statement.target
        assert target is not None and source is not None
        made, place = source.buffer.root, target.buffer.root
        if made.kind is not Kind.ARENA or place is made or not source.whole or not target.whole:
            return
        if made.dtype is not target.dtype or source.elements != target.elements:
            return
        mine = self.lives[made]
        there = self.lives[place]
        if mine.first <= inside[-1].begin or mine.last > inside[-1].end:
            return
        between = [p for p in there.touches[bisect_left(there.touches, mine.first) :] if p < statement.position]
        if between and not (between == [mine.first] and self.in_place(self.at[mine.first], made, place)):
            return
        maker = self.at[mine.first]
        if maker is not None and maker.source is not None and maker.out is not None and maker.out.buffer is made:
            # A copy of what the target held: in its place, nothing is left to copy.
            maker.removed = maker.source.buffer.root is place and maker.source.whole
        made.merged = place
        statement.removed = True
        for position in mine.touches:
            if position != statement.position and position not in there.touches:
                insort(there.touches, position)
        there.first, there.last = min(there.first, mine.first), max(there.last, mine.last)
        del self.lives[made]

    def in_place(self, statement: Statement | None, out: Buffer, place: Buffer) -> bool:
        """Whether a statement may write to the memory that it reads."""
        if statement is None or statement.out is None or statement.out.buffer is not out:
            return False
        if statement.source is not None:
            return statement.source.whole and statement.source.buffer.root is place
        return any(each.buffer.root is place and each.whole for each in statement.reuse)

    def reuse(self, statement: Statement) -> None:
        """Let the result of a statement take over the memory of an operand."""
        assert statement.out is not None
        out = statement.out.buffer
        if out.merged is not None or out not in self.lives or statement.removed:
            return
        mine = self.lives[out]
        copied = (statement.source,) if statement.source is not None else ()
        for array in (*statement.reuse, *copied):
            old = array.buffer.root
            if old is out or old.kind is not Kind.ARENA or out.kind is not Kind.ARENA or old not in self.lives:
                continue
            if old.dtype is not out.dtype or old.elements != out.elements or not array.whole:
                continue
            life = self.lives[old]
            if life.last != statement.position or mine.first != statement.position:
                continue
            out.merged = old
            statement.removed = statement.source is not None
            life.touches.extend(mine.touches[1:])
            life.last = mine.last
            del self.lives[out]
            return
