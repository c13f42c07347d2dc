"""The code of a region's body: loads at given coordinates, expressions, stores.

A kernel walks the axes of a space. Whoever writes it (generated rows, a template with an accumulator) says what the
coordinate along each axis is, as a tile of some shape; everything else follows: an element's address is a sum of
coordinates times strides, a load is masked by the masks of the axes along which it moves, and broadcasting makes the
shapes of tiles agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...compiler.fusion import Space
from ...compiler.ir import AnyDim, Dim, DType, Node, Value
from ...compiler.ops.shape import Broadcast, Reshape, Transpose
from ...compiler.ops.source import Constant, Dimension
from .arrays import Array, Kind
from .expressions import NAMES, bare, expression, literal, narrowed, plain, register
from .kernel import Draft

_TILE = "tl.zeros((1,), tl.int32)"
"""Makes a scalar a tile. In the interpreter a bool that is a scalar is an int as soon as it meets a tile."""
Strides = Mapping[int, AnyDim]
"""By axis of the space; an axis that is missing does not move the address."""


@dataclass(frozen=True, slots=True)
class Coordinate:
    """Where a tile is along one axis: the text of an integer tile, and the name of its mask (None: all inside)."""

    text: str
    mask: str | None = None


def along(space: Space, view: Sequence[Sequence[int]], array: Array) -> dict[int, AnyDim]:
    """The strides of an array by axis of the space, for a value that lies in the space by this view."""
    found: dict[int, AnyDim] = {}
    for group, stride in zip(view, array.strides, strict=True):
        step = stride
        for axis in reversed(group):
            if step != 0:
                found[axis] = step
            step = step * space.axes[axis].size
    return found


def address(draft: Draft, array: Array, strides: Strides, coordinates: Mapping[int, Coordinate]) -> str:
    """The text of an element's address, counted from the start of the buffer."""
    parts: list[str] = []
    if array.offset != 0:
        parts.append(draft.size(array.offset))
    for axis, stride in sorted(strides.items()):
        text = coordinates[axis].text
        parts.append(text if stride == 1 else f"{text} * {draft.size(stride)}")
    return " + ".join(parts) or "0"


def masks(axes: Sequence[int], coordinates: Mapping[int, Coordinate]) -> str | None:
    """The mask for an access that moves along these axes; None if none is needed."""
    found = dict.fromkeys(coordinates[axis].mask for axis in sorted(axes))
    return " & ".join(mask for mask in found if mask) or None


def load(draft: Draft, array: Array, where: str, mask: str | None, other: str | None = None) -> str:
    """The text of a tile of an array at addresses, in the dtype of registers. Any kind of buffer.

    ``other`` is what stands where the mask does not hold; None says that nothing reads it.
    """
    buffer = array.buffer
    if buffer.kind in (Kind.NUMBER, Kind.COUNT):
        text = literal(buffer.value if buffer.kind is Kind.NUMBER else 0, array.dtype, draft)
        if buffer.kind is Kind.COUNT and where != "0":
            text = f"({where}).to({NAMES[register(array.dtype)]})"
        return text if mask is None or other is None else f"tl.where({mask}, {text}, {other})"
    guard = f", mask={mask}, other={other or 0}" if mask else ""
    text = f"tl.load({draft.pointer(array)} + {where}{guard})"
    if array.dtype is DType.BOOL:
        return f"({text} != 0)"
    return f"{text}.to(tl.float32)" if array.dtype.is_half else text


def store(draft: Draft, array: Array, where: str, text: str, mask: str | None) -> None:
    """Write a tile in the dtype of registers to addresses of an array in memory."""
    guard = f", mask={mask}" if mask else ""
    draft.add(f"tl.store({draft.write(array)} + {where}, {narrowed(draft, text, array.dtype)}{guard})")


@dataclass
class Body:
    """Writes what values need into the draft, each once, when they are asked for.

    ``arrays`` hold the region's inputs, ``loaded`` are values that are in registers already (an anchor's result as
    the accumulator). ``coordinates`` has every axis along which a value varies that is asked for.
    """

    draft: Draft
    space: Space
    nodes: Sequence[Node]
    arrays: Mapping[Value, Array]
    coordinates: Mapping[int, Coordinate]
    loaded: dict[Value, str] = field(default_factory=dict)
    strides: Mapping[Value, Strides] = field(default_factory=dict)
    """Of values in memory, where axes of the space have been merged; else they follow from the space."""
    tile: Coordinate | None = None
    """An index tile of the shape that values have which vary along no axis: where there is one they are no scalars."""

    def __post_init__(self) -> None:
        self.producers = {value: node for node in self.nodes for value in node.outputs}

    def value(self, value: Value) -> str:
        """The name (or number) of a value's tile, in its register dtype."""
        for each in self._order(value):
            if each not in self.loaded:
                self.loaded[each] = self._write(each)
        return self.loaded[value]

    def _order(self, value: Value) -> list[Value]:
        """What must be written for a value, operands first (no recursion: regions may be long chains)."""
        order: dict[Value, None] = {}
        todo = [(value, False)]
        while todo:
            each, ready = todo.pop()
            if ready:
                order.setdefault(each)
            elif each not in self.loaded and each not in order:
                todo.append((each, True))
                if each in self.producers:
                    todo += [(operand, False) for operand in reversed(self.producers[each].inputs)]
        return list(order)

    def _write(self, value: Value) -> str:
        node = self.producers.get(value)
        if node is None:
            return self._load(value)
        if isinstance(node.op, Reshape | Transpose | Broadcast):
            return self.loaded[node.inputs[0]]
        if isinstance(node.op, Constant):
            return self._number(node.op.value.array().item(), value.type.dtype)
        if isinstance(node.op, Dimension):
            return self._number(node.op.size, value.type.dtype)
        operands = [self._beside(operand, node) for operand in node.inputs]
        asks = node.output.type.dtype is DType.BOOL and node.inputs[0].type.dtype is not DType.BOOL
        if asks and not any(self.space.varies(operand) for operand in node.inputs):
            operands[0] = f"({operands[0]} + {_TILE})"
        return self.draft.let(expression(self.draft, node, operands))

    def _load(self, value: Value) -> str:
        array = self.arrays[value]
        known = array.number
        if known is not None:
            return self._number(known, array.dtype)
        strides = self._strides(value, array)
        where = address(self.draft, array, strides, self.coordinates)
        if array.dtype is DType.BOOL and not strides:
            where += f" + {_TILE}"
        text = load(self.draft, array, where, masks(list(strides), self.coordinates))
        return self.draft.let(text, "v")

    def _number(self, known: int | float | Dim, dtype: DType) -> str:
        """A number by itself where Triton gives it the dtype of what it meets, else a typed scalar."""
        return literal(known, dtype, self.draft) if isinstance(known, Dim) or not bare(dtype) else plain(known, dtype)

    def _beside(self, operand: Value, node: Node) -> str:
        """An operand's text; a lone number among numbers gets a dtype."""
        text = self.loaded[operand]
        if not _is_number(text):
            return text
        others = [self.loaded[other] for other in node.inputs if other.type.dtype is operand.type.dtype]
        wanted = node.op.name in ("cast", "bitcast", "pow") or all(map(_is_number, others))
        if wanted or operand.type.dtype is DType.BOOL:
            return f"tl.full((), {text}, {NAMES[register(operand.type.dtype)]})"
        return f"({text})" if text.startswith("-") else text

    def _strides(self, value: Value, array: Array) -> Strides:
        if value in self.strides:
            return self.strides[value]
        return along(self.space, self.space.views[value], array)

    def store(self, *targets: tuple[Value, Array]) -> None:
        """Write values to memory, by their views in the space. All are computed before the first is written, since
        memory that is written may be that of an operand."""
        texts = [self.value(value) for value, _ in targets]
        for (value, array), text in zip(targets, texts, strict=True):
            if _is_number(text):
                text = f"tl.full((), {text}, {NAMES[register(value.type.dtype)]})"
            strides = self._strides(value, array)
            where = address(self.draft, array, strides, self.coordinates)
            mask = masks(list(strides), self.coordinates)
            if not strides and self.tile is not None:
                where, mask = f"{where} + {self.tile.text} * 0", self.tile.mask
            store(self.draft, array, where, text, mask)


def _is_number(text: str) -> bool:
    return (not text.isidentifier() and not text.startswith("tl.")) or text in ("True", "False")
