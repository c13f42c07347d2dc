"""Where a target first differs from the reference: the program is cut at nodes, and the cuts are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..backends import signature
from ..backends.executable import bind_sizes
from ..compiler.evaluate import evaluate
from ..compiler.ir import Entry, Graph, Node, Program, Value
from ..compiler.passes.context import Context
from ..compiler.passes.inline import inline
from .build import Build, Weights, compile_model
from .model import Model
from .samples import distance, whole_shape

_TOGETHER = 3
"""Cuts that are compared in one compilation while the range is wide."""
_NARROW = 16
"""From this many nodes on one cut at a time: a second one nearby could keep the passes from what they do."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first node whose result differs, in the order of the spec. ``label`` are the names that lead to it."""

    entry: str
    op: str
    label: str
    file: str
    line: int
    column: int
    relative_error: float
    absolute_error: float

    def __str__(self) -> str:
        name = f" ({self.label})" if self.label else ""
        return f"{self.file}:{self.line}:{self.column}: {self.op}{name}, relative error {self.relative_error:.1e}"

    def as_data(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


def first_difference(
    model: Model,
    target: str,
    entry: str,
    weights: Weights,
    inputs: Mapping[str, np.ndarray],
    tolerance: float,
    tell: Callable[[str], None] = lambda message: None,
) -> Difference | None:
    """The first node of an entry whose result on ``target`` is off by more than ``tolerance``.

    ``inputs`` are those of the entry, which begins from its initial state. None if every cut agrees: then only what
    the target makes of the program as a whole differs. Raises BackendError.
    """
    search = _Search(model, target, entry, weights, inputs, tolerance)
    nodes = search.candidates
    low, high = -1, len(nodes)
    found: Difference | None = None
    while high - low > 1:
        count = _TOGETHER if high - low > _NARROW else 1
        places = sorted({low + (high - low) * (step + 1) // (count + 1) for step in range(count)} - {low, high})
        tell(f"{target}: between node {low + 1} and {high} of {len(nodes)}")
        for place, difference in zip(places, search.compare([nodes[place] for place in places]), strict=True):
            if difference is not None:
                high, found = place, difference
                break
            low = place
    return found


class _Search:
    def __init__(
        self,
        model: Model,
        target: str,
        entry: str,
        weights: Weights,
        inputs: Mapping[str, np.ndarray],
        tolerance: float,
    ) -> None:
        self.model, self.target, self.weights = model, target, weights
        self.inputs, self.tolerance = inputs, tolerance
        program = inline(model.program, Context())
        self.entry: Entry = program.entries[entry]
        self.program: Program = replace(program, entries={entry: self.entry})
        self.parameters = weights.parameters(model)
        promised = signature.from_json(signature.to_json(self.program)).entries[entry]
        self.sizes = bind_sizes(promised, {name: array.shape for name, array in inputs.items()})
        self.candidates = _data_nodes(self.entry)

    def compare(self, cuts: list[Node]) -> list[Difference | None]:
        """The difference at each cut, None where there is none."""
        graph, names = self.entry.graph, [f"_cut_{number}" for number in range(len(cuts))]
        values = [node.outputs[0] for node in cuts]
        until = max(graph.nodes.index(node) for node in cuts)
        cut = Graph(graph.inputs, graph.nodes[: until + 1], tuple(values))
        entry = replace(self.entry, graph=cut, outputs=tuple(names), updates=())
        model = self.model.having(replace(self.program, entries={entry.name: entry}))
        got = compile_model(model, Build(self.target), self.weights).run(entry.name, **self.inputs)
        wanted = evaluate(cut, self._arrays(), self.sizes, wide=True)
        return [self._difference(node, got[name], right) for node, name, right in zip(cuts, names, wanted, strict=True)]

    def _arrays(self) -> list[np.ndarray]:
        entry, program = self.entry, self.program
        arrays = [np.asarray(self.inputs[port.name]).astype(port.type.dtype.numpy) for port in entry.inputs]
        arrays += [self.parameters[path] for path in entry.params]
        for name in entry.states:
            state = program.state[name]
            shape = whole_shape(state.type.shape, self.sizes)
            arrays.append(np.full(shape, state.initial, state.type.dtype.numpy))
        return arrays

    def _difference(self, node: Node, got: np.ndarray, wanted: np.ndarray) -> Difference | None:
        absolute, scale = distance(got, wanted)
        if absolute / scale <= self.tolerance:
            return None
        loc = node.loc
        file, line, column, label = (loc.file, loc.line, loc.column, loc.label) if loc else ("", 0, 0, "")
        return Difference(self.entry.name, node.op.name, label, file, line, column, absolute / scale, absolute)


def _data_nodes(entry: Entry) -> list[Node]:
    """The nodes whose results depend on what is given to a call, in order."""
    fixed = len(entry.inputs) + len(entry.params)
    inputs = entry.graph.inputs
    moving: set[Value] = {*inputs[: len(entry.inputs)], *inputs[fixed:]}
    found = []
    for node in entry.graph.nodes:
        if any(value in moving for value in node.inputs):
            moving.update(node.outputs)
            found.append(node)
    return found
