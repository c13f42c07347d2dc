"""What lowering produces: buffers, arrays that live in them, and statements over both. Text comes last, in `emit`.

A statement is a few lines made of pieces: plain text, arrays, buffers and sizes. What it touches is read off its
pieces, so that the planner knows lifetimes without understanding the text. Three stages of a program run at different
times: what depends on weights only, once; what depends on sizes too, once for each; the rest, at each call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from ...compiler.ir import AnyDim, Dim, DType, Loc, Shape
from ...compiler.ir.dims import product
from .layout import is_packed


class Stage(IntEnum):
    """When a statement runs."""

    LOAD = 0
    SIZES = 1
    CALL = 2


class Kind(Enum):
    """Who provides the memory of a buffer."""

    ARENA = "arena"
    """The arena of a call; the planner finds the place."""
    OUTPUT = "output"
    """Allocated at each call, handed to the caller."""
    KEPT = "kept"
    """Allocated at an earlier stage; stays."""
    OUTSIDE = "outside"
    """An input or a weight: never written."""
    STATE = "state"
    """The caller's memory of a state: written in place."""


@dataclass(frozen=True, slots=True)
class Computed:
    """A size that a kernel computes from sizes, when memory is planned: ``kernel(*arguments)``."""

    kernel: str
    arguments: tuple[AnyDim, ...]


@dataclass(eq=False, slots=True)
class Buffer:
    """Memory for elements of one dtype, named once, by the statement that first fills it.

    The planner may let it use the memory of another: ``array`` then stands for it, and ``root`` leads there.
    """

    dtype: DType
    shape: tuple[AnyDim | Computed, ...]
    kind: Kind = Kind.ARENA
    array: Array | None = None
    index: int = -1

    @property
    def root(self) -> Buffer:
        """The buffer whose memory this one uses."""
        buffer = self
        while buffer.array is not None:
            assert buffer.array.buffer is not None
            buffer = buffer.array.buffer
        return buffer


@dataclass(eq=False, slots=True)
class Array:
    """What a name of the emitted code stands for. ``strides`` count elements.

    A lazy array is a broadcast that is not spelled out (yet): ``compact`` broadcasts to it by NumPy's rules. A literal
    has its text as name, its ``number``, and no buffer. ``home`` is the block that gives it its name.
    """

    name: str
    dtype: DType
    shape: Shape
    strides: Shape
    buffer: Buffer | None
    home: Block
    compact: Array | None = None
    full: Array | None = None
    number: int | float | None = None

    @property
    def lazy(self) -> bool:
        return self.compact is not None

    @property
    def literal(self) -> bool:
        return self.number is not None

    @property
    def packed(self) -> bool:
        """Whether the elements lie in row-major order without gaps."""
        return is_packed(self.shape, self.strides)

    @property
    def whole(self) -> bool:
        """Whether this is all of its buffer, in its order."""
        buffer = self.buffer
        if buffer is None or buffer.dtype is not self.dtype or not self.packed:
            return False
        return buffer.shape == self.shape or elements(buffer) == product(self.shape)


def elements(buffer: Buffer) -> AnyDim | None:
    """The number of elements of a buffer, None where a kernel computes it."""
    total: AnyDim = 1
    for size in buffer.shape:
        if isinstance(size, Computed):
            return None
        total = total * size
    return total


Piece = str | int | Dim | Computed | tuple[AnyDim | Computed, ...] | Array | Buffer
Line = tuple[Piece, ...]


def line(template: str, *pieces: Piece) -> Line:
    """A line: each ``{}`` of the template takes a piece. A string of a user never stands in a template."""
    texts = template.split("{}")
    assert len(texts) == len(pieces) + 1, template
    made: list[Piece] = [texts[0]]
    for piece, text in zip(pieces, texts[1:], strict=True):
        assert not (isinstance(piece, Array) and piece.lazy), "a broadcast must be spelled out here"
        made += [piece, text]
    return tuple(piece for piece in made if piece != "")


@dataclass(eq=False, slots=True)
class Statement:
    """Lines that run together.

    ``out`` is a buffer that they fill, and ``reuse`` are operands whose memory it may take over if they die here: the
    lines must bear that ``out`` is the same array as one of them. A copy fills ``out`` with ``source`` and nothing
    else; a store fills the existing array ``target`` with it. The planner removes either if it can let the two share
    memory. Lines that do nothing but name a ``view`` are removed if nothing reads it.
    """

    lines: tuple[Line, ...]
    out: Buffer | None = None
    reuse: tuple[Array, ...] = ()
    source: Array | None = None
    result: Array | None = None
    target: Array | None = None
    view: Array | None = None
    removed: bool = False
    loc: Loc | None = None
    position: int = -1

    def arrays(self) -> Iterator[Array]:
        """The arrays that the lines name."""
        for each in self.lines:
            yield from (piece for piece in each if isinstance(piece, Array))

    def touched(self) -> Iterator[Buffer]:
        """The buffers that the lines read or write, as they were before merging."""
        for each in self.lines:
            for piece in each:
                if isinstance(piece, Buffer):
                    yield piece
                elif isinstance(piece, Array) and piece.buffer is not None:
                    yield piece.buffer


@dataclass(eq=False, slots=True)
class Block:
    """Statements and inner blocks, in order. ``header`` is the line that opens it (a stage has none).

    A loop's body runs many times. A branch may not run at all, so nothing is hoisted out of it.
    """

    stage: Stage
    depth: int
    header: Line = ()
    loop: bool = False
    items: list[Statement | Block] = field(default_factory=list)
    begin: int = -1
    end: int = -1
    loc: Loc | None = None
