"""Kernels that bring rows to numbers and go on with them: softmax, norms, means, plain sums over any axes.

A program takes some rows. A row that fits is one tile, read once. A longer one (or one of unknown length) is walked in
pieces, once for each reduction that needs the one before it, and once more for what varies along the row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ....compiler.fusion import space
from ....compiler.ir import DType, Graph, Node, Value
from ....compiler.ops.reduce import Reduction
from ..arrays import Array
from ..body import Body, Coordinate
from ..expressions import NAMES, plain, register
from ..kernel import INTERPRETED, Config, Draft, Launch, Tiles
from .pointwise import real, replaceable
from .walk import Walk, coordinates, power_of_two, walk

LONGEST = 8192
"""The longest row that is one tile."""


def rows(
    region: Graph, inputs: Mapping[Value, Array], outputs: Mapping[Value, Array], label: str = "rows"
) -> tuple[Launch, list[Array]]:
    """The launch of a region with reductions, and the operands whose memory the first result may take."""
    where = space(region)
    steps = walk(where, real(region, inputs, outputs))
    draft = Draft(label, ("ROWS", "COLUMNS"))
    draft.wide("block", "tl.program_id(0)")
    draft.add("r = block * ROWS + tl.arange(0, ROWS)[:, None]", f"rm = r < {draft.size(steps.rows)}")
    places = coordinates(draft, "r", "rm", steps.parallel)
    columns = frozenset(range(where.parallel, len(where.axes)))
    moving = frozenset(value for value in where.views if where.varies(value) & columns)
    whole = isinstance(steps.columns, int) and steps.columns <= LONGEST
    body = _Rows(
        draft, where, region.nodes, inputs, places, strides=steps.strides, tile=Coordinate("r", "rm"), steps=steps,
        moving=moving,
    )  # fmt: skip
    if whole:
        body.open("tl.arange(0, COLUMNS)[None, :]")
        body.store(*outputs.items())
    else:
        body.in_pieces(outputs)
    configs = _whole_configs(steps) if whole else _piece_configs(steps)
    interpreted = _interpreted(steps, whole)
    return draft.launch([[Tiles(steps.rows, "ROWS")]], configs, interpreted), replaceable(steps, where, inputs, outputs)


def _whole_configs(steps: Walk) -> list[Config]:
    columns = power_of_two(steps.columns)
    found: dict[tuple[int, int], Config] = {}
    for elements in (2048, 4096, 1024, 8192):
        tall = max(1, min(elements // columns, power_of_two(steps.rows, most=128, unknown=128)))
        warps = max(1, min(16, tall * columns // 512))
        found.setdefault((tall, warps), Config({"ROWS": tall, "COLUMNS": columns}, warps, 1))
    return list(found.values())


def _piece_configs(steps: Walk) -> list[Config]:
    """Rows that lie side by side in memory are read side by side."""
    beside = any(strides.get(len(steps.parallel) - 1) == 1 for strides in steps.strides.values() if len(strides) > 1)
    if beside and steps.parallel:
        return [
            Config({"ROWS": 64, "COLUMNS": 32}, 4, 2),
            Config({"ROWS": 32, "COLUMNS": 64}, 4, 2),
            Config({"ROWS": 128, "COLUMNS": 16}, 4, 2),
        ]
    return [
        Config({"ROWS": 1, "COLUMNS": 2048}, 4, 2),
        Config({"ROWS": 1, "COLUMNS": 4096}, 8, 2),
        Config({"ROWS": 4, "COLUMNS": 512}, 4, 2),
        Config({"ROWS": 1, "COLUMNS": 1024}, 4, 2),
    ]


def _interpreted(steps: Walk, whole: bool) -> Config:
    columns = power_of_two(steps.columns, most=LONGEST if whole else 4096, unknown=64)
    tall = power_of_two(steps.rows, most=max(1, 65536 // columns), unknown=16)
    return Config({"ROWS": tall, "COLUMNS": columns})


@dataclass
class _Rows(Body):
    """A body over tiles of rows. ``moving`` are the values that vary along a row."""

    steps: Walk = field(kw_only=True)
    moving: frozenset[Value] = field(kw_only=True)

    def open(self, index: str) -> None:
        """Say where the tile is along the row."""
        self.draft.add(f"c = {index}", f"cm = c < {self.draft.size(self.steps.columns)}")
        first = len(self.steps.parallel)
        self.coordinates = {
            **self.coordinates,
            **coordinates(self.draft, "c", "cm", self.steps.reduced, first),
        }

    def _write(self, value: Value) -> str:
        node = self.producers.get(value)
        if node is None or not isinstance(node.op, Reduction):
            return super()._write(value)
        tile = self._inside(node)
        return self.draft.let(_reduced(self.draft, node, tile), "r")

    def _inside(self, node: Node) -> str:
        """The tile that a reduction takes, with what changes nothing outside the row."""
        text = self.loaded[node.inputs[0]]
        dtype = register(node.inputs[0].type.dtype)
        return self.draft.let(f"tl.where(rm & cm, {text}, {neutral(node, dtype)})")

    def in_pieces(self, outputs: Mapping[Value, Array]) -> None:
        """Walk the row in pieces, as often as reductions depend on each other."""
        for level in self._levels(list(outputs)):
            self._ahead([node.inputs[0] for node in level])
            sums = [self._start(node) for node in level]
            with_piece = self._piece()
            for node, total in zip(level, sums, strict=True):
                with_piece.value(node.inputs[0])
                self.draft.add(f"{total} = {_joined(self.draft, node, total, with_piece._inside(node))}")
            self.draft.deeper(-1)
            for node, total in zip(level, sums, strict=True):
                self.loaded[node.output] = self.draft.let(_reduced(self.draft, node, total), "r")
        still = [(value, array) for value, array in outputs.items() if value not in self.moving]
        moving = [(value, array) for value, array in outputs.items() if value in self.moving]
        for value, _ in still:
            self.value(value)
        if moving:
            self._ahead([value for value, _ in moving])
            self._piece().store(*moving)
            self.draft.deeper(-1)
        self.store(*still)

    def _piece(self) -> _Rows:
        """Open the loop over pieces; what is written in it is known in it only."""
        self.draft.add(f"for start in range(0, {self.draft.size(self.steps.columns)}, COLUMNS):")
        self.draft.deeper()
        piece = _Rows(
            self.draft, self.space, self.nodes, self.arrays, self.coordinates, dict(self.loaded), self.strides,
            self.tile, steps=self.steps, moving=self.moving,
        )  # fmt: skip
        piece.open("start + tl.arange(0, COLUMNS)[None, :]")
        return piece

    def _start(self, node: Node) -> str:
        dtype = register(node.inputs[0].type.dtype)
        return self.draft.let(f"tl.full((ROWS, COLUMNS), {neutral(node, dtype)}, {NAMES[dtype]})", "a")

    def _ahead(self, values: Sequence[Value]) -> None:
        """Write what stays the same along the row before the loop that needs it."""
        seen: set[Value] = set()
        todo = list(values)
        while todo:
            value = todo.pop()
            if value in seen or value in self.loaded:
                continue
            seen.add(value)
            if value not in self.moving:
                self.value(value)
            elif value in self.producers:
                todo += self.producers[value].inputs

    def _levels(self, outputs: Sequence[Value]) -> list[list[Node]]:
        """The reductions that outputs need, those that depend on none before those that depend on them."""
        needed = [value for output in outputs for value in self._order(output)]
        depth: dict[Value, int] = {}
        found: dict[int, dict[Node, None]] = {}
        for value in dict.fromkeys(needed):
            node = self.producers.get(value)
            below = max((depth.get(operand, 0) for operand in node.inputs), default=0) if node else 0
            if node is not None and isinstance(node.op, Reduction):
                found.setdefault(below, {})[node] = None
                below += 1
            depth[value] = below
        return [list(found[level]) for level in sorted(found)]


def neutral(node: Node, dtype: DType) -> str:
    """What changes no result of the reduction."""
    name = node.op.name
    if name in ("reduce_sum", "reduce_prod"):
        return plain(1 if name == "reduce_prod" else 0, dtype)
    sign = -1 if name == "reduce_max" else 1
    if dtype.is_float:
        return plain(sign * float("inf"), dtype)
    limits = np.iinfo(dtype.numpy)
    return str(limits.min if sign < 0 else limits.max)


def _reduced(draft: Draft, node: Node, tile: str) -> str:
    """The reduction of a tile along its columns."""
    name, dtype = node.op.name, register(node.inputs[0].type.dtype)
    if name == "reduce_prod":
        return f"{draft.helper('row_product')}({tile}, 1)"
    if name == "reduce_sum":
        text = f"tl.sum({tile}, 1, keep_dims=True)"
    elif dtype.is_float:
        draft.special.add(INTERPRETED)
        return f"{draft.helper('row_max' if name == 'reduce_max' else 'row_min')}({tile}, 1, {INTERPRETED})"
    else:
        text = f"tl.{name.removeprefix('reduce_')}({tile}, 1, keep_dims=True)"
    return text if dtype.is_float else f"{text}.to({NAMES[dtype]})"


def _joined(draft: Draft, node: Node, total: str, tile: str) -> str:
    """The reduction of two tiles element by element."""
    name, dtype = node.op.name, register(node.inputs[0].type.dtype)
    if name in ("reduce_sum", "reduce_prod"):
        return f"{total} {'+' if name == 'reduce_sum' else '*'} {tile}"
    if not dtype.is_float:
        return f"tl.{'maximum' if name == 'reduce_max' else 'minimum'}({total}, {tile})"
    return f"{draft.helper('larger' if name == 'reduce_max' else 'smaller')}({total}, {tile})"


__all__ = ["Coordinate", "neutral", "rows"]
