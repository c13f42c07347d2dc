"""How a program lies on a mesh of devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

from .graph import Loc

Axes = tuple[str | None, ...]
"""For each axis of a tensor the axis of the mesh over which it is spread, or None where every device has all of it."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The mesh axes of one tensor, and where it says so. Of several axes of a tensor, no two lie on one mesh axis."""

    axes: Axes
    loc: Loc | None = None


@dataclass(frozen=True, slots=True)
class Sharding:
    """A mesh of devices, and what is spread over it; the rest is whole on every device.

    ``mesh`` gives the devices along each of its axes, in order. ``params`` are placed by path, ``values`` by label:
    the names of inputs, outputs and states, and those of nodes from the outside in, joined with dots.
    """

    mesh: Mapping[str, int]
    params: Mapping[str, Placement] = field(default_factory=dict)
    values: Mapping[str, Placement] = field(default_factory=dict)

    @property
    def devices(self) -> int:
        """How many devices the mesh has."""
        return prod(self.mesh.values())

    def __str__(self) -> str:
        return ", ".join(f"{name}={size}" for name, size in self.mesh.items())
