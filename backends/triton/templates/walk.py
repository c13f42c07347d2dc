"""The loops that a generated kernel has: axes of a space that lie together in every array are walked as one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ....compiler.fusion import Space
from ....compiler.ir import AnyDim, Value
from ....compiler.ir.dims import product
from ..arrays import Array
from ..body import Coordinate, along
from ..kernel import Draft


@dataclass(frozen=True)
class Walk:
    """Merged axes, parallel ones first, and the strides of each value in memory along them."""

    parallel: tuple[AnyDim, ...]
    reduced: tuple[AnyDim, ...]
    strides: Mapping[Value, dict[int, AnyDim]]

    @property
    def rows(self) -> AnyDim:
        """How many elements the parallel axes have."""
        return product(self.parallel)

    @property
    def columns(self) -> AnyDim:
        """How many elements the reduced axes have."""
        return product(self.reduced)


def walk(space: Space, arrays: Mapping[Value, Array]) -> Walk:
    """The axes of a space for values in memory, merged as far as all of their strides allow."""
    strides = {value: along(space, space.views[value], array) for value, array in arrays.items()}
    parallel = space.parallel
    sizes, moved = merged([axis.size for axis in space.axes], list(strides.values()), {parallel})
    count = sum(first < parallel for first, _ in sizes)
    return Walk(
        tuple(size for _, size in sizes[:count]),
        tuple(size for _, size in sizes[count:]),
        dict(zip(strides, moved, strict=True)),
    )


def merged(
    sizes: Sequence[AnyDim], strides: Sequence[Mapping[int, AnyDim]], barriers: Collection[int] = ()
) -> tuple[list[tuple[int, AnyDim]], list[dict[int, AnyDim]]]:
    """Neighbouring axes as one where all arrays step through them as one; none is merged across a barrier before it.

    Returns the axes, each with the first of those that it stands for, and the strides along them.
    """
    groups: list[list[int]] = []
    for axis, size in enumerate(sizes):
        joins = bool(groups) and axis not in barriers
        if joins and all(each.get(axis - 1, 0) == each.get(axis, 0) * size for each in strides):
            groups[-1].append(axis)
        else:
            groups.append([axis])
    last = {group[-1]: place for place, group in enumerate(groups)}
    return (
        [(group[0], product(sizes[axis] for axis in group)) for group in groups],
        [{last[axis]: stride for axis, stride in each.items() if axis in last} for each in strides],
    )


def coordinates(
    draft: Draft, index: str, mask: str | None, sizes: Sequence[AnyDim], first: int = 0
) -> dict[int, Coordinate]:
    """The coordinates along axes from the linear index over all of them; axis k of these gets the number first + k."""
    found: dict[int, Coordinate] = {}
    rest = index
    for place in range(len(sizes) - 1, 0, -1):
        size = draft.size(sizes[place])
        found[first + place] = Coordinate(draft.let(f"{rest} % {size}", "c"), mask)
        rest = draft.let(f"{rest} // {size}", "c")
    if sizes:
        found[first] = Coordinate(rest, mask)
    return found


def power_of_two(size: AnyDim, least: int = 1, most: int = 1 << 16, unknown: int = 1024) -> int:
    """The power of two that covers a size, within limits; ``unknown`` for a symbolic one."""
    if not isinstance(size, int):
        return unknown
    return max(least, min(most, 1 << max(size - 1, 0).bit_length()))
