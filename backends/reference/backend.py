"""Runs what the ops mean, unoptimized, in float64: slow and obvious, the oracle of every other target.

Its bundle is the program as text beside the weights. Nothing is emitted, so nothing can be emitted wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from ...compiler.evaluate import EvaluationError, evaluate
from ...compiler.ir import Node, Program
from ...compiler.ir.text import TextError, parse_program, print_program
from ...compiler.pipeline import STEPS
from ..api import Backend, BackendError, Emission, Loaded, Options, Runtime

PROGRAM = "program.txt"


class ReferenceBackend(Backend):
    """The oracle."""

    name: ClassVar[str] = "reference"
    summary: ClassVar[str] = "the meaning of each op in float64, unoptimized: slow; the others are compared with it"
    forbids: ClassVar[frozenset[str]] = frozenset(step.name for step in STEPS if step.optional)

    def claims(self, node: Node) -> str | None:
        return None

    def emit(self, program: Program, weights: Mapping[str, np.ndarray], options: Options) -> Emission:
        if options.device is not None:
            raise BackendError(f"the reference target runs in NumPy and knows no device {options.device!r}")
        if options.settings:
            raise BackendError(f"the reference target has no settings, so no {sorted(options.settings)[0]!r}")
        # Places in the spec are left out: the same program in another folder is the same text.
        text = print_program(program, locs=False)
        return Emission({PROGRAM: text.encode()}, weights_file=bool(program.used_tensors()))

    def load(self, bundle: Loaded) -> ReferenceRuntime:
        path = bundle.folder / PROGRAM
        try:
            program = parse_program(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, TextError) as error:
            raise BackendError(f"{path} cannot be read: {error}") from error
        return ReferenceRuntime(program, bundle.weights)


class ReferenceRuntime(Runtime):
    """Evaluates the entries of a program. Floats come as float64 whatever is declared, other dtypes as declared."""

    def __init__(self, program: Program, weights: Mapping[str, np.ndarray]) -> None:
        self.program = program
        self.weights = weights

    def call(
        self, entry: str, inputs: Mapping[str, np.ndarray], states: Mapping[str, np.ndarray], sizes: Mapping[str, int]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        known = self.program.entries[entry]
        arrays = [inputs[port.name] for port in known.inputs]
        arrays += [self.weights[name] for name in known.params]
        arrays += [states[name] for name in known.states]
        try:
            results = evaluate(known.graph, arrays, sizes, self.program.functions, wide=True)
        except EvaluationError as error:
            raise BackendError(f"entry {entry!r}: {error}") from error
        outputs, updated = results[: len(known.outputs)], results[len(known.outputs) :]
        return dict(zip(known.outputs, outputs, strict=True)), dict(zip(known.updates, updated, strict=True))
