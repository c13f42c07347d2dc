"""Axes that values of a kernel share: which are the same, and which were split by a reshape.

An axis is a number. `unify` says that two sequences of axes, slow to fast, run over the same elements in the same
order; it splits the longer of two axes where a reshape regrouped them. What was tried in vain can be taken back.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.dims import AnyDim, exact_quotient

Group = tuple[int, ...]
"""The axes that make up one axis of a value, slow to fast; empty for a size of 1."""
View = tuple[Group, ...]
"""A group for each axis of a value."""


class SpaceError(Exception):
    """Two values cannot be walked together; says why."""


class Axes:
    """A growing set of axes with what is known about them."""

    def __init__(self) -> None:
        self._sizes: list[AnyDim] = []
        self._parts: dict[int, Group] = {}
        self._undo: list[int] = []

    def size(self, axis: int) -> AnyDim:
        """The number of elements along an axis."""
        return self._sizes[axis]

    def new(self, size: AnyDim) -> Group:
        """A fresh axis, as a group; no axis at all for a size of 1."""
        if size == 1:
            return ()
        self._sizes.append(size)
        return (len(self._sizes) - 1,)

    def view(self, shape: Sequence[AnyDim]) -> View:
        """Fresh axes for a value of this shape."""
        return tuple(self.new(size) for size in shape)

    def resolve(self, group: Sequence[int]) -> Group:
        """The axes that now stand for these."""
        if not any(axis in self._parts for axis in group):
            return tuple(group)
        found: list[int] = []
        todo = list(reversed(group))
        while todo:
            axis = todo.pop()
            parts = self._parts.get(axis)
            if parts is None:
                found.append(axis)
            else:
                todo.extend(reversed(parts))
        return tuple(found)

    def flat(self, view: View) -> Group:
        """The axes of a value, slow to fast."""
        return self.resolve([axis for group in view for axis in group])

    def unify(self, left: Sequence[int], right: Sequence[int]) -> None:
        """Let two sequences be the same axes. Raises `SpaceError`; `undo` then takes back what was done on the way."""
        a, b = list(reversed(self.resolve(left))), list(reversed(self.resolve(right)))
        while a and b:
            x, y = a.pop(), b.pop()
            if x == y:
                continue
            size, other = self._sizes[x], self._sizes[y]
            if size == other:
                self._become(max(x, y), (min(x, y),))
            elif (rest := _quotient(size, other)) is not None:
                self._become(x, (y, *self.new(rest)))
                a.extend(self._parts[x][:0:-1])
            elif (rest := _quotient(other, size)) is not None:
                self._become(y, (x, *self.new(rest)))
                b.extend(self._parts[y][:0:-1])
            else:
                raise SpaceError(f"axes of {size} and {other} elements lie across each other")
            # A later pair may repeat an axis that has just been replaced.
            a, b = list(reversed(self.resolve(a[::-1]))), list(reversed(self.resolve(b[::-1])))
        if a or b:
            raise SpaceError("one has more elements than the other")

    def mark(self) -> int:
        """A point to which `undo` returns."""
        return len(self._undo)

    def undo(self, mark: int) -> None:
        """Forget every equality and split since the mark."""
        while len(self._undo) > mark:
            del self._parts[self._undo.pop()]

    def _become(self, axis: int, parts: Group) -> None:
        self._parts[axis] = parts
        self._undo.append(axis)


def _quotient(size: AnyDim, divisor: AnyDim) -> AnyDim | None:
    if size == 0 or divisor == 0:
        return None
    return exact_quotient(size, divisor)
