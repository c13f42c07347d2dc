"""Random bits."""

from __future__ import annotations

from ....compiler.ir import Node
from ..arrays import Array
from ..scope import Lowering, Scope
from ..templates.random import random_bits


def _random_bits(scope: Scope, node: Node, seed: Array, step: Array) -> Array:
    out = scope.new(node.output.type)
    scope.launch(random_bits(seed, step, out), out=out)
    return out


LOWERINGS: dict[str, Lowering] = {"random_bits": _random_bits}
