"""Which buffers share memory, and how long each is needed.

Statements get positions in the order of the text. A buffer lives from its first to its last touch; one that is touched
inside a loop but older than it lives to the loop's end, for the next round reads it again. Then, in this order:

1. A store into a carried value, a state or a row of a result is removed if its source can be made there directly:
   nothing touches the old value between the moment the source is begun and the store.
2. A result takes over the memory of an operand that dies there, if the statement allows it; a copy of a dying array
   is removed.

What is left over is the table of buffers, which the emitted program packs into one arena for each set of sizes.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from .code import Array, Block, Buffer, Kind, Statement


@dataclass(slots=True)
class Life:
    """When a buffer is touched: positions, rising; ``last`` counts loops."""

    touches: list[int] = field(default_factory=list)
    last: int = -1

    @property
    def first(self) -> int:
        return self.touches[0]


@dataclass(slots=True)
class Plan:
    """The buffers that an arena holds, in the order of their index, with their first and last positions."""

    buffers: list[Buffer] = field(default_factory=list)
    lives: dict[Buffer, Life] = field(default_factory=dict)

    def rows(self) -> Iterator[tuple[Buffer, int, int]]:
        for buffer in self.buffers:
            life = self.lives[buffer]
            yield buffer, life.first, life.last


def plan(block: Block, early: bool = False, apart: Collection[Buffer] = ()) -> Plan:
    """Plan the stage that runs at each call. Statements are removed, buffers merged and numbered in place.

    With ``early`` what leads to a result is made in the result's memory, too, but for the buffers ``apart``. For a
    block without inner blocks.
    """
    drop_unread(block, set())
    planner = _Planner()
    planner.walk(block, ())
    planner.extend()
    for statement, inner in planner.statements:
        if statement.target is not None:
            planner.store(statement, inner)
    for statement, _ in planner.statements:
        if statement.out is not None and statement.target is None:
            planner.reuse(statement)
    if early:
        for statement, _ in reversed(planner.statements):
            planner.make_early(statement, apart)
    return planner.result()


def drop_unread(block: Block, read: set[Array]) -> None:
    """Remove views that nothing reads; ``read`` is what is read behind the block."""
    for item in reversed(block.items):
        if isinstance(item, Block):
            drop_unread(item, read)
        elif item.view is not None and item.view not in read:
            item.removed = True
        else:
            read.update(item.arrays())
    read.update(piece for piece in block.header if isinstance(piece, Array))


@dataclass(slots=True)
class _Planner:
    lives: dict[Buffer, Life] = field(default_factory=dict)
    statements: list[tuple[Statement, tuple[Block, ...]]] = field(default_factory=list)
    loops: dict[int, tuple[Block, ...]] = field(default_factory=dict)
    at: list[Statement | None] = field(default_factory=list)

    def walk(self, block: Block, inside: tuple[Block, ...]) -> None:
        """Number statements and blocks, and note what they touch."""
        block.begin = self.step(None, inside)
        for piece in block.header:
            if isinstance(piece, Array) and piece.buffer is not None:
                self.touch(piece.buffer, block.begin)
        inside = (*inside, block)
        for item in block.items:
            if isinstance(item, Block):
                self.walk(item, inside)
                continue
            if item.removed:
                continue
            item.position = self.step(item, inside)
            self.statements.append((item, inside))
            for buffer in item.touched():
                self.touch(buffer, item.position)
        block.end = self.step(None, inside[:-1])

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
        """Let what a loop reads but does not make live to its end."""
        for buffer, life in self.lives.items():
            first = -1 if buffer.kind is Kind.STATE else life.first
            life.last = life.touches[-1]
            for position in life.touches:
                for loop in self.loops.get(position, ()):
                    if loop.begin > first:
                        life.last = max(life.last, loop.end)
                        break

    def store(self, statement: Statement, inside: tuple[Block, ...]) -> None:
        """Let the source of a store be made in its target."""
        source, target = statement.source, statement.target
        assert target is not None and target.buffer is not None
        if source is None or source.buffer is None or not source.whole:
            return
        made, place = source.buffer.root, target.buffer.root
        if made.kind is not Kind.ARENA or place is made or not target.packed:
            return
        if made.dtype is not target.dtype or source.shape != target.shape:
            return
        mine, there = self.lives[made], self.lives[place]
        if mine.first <= inside[-1].begin or (mine.last > inside[-1].end and inside[-1].depth > 2):
            return
        since = bisect_right(there.touches, mine.first - 1)
        between = [p for p in there.touches[since:] if p < statement.position]
        if between and not (between == [mine.first] and self.in_place(self.at[mine.first], made, target)):
            return
        maker = self.at[mine.first]
        if maker is not None and maker.out is made and maker.source is not None and maker.source.buffer is not None:
            # A copy of what the target held: in its place, nothing is left to copy.
            maker.removed = maker.source.buffer.root is place
        made.array = target
        statement.removed = True
        for position in mine.touches:
            if position not in (statement.position,):
                insort(there.touches, position)
        there.last = max(there.last, mine.last)
        del self.lives[made]

    def in_place(self, statement: Statement | None, out: Buffer, array: Array) -> bool:
        """Whether a statement may write to the array while it reads it."""
        if statement is None or statement.out is not out:
            return False
        allowed = any(
            each.buffer is array.buffer and each.whole and each.shape == array.shape for each in statement.reuse
        )
        return allowed and self.reads_only(statement, array)

    def reads_only(self, statement: Statement, array: Array) -> bool:
        """Whether the lines read the memory of an array in its own order only."""
        assert array.buffer is not None
        root = array.buffer.root
        return all(
            other.whole and other.shape == array.shape
            for other in statement.arrays()
            if other.buffer is not None and other.buffer.root is root
        )

    def reuse(self, statement: Statement) -> None:
        """Let the result of a statement take over the memory of an operand."""
        out = statement.out
        assert out is not None
        if out.array is not None or out not in self.lives:
            return
        mine = self.lives[out]
        for array in statement.reuse:
            old = array.buffer.root if array.buffer is not None else out
            if old is out or old.kind is not Kind.ARENA or old.dtype is not out.dtype or not array.whole:
                continue
            if array.shape != out.shape:
                continue
            life = self.lives[old]
            if life.last != statement.position or mine.first != statement.position:
                continue
            if not self.reads_only(statement, array):
                continue
            out.array = array
            statement.removed = statement.source is not None
            if out.kind is Kind.OUTPUT:
                old.kind = Kind.OUTPUT
            life.touches.extend(mine.touches[1:] if mine.touches[0] == life.touches[-1] else mine.touches)
            life.last = mine.last
            del self.lives[out]
            return

    def make_early(self, statement: Statement, apart: Collection[Buffer]) -> None:
        """Let an operand that dies where a result is made be made in the result's memory, if that is not used yet."""
        if statement.out is None or statement.out.array is None or statement.removed:
            return
        place, target = statement.out.root, statement.out.array
        there = self.lives.get(place)
        if place.kind is Kind.ARENA or there is None:
            return
        for array in statement.reuse:
            old = array.buffer.root if array.buffer is not None else place
            if old is place or old.kind is not Kind.ARENA or old in apart or old.dtype is not target.dtype:
                continue
            life = self.lives[old]
            if not array.whole or array.shape != target.shape or life.last != statement.position:
                continue
            # From when it is first written on, the result's memory may hold what is still needed.
            used = any(position < statement.position and self.fills(position) for position in there.touches)
            if not used and self.reads_only(statement, array):
                old.array = target
                for position in life.touches[:-1]:
                    insort(there.touches, position)
                del self.lives[old]
                return

    def fills(self, position: int) -> bool:
        """Whether the statement there makes something, and is no look at what there is."""
        statement = self.at[position]
        return statement is not None and (statement.out is not None or statement.target is not None)

    def result(self) -> Plan:
        buffers = [buffer for buffer in self.lives if buffer.kind is Kind.ARENA]
        buffers.sort(key=lambda buffer: self.lives[buffer].first)
        for index, buffer in enumerate(buffers):
            buffer.index = index
        return Plan(buffers, self.lives)
