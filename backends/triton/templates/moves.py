"""Kernels that fetch elements from where coordinates, or other elements, say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ....compiler.ir import AnyDim
from ....compiler.ir.dims import product
from ..arrays import Array
from ..body import Coordinate, address, load, store
from ..kernel import Config, Draft, Launch, Tiles
from .pointwise import CONFIGS
from .walk import coordinates, merged, power_of_two

Places = Mapping[int, Coordinate]


class Move:
    """A kernel that walks the elements of a shape. ``strides`` are those of some arrays by axis of the shape; axes are
    merged where all allow that, but not across a barrier before an axis."""

    def __init__(
        self, label: str, shape: Sequence[AnyDim], strides: Sequence[Mapping[int, AnyDim]], barriers: Sequence[int] = ()
    ) -> None:
        self.axes, self.strides = merged(shape, [_moving(each) for each in strides], barriers)
        self.draft = Draft(label, ("BLOCK",))
        self.total = product(shape)
        self.draft.wide("block", "tl.program_id(0)")
        self.draft.add("i = block * BLOCK + tl.arange(0, BLOCK)", f"m = i < {self.draft.size(self.total)}")
        self.places = coordinates(self.draft, "i", "m", [size for _, size in self.axes])

    def at(self, axis: int) -> str:
        """The coordinate along an axis of the shape that has a barrier before and behind it."""
        return self.places[[first for first, _ in self.axes].index(axis)].text

    def address(self, array: Array, strides: Mapping[int, AnyDim]) -> str:
        """The addresses of the elements, always as a tile."""
        where = address(self.draft, array, strides, self.places)
        return where if strides else f"{where} + i * 0"

    def load(self, array: Array, where: str, mask: str = "m") -> str:
        """The name of the tile at addresses; what stands where the mask does not hold is open."""
        return self.draft.let(load(self.draft, array, where, mask), "v")

    def read(self, array: Array, strides: Mapping[int, AnyDim]) -> str:
        """The name of the tile of an array that lies along the shape."""
        return self.load(array, self.address(array, strides))

    def store(self, array: Array, where: str, text: str, mask: str = "m") -> None:
        """Write a tile to addresses."""
        # A pointer must be as wide as its mask.
        store(self.draft, array, f"{where} + i * 0" if self.total == 1 else where, text, mask)

    def launch(self) -> Launch:
        """The finished kernel."""
        interpreted = Config({"BLOCK": power_of_two(self.total, unknown=4096)})
        return self.draft.launch([[Tiles(self.total, "BLOCK")]], CONFIGS, interpreted)


def by_axis(array: Array, first: int = 0, leave: Sequence[int] = ()) -> dict[int, AnyDim]:
    """The strides of an array by axis, counted from ``first``, without some of its axes."""
    return {first + axis: stride for axis, stride in enumerate(array.strides) if axis not in leave}


def _moving(strides: Mapping[int, AnyDim]) -> dict[int, AnyDim]:
    return {axis: stride for axis, stride in strides.items() if stride != 0}
