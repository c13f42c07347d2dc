"""How the axes of a tensor are stored: cut into parts, and the parts in some order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..ir.dims import AnyDim, Shape, exact_quotient, product
from ..ir.graph import Builder, Value
from ..ops.shape import Reshape, Transpose

Piece = tuple[int, int]
"""An axis, and the number of a part of it."""


@dataclass(frozen=True, slots=True)
class Form:
    """``parts`` are the sizes that make up each axis, slow to fast; ``order`` tells which part each stored axis is.

    Channels last of [N, C, H, W] is ``((N,), (C,), (H,), (W,))`` in the order N, H, W, C. Parts appear where a reshape
    has merged axes: [N, C H W] of the same values is ``((N,), (C, H, W))`` in the order N, H, W, C.
    """

    parts: tuple[Shape, ...]
    order: tuple[Piece, ...]

    @classmethod
    def natural(cls, shape: Shape) -> Form:
        """As the axes are."""
        return cls.permuted(shape, range(len(shape)))

    @classmethod
    def permuted(cls, shape: Shape, axes: Iterable[int]) -> Form:
        """Whole axes in another order."""
        return cls(tuple((size,) for size in shape), tuple((axis, 0) for axis in axes))

    @property
    def stored(self) -> Shape:
        """The sizes as they are stored."""
        return tuple(self.parts[axis][part] for axis, part in self.order)

    @property
    def shape(self) -> Shape:
        """The sizes of the axes."""
        return tuple(product(sizes) for sizes in self.parts)

    @property
    def is_natural(self) -> bool:
        """Whether nothing is cut or moved."""
        return self.order == tuple((axis, 0) for axis in range(len(self.parts)))

    @property
    def is_free(self) -> bool:
        """Whether the elements stand where they stand in the natural form: nothing but parts of size 1 is moved."""
        moved = [piece for piece in self.order if self.parts[piece[0]][piece[1]] != 1]
        return moved == sorted(moved)

    def stores_as(self, other: Form) -> bool:
        """Whether the elements of the same tensor stand in the same places in both forms."""
        return self == other or self._core() == other._core()

    def _core(self) -> tuple[tuple[int, int, AnyDim], ...]:
        """What is stored, without parts of size 1."""
        merged = self.merged()
        kept = [[part for part, size in enumerate(sizes) if size != 1] for sizes in merged.parts]
        return tuple(
            (axis, kept[axis].index(part), merged.parts[axis][part])
            for axis, part in merged.order
            if merged.parts[axis][part] != 1
        )

    def is_whole(self, axis: int) -> bool:
        """Whether an axis is one part."""
        return len(self.parts[axis]) == 1

    def places(self, axis: int) -> list[int]:
        """Where the parts of an axis are stored, slow to fast."""
        return [self.order.index((axis, part)) for part in range(len(self.parts[axis]))]

    def place(self, axis: int) -> int:
        """Where a whole axis is stored."""
        (found,) = self.places(axis)
        return found

    def with_sizes(self, shape: Shape) -> Form:
        """The same order for other sizes; an axis that is cut keeps its size."""
        parts = tuple((size,) if len(old) == 1 else old for old, size in zip(self.parts, shape, strict=True))
        return Form(parts, self.order)

    def renamed(self, axes: Sequence[int]) -> Form:
        """The same storage for a tensor whose axis k is axis ``axes[k]`` of this one."""
        names = {axis: name for name, axis in enumerate(axes)}
        return Form(tuple(self.parts[axis] for axis in axes), tuple((names[axis], part) for axis, part in self.order))

    def without(self, axes: Iterable[int]) -> Form:
        """The form of what is left when axes are summed away."""
        gone = set(axes)
        kept = [axis for axis in range(len(self.parts)) if axis not in gone]
        return Form(self.parts, tuple(piece for piece in self.order if piece[0] not in gone)).renamed(kept)

    def with_ones(self, axes: Iterable[int]) -> Form:
        """The form of what is left when axes are summed to size 1; each is one part, where its first part was."""
        parts, order = list(self.parts), list(self.order)
        for axis in axes:
            parts[axis] = (1,)
            order = [piece for piece in order if piece[0] != axis or piece[1] == 0]
        return Form(tuple(parts), tuple(order))

    def merged(self) -> Form:
        """The same storage in as few parts as can be: neighbours in storage and in their axis become one."""
        parts, order = [list(sizes) for sizes in self.parts], list(self.order)
        at = 0
        while at + 1 < len(order):
            (axis, part), following = order[at], order[at + 1]
            if following == (axis, part + 1):
                parts[axis][part : part + 2] = [parts[axis][part] * parts[axis][part + 1]]
                del order[at + 1]
                order = [(a, p - 1) if a == axis and p > part else (a, p) for a, p in order]
                at = max(at - 1, 0)
            else:
                at += 1
        return Form(tuple(map(tuple, parts)), tuple(order))

    def reshaped(self, shape: Shape) -> Form | None:
        """The same storage for a reshape to ``shape``; None if some part would belong to two axes in no known way."""
        pieces = [(axis, part) for axis, sizes in enumerate(self.parts) for part in range(len(sizes))]
        rest: list[tuple[AnyDim, Piece]] = [(self.parts[axis][part], (axis, part)) for axis, part in pieces]
        wanted: list[list[tuple[AnyDim, Piece]]] = []
        for size in shape:
            taken = _take(rest, size)
            if taken is None:
                return None
            wanted.append(taken)
        if any(size != 1 for size, _ in rest):
            return None
        if rest:
            # What is left over has size 1: it goes nowhere.
            gone = {piece for _, piece in rest}
            pieces = [piece for piece in pieces if piece not in gone]
        stored: dict[Piece, list[Piece]] = {piece: [] for piece in pieces}
        for axis, taken in enumerate(wanted):
            for part, (_, piece) in enumerate(taken):
                if piece in stored:
                    stored[piece].append((axis, part))
        order = [new for piece in self.order for new in stored.get(piece, [])]
        parts = [tuple(size for size, _ in taken) for taken in wanted]
        for axis, taken in enumerate(wanted):
            if not taken:
                # A new axis of size 1 stands behind the axis before it.
                parts[axis] = (1,)
                before = max((at for at, (a, _) in enumerate(order) if a == axis - 1), default=-1)
                order.insert(before + 1, (axis, 0))
        return Form(tuple(parts), tuple(order)).merged()


def _take(rest: list[tuple[AnyDim, Piece]], size: AnyDim) -> list[tuple[AnyDim, Piece]] | None:
    """Take parts that make up ``size`` from the front of ``rest``, the last perhaps cut in two; None if that fails."""
    taken: list[tuple[AnyDim, Piece]] = []
    if size == 1:
        return [rest.pop(0)] if rest and rest[0][0] == 1 else taken
    total: AnyDim = 1
    for count, (part, _) in enumerate(rest, 1):
        total = total * part
        if total == size:
            taken = rest[:count]
            del rest[:count]
            return taken
    total = 1
    while rest:
        part, piece = rest[0]
        missing = exact_quotient(size, total)
        inside = None if missing is None else exact_quotient(missing, part)
        if inside is not None:
            taken.append(rest.pop(0))
            total = total * part
            continue
        over = None if missing is None else exact_quotient(part, missing)
        if missing is None or over is None:
            return None
        rest[0] = (over, piece)
        return [*taken, (missing, piece)]
    return None


def to_form(build: Builder, value: Value, form: Form) -> Value:
    """A value in its natural form, stored in another."""
    split = tuple(size for sizes in form.parts for size in sizes)
    places = {piece: at for at, piece in enumerate(sorted(form.order))}
    if form.is_free:
        return regrouped(build, value, form.stored)
    axes = tuple(places[piece] for piece in form.order)
    return build.emit(Transpose(axes=axes), [regrouped(build, value, split)])[0]


def to_natural(build: Builder, value: Value, form: Form, output: Value) -> None:
    """Define ``output`` as the natural form of a stored value."""
    if not form.is_free:
        places = {piece: at for at, piece in enumerate(form.order)}
        axes = tuple(places[piece] for piece in sorted(form.order))
        if tuple(value.type.shape[axis] for axis in axes) == output.type.shape:
            build.emit(Transpose(axes=axes), [value], outputs=(output,))
            return
        (value,) = build.emit(Transpose(axes=axes), [value])
    build.emit(Reshape(shape=output.type.shape), [value], outputs=(output,))


def regrouped(build: Builder, value: Value, shape: Shape) -> Value:
    """The value under another shape."""
    return value if value.type.shape == shape else build.emit(Reshape(shape=shape), [value])[0]
