"""Where lowerings put their statements: the arrays of values, the open blocks, names, and what stages share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...compiler.ir import AnyDim, Dim, DType, Graph, Literal, Loc, Node, Shape, Symbol, TensorType, Value
from ...compiler.ir.dims import substitute, symbols
from .code import Array, Block, Buffer, Computed, Kind, Line, Stage, Statement, line
from .layout import packed, reshaped
from .plan import Plan

OUT = "\0out"
"""Among the pieces of `Scope.fill`: the buffer of the result."""

Lowering = Callable[..., "Array | Sequence[Array]"]
TYPICAL = 224
"""What symbols are taken for where two ways of computing are compared; those that count examples for 1."""
SMALL = 16
"""Constants of at most so many elements are written as lists of numbers."""


def numpy_name(dtype: DType) -> str:
    """How emitted code names a dtype. NumPy has no bfloat16: its bits are kept as uint16."""
    return {"bool": "np.bool_", "bfloat16": "np.uint16"}.get(dtype.value, f"np.{dtype.value}")


def bits(array: np.ndarray) -> np.ndarray:
    """The array as emitted code holds it: bfloat16 as uint16, everything else as it is."""
    return array.view(np.uint16) if array.dtype == DType.BFLOAT16.numpy else array


@dataclass(eq=False, slots=True)
class Tile:
    """A function of one tile: its scope, and the sizes where the tile starts, stops, and that it has, axis by axis.

    ``parameters`` are the arrays that it is given, ``symbols`` the sizes of the entry that it knows. ``whole`` are the
    sizes of the axes that are cut, and the elements behind each of the last.
    """

    scope: Scope
    starts: Shape
    stops: Shape
    sizes: Shape
    parameters: list[Array] = field(default_factory=list)
    symbols: tuple[Symbol, ...] = ()
    whole: tuple[Shape, AnyDim] = ((), 1)
    most: Computed | None = None
    plan: Plan = field(default_factory=Plan)
    number: int = -1


@dataclass(frozen=True, slots=True)
class Recipe:
    """The call of a kernel that makes its result tile by tile: text up to the argument ``out``, and its pieces.

    ``most`` are the sizes of a tile: how many images, and rows.
    """

    text: str
    pieces: tuple[Any, ...]
    most: Computed


@dataclass
class Shared:
    """What the entries of a program share: the stage at load, its arrays, and the names given so far."""

    lowerings: dict[str, Lowering]
    load: Block = field(default_factory=lambda: Block(Stage.LOAD, 0))
    constants: dict[Literal, Array] = field(default_factory=dict)
    made: dict[tuple[Any, ...], list[Array]] = field(default_factory=dict)
    kernels: set[str] = field(default_factory=set)
    tiles: list[Tile] = field(default_factory=list)
    count: int = 0

    def name(self, letter: str = "v") -> str:
        """A name that nothing else has."""
        self.count += 1
        return f"{letter}{self.count}"


class Scope:
    """Lowers the graph of one entry. Statements go into the outermost block that knows all they need."""

    def __init__(self, shared: Shared, batch: frozenset[str] = frozenset()) -> None:
        """``batch`` are the symbols that count examples."""
        self.shared, self.batch = shared, batch
        self.tiles: list[Tile] = []
        self.sizes = Block(Stage.SIZES, 1)
        self.call = Block(Stage.CALL, 2)
        self.floor = shared.load
        self.arrays: dict[Value, Array] = {}
        self.transposes: dict[int, tuple[Array, Array, tuple[int, ...]]] = {}
        self.reshapes: dict[tuple[int, Shape, int], tuple[Array, Array]] = {}
        self.loc: Loc | None = None

    # ---- graphs

    def lower(self, graph: Graph, inputs: Sequence[Array]) -> list[Array]:
        """Lower the nodes of a graph or region; returns the arrays of its outputs."""
        outer = self.loc
        self.arrays.update(zip(graph.inputs, inputs, strict=True))
        for node in graph.nodes:
            self.loc = node.loc or outer
            self.arrays.update(zip(node.outputs, self._node(node), strict=True))
        self.loc = outer
        return [self.arrays[value] for value in graph.outputs]

    def _node(self, node: Node) -> Sequence[Array]:
        operands = [self.arrays[value] for value in node.inputs]
        lowering = self.shared.lowerings[node.op.name]
        shared = not node.regions and all(operand.home.stage is Stage.LOAD for operand in operands)
        shared = shared and self.floor is self.shared.load and node.op.name != "constant"
        shared = shared and all(value.type.is_static for value in node.outputs)
        # Equal work on weights, in whatever entry, is done once.
        key = (type(node.op), node.op, *map(id, operands))
        if shared and key in self.shared.made:
            return self.shared.made[key]
        made = lowering(self, node, *node.op.arguments(operands))
        results = [made] if isinstance(made, Array) else list(made)
        if shared and all(result.home.stage is Stage.LOAD for result in results):
            self.shared.made[key] = results
        return results

    def typical(self, shape: Shape) -> tuple[int, ...]:
        """A shape with numbers for symbols, to compare two ways of computing: one example, of a usual size."""
        return tuple(_typical(size, self.batch) for size in shape)

    # ---- where statements go

    def home(self, *pieces: object) -> Block:
        """The outermost block that knows all of these, and that a branch does not forbid."""
        block = self.floor
        for piece in _flat(pieces):
            if isinstance(piece, Array):
                known = piece.home
            else:
                parts = piece.shape if isinstance(piece, Buffer) else (piece,)
                known = self.shared.load if _static(parts) else self.sizes
            block = known if known.depth > block.depth else block
        return block

    def add(self, block: Block, statement: Statement) -> None:
        """Append a statement."""
        statement.loc = self.loc
        block.items.append(statement)

    def run(self, *lines: Line, block: Block | None = None) -> None:
        """Append lines that give nothing a name."""
        self.add(block or self.home(*lines), Statement(lines))

    @contextmanager
    def inside(self, parent: Block, header: Line, loop: bool) -> Iterator[Block]:
        """A block under construction, to be appended to ``parent`` by the caller when it is complete."""
        block = Block(parent.stage, parent.depth + 1, header, loop, loc=self.loc)
        floor = self.floor
        self.floor = floor if loop else block
        yield block
        self.floor = floor

    # ---- arrays

    def kernel(self, name: str) -> str:
        """The name of a kernel, which the emitted module will hold."""
        self.shared.kernels.add(name)
        return name

    def array(self, type: TensorType, buffer: Buffer, home: Block) -> Array:
        """An array in row-major order at the start of a buffer."""
        return Array(self.shared.name(), type.dtype, type.shape, packed(type.shape), buffer, home)

    def buffer(self, dtype: DType, shape: tuple[AnyDim | Computed, ...]) -> Buffer:
        """New memory."""
        return Buffer(dtype, shape)

    def place(self, block: Block, *buffers: Buffer) -> None:
        """Settle who provides new memory, once it is known where its statement runs."""
        for buffer in buffers:
            buffer.kind = Kind.ARENA if block.stage is Stage.CALL else Kind.KEPT

    def fill(self, type: TensorType, template: str, *pieces: Any, reuse: Sequence[Array] = ()) -> Array:
        """``v = template`` into new memory, which is named by the piece `OUT`. Other buffers are scratch."""
        out = self.buffer(type.dtype, type.shape)
        pieces = tuple(out if piece is OUT else piece for piece in pieces)
        block = self.home(*pieces)
        self.place(block, *(piece for piece in _flat(pieces) if isinstance(piece, Buffer)))
        result = self.array(type, out, block)
        fit = tuple(array for array in reuse if not array.lazy and not array.literal and array.shape == type.shape)
        self.add(block, Statement((line("{} = " + template, result, *pieces),), out, fit))
        return result

    def view(
        self, base: Array, template: str, *pieces: Any, shape: Shape, strides: Shape, dtype: DType | None = None
    ) -> Array:
        """``v = template``, which reads the memory of ``base`` in another way."""
        block = self.home(base, *pieces)
        result = Array(self.shared.name(), dtype or base.dtype, shape, strides, base.buffer, block)
        self.add(block, Statement((line("{} = " + template, result, base, *pieces),), view=result))
        return result

    def copy(self, source: Array, kind: Kind | None = None, block: Block | None = None) -> Array:
        """The values in memory of their own; no work at all if the source dies here."""
        spread = compact(source)
        block = block or self.home(spread, *source.shape)
        out = self.buffer(source.dtype, source.shape)
        self.place(block, out)
        out.kind = kind or out.kind
        result = self.array(TensorType(source.dtype, source.shape), out, block)
        lines = (line("{} = {}", result, out), line("np.copyto({}, {})", result, spread))
        given = None if source.lazy or source.literal else source
        self.add(block, Statement(lines, out, (given,) if given else (), given, result))
        return result

    def store(self, target: Array, source: Array, block: Block) -> None:
        """Copy the values into an existing array; no work at all if they could be made there."""
        given = None if source.lazy or source.literal else source
        lines = (line("np.copyto({}, {})", target, compact(source)),)
        self.add(block, Statement(lines, source=given, target=target))

    def spelled(self, array: Array) -> Array:
        """The array with memory and a name: literals and broadcasts as what they stand for."""
        if array.literal:
            return self.constant(Literal.of(np.asarray(array.number, array.dtype.numpy)), written=False)
        if array.compact is None:
            return array
        if array.full is None:
            small = self.spelled(array.compact)
            strides = _stretched(small, array.shape)
            floor, self.floor = self.floor, self.shared.load
            array.full = self.view(small, "np.broadcast_to({}, {})", array.shape, shape=array.shape, strides=strides)
            self.floor = floor
        return array.full

    def constant(self, literal: Literal, written: bool = True) -> Array:
        """A literal. With ``written``, numbers stand in the code as they are, and repeated ones are lazy."""
        values = literal.array()
        if written and values.ndim == 0:
            return self._number(values)
        if written and values.size > 1 and literal.data == values.reshape(-1)[:1].tobytes() * values.size:
            return self.lazy(self._number(values.reshape(-1)[0]), values.shape)
        if literal in self.shared.constants:
            return self.shared.constants[literal]
        block = self.shared.load
        dtype, held = literal.type.dtype, bits(values)
        buffer = Buffer(dtype, values.shape, Kind.KEPT)
        result = self.array(literal.type, buffer, block)
        name = numpy_name(dtype)
        if held.size <= SMALL:
            text = _listed(held)
            made = line("{} = np.array(" + text + f", {name})", result)
        else:
            text = f"{self.kernel('constant')}({name}, {held.shape!r}, {held.tobytes().hex()!r})"
            made = line("{} = " + text, result)
        self.add(block, Statement((made,)))
        self.shared.constants[literal] = result
        return result

    def _number(self, value: Any) -> Array:
        scalar = np.asarray(value)
        number = bits(scalar).item()
        text = number_text(scalar)
        return Array(text, DType.of(scalar), (), (), None, self.shared.load, number=number)

    def lazy(self, small: Array, shape: Shape) -> Array:
        """A broadcast of ``small`` (spelled out, or a literal) to ``shape`` by NumPy's rules."""
        return Array("", small.dtype, shape, (), None, self.home(small, *shape), compact=small)

    def reshape(self, array: Array, shape: Shape) -> Array:
        """The array in another shape: a view if possible, else a copy."""
        array = self.spelled(array)
        if array.shape == shape:
            return array
        key = (id(array), shape, id(self.floor))
        if key not in self.reshapes:
            # The array is kept beside its views, so that nothing else gets its id.
            self.reshapes[key] = (array, self._reshape(array, shape))
        return self.reshapes[key][1]

    def _reshape(self, array: Array, shape: Shape) -> Array:
        strides = reshaped(array.shape, array.strides, shape)
        if strides is not None:
            return self.view(array, "{}.reshape({})", shape, shape=shape, strides=strides)
        out = self.buffer(array.dtype, shape)
        block = self.home(array, *shape)
        self.place(block, out)
        result = self.array(TensorType(array.dtype, shape), out, block)
        lines = (line("{} = {}", result, out), line("np.copyto({}.reshape({}), {})", result, array.shape, array))
        self.add(block, Statement(lines, out))
        return result

    def transpose(self, array: Array, axes: Sequence[int]) -> Array:
        """The array with its axes in another order; what was turned before is turned back for nothing."""
        if list(axes) == list(range(len(axes))):
            return array
        array = self.spelled(array)
        _, before, known = self.transposes.get(id(array), (array, array, ()))
        if known and [known[axis] for axis in axes] == list(range(len(axes))):
            return before
        shape, strides = (tuple(each[axis] for axis in axes) for each in (array.shape, array.strides))
        result = self.view(array, "{}.transpose({})", tuple(axes), shape=shape, strides=strides)
        # The result is kept beside what is known of it, so that nothing else gets its id.
        self.transposes[id(result)] = (result, array, tuple(axes))
        return result

    def contiguous(self, array: Array) -> Array:
        """The array, spelled out, in row-major order; copied if it is not."""
        array = self.spelled(array)
        return array if array.packed else self.copy(array)


def _typical(size: AnyDim, batch: frozenset[str]) -> int:
    if not isinstance(size, Dim):
        return size
    values = {each.name: min(max(1 if each.name in batch else TYPICAL, each.low), each.high) for each in symbols(size)}
    found = substitute(size, values)
    assert isinstance(found, int)
    return found


def compact(array: Array) -> Array:
    """What to give to a function that broadcasts: the array without its repetition."""
    return array if array.compact is None else array.compact


def _flat(pieces: Sequence[object]) -> Iterator[object]:
    for piece in pieces:
        if isinstance(piece, tuple):
            yield from _flat(piece)
        else:
            yield piece


def _static(shape: Sequence[object]) -> bool:
    for size in shape:
        if isinstance(size, Dim):
            return False
        if isinstance(size, Computed) and not _static(size.arguments):
            return False
    return True


def _stretched(small: Array, shape: Shape) -> Shape:
    """The strides of a broadcast."""
    offset = len(shape) - len(small.shape)
    kept = [
        0 if size == 1 and wanted != 1 else stride
        for size, stride, wanted in zip(small.shape, small.strides, shape[offset:], strict=True)
    ]
    return (*(0,) * offset, *kept)


def number_text(scalar: np.ndarray) -> str:
    """A number as Python text that NumPy rounds to the same bits."""
    if scalar.dtype.kind == "f":
        value = float(scalar)
        if np.isnan(value) or np.isinf(value):
            return "np.nan" if np.isnan(value) else "np.inf" if value > 0 else "-np.inf"
        short = str(scalar[()])
        same = np.asarray(float(short)).astype(scalar.dtype) == scalar
        return repr(float(short)) if same else repr(value)
    return repr(bits(scalar).item())


def _listed(values: np.ndarray) -> str:
    if values.ndim == 0:
        return number_text(values)
    return "[" + ", ".join(_listed(value) for value in values) + "]"
