"""Fusion: which nodes may share a kernel, and the index space that such a kernel walks."""

from .rules import Fusion
from .space import Axis, Space, SpaceError, operand_space, space

__all__ = ["Axis", "Fusion", "Space", "SpaceError", "operand_space", "space"]
