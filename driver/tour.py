"""Every installed target on pictures and a text: compiled, run in a process of its own, checked by the reference."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..backends import registry, signature
from ..backends.api import BackendError
from ..backends.signature import EntrySignature
from .build import Build, Weights, compile_model, write_bundle
from .export import write_onnx
from .inputs import read_inputs
from .model import load
from .processes import Contender, ContenderError
from .text import Tokenizers
from .verify import tolerance_of, worst_error

EXPORTED = "onnxruntime"
"""The row of the exported file, in onnxruntime without us."""
TURN = 0.5
"""Seconds that each target is timed."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A model of the zoo, and the inputs of an entry as a person types them: a picture's file, a text.

    Several for one input are stacked along its first axis. ``weights`` are a file or those that come along; without
    they are random (seed 0). ``truth`` are the classes that the first output should find.
    """

    model: str
    inputs: Mapping[str, str | Sequence[str]]
    entry: str = "main"
    args: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None
    truth: tuple[int, ...] = ()

    def missing(self) -> str:
        """Why it cannot be visited here; empty if it can."""
        inputs = load(f"zoo:{self.model}", **self.args).program.entries[self.entry].inputs
        if _reads_texts() or not any("text" in (port.source or {}) for port in inputs):
            return ""
        return "the package tokenizers reads texts: pip install 'netwright[text]'"


def _reads_texts() -> bool:
    return find_spec("tokenizers") is not None


@dataclass(frozen=True, slots=True)
class Row:
    """One model on one target.

    ``error`` is relative to the float64 reference, ``seconds`` the median of some runs, ``size`` the bytes of the files
    that were written. ``problem`` says why these are missing. ``read`` are the classes that were found, where the
    ``truth`` is known.
    """

    model: str
    target: str
    error: float = float("inf")
    agrees: bool = False
    seconds: float = 0.0
    size: int = 0
    problem: str = ""
    read: tuple[int, ...] = ()
    truth: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """A registered target; ``missing`` says why it cannot run here, and what to install."""

    name: str
    missing: str = ""


def targets() -> list[Target]:
    """Every registered target but the reference."""
    found = []
    for name in registry.names():
        if name == "reference":
            continue
        try:
            backend = registry.get(name)
        except BackendError as error:
            found.append(Target(name, str(error)))
        else:
            found.append(Target(name, backend.unready() or ""))
    return found


def tour(stops: Sequence[Stop], names: Sequence[str], tell: Callable[[str], None]) -> Iterator[Row]:
    """A row for each model and target, then one for the model's exported file in plain onnxruntime.

    ``tell`` hears what is being done. What a target fails at is a row.
    """
    for stop in stops:
        yield from _visit(stop, names, tell)


def _visit(stop: Stop, names: Sequence[str], tell: Callable[[str], None]) -> Iterator[Row]:
    model = load(f"zoo:{stop.model}", **stop.args)
    promised = signature.from_json(signature.to_json(model.program)).entries[stop.entry]
    inputs = _inputs(promised, stop.inputs, Tokenizers([model.loaded.path.parent]))
    weights = Weights(stop.weights, seed=0).kept(model)
    tell(f"{stop.model}: the reference in float64")
    wanted = compile_model(model, Build("reference"), weights).run(stop.entry, **inputs)
    tolerance = tolerance_of(model)
    for name in (*names, EXPORTED):
        with tempfile.TemporaryDirectory(prefix="netwright-tour-") as temporary:
            folder = Path(temporary)
            files = folder / "files"
            try:
                if name == EXPORTED:
                    tell(f"{stop.model}: export to ONNX, run in onnxruntime")
                    files.mkdir()
                    subject = files / "model.onnx"
                    write_onnx(model, subject, weights, None, stop.entry)
                    contender = Contender("onnxruntime", str(subject), folder, inputs, stop.entry)
                else:
                    tell(f"{stop.model}: compile for {name}, run")
                    write_bundle(model, files, Build(name), weights)
                    contender = Contender("bundle", str(files), folder, inputs, stop.entry)
                with contender:
                    yield _measure(stop, name, contender, wanted, tolerance, files)
            except (BackendError, ContenderError) as error:
                yield Row(stop.model, name, problem=str(error))


def _inputs(
    entry: EntrySignature, given: Mapping[str, str | Sequence[str]], tokenizers: Tokenizers
) -> dict[str, np.ndarray]:
    """The arrays of an entry in order."""
    most = max((len(value) for value in given.values() if not isinstance(value, str)), default=1)
    found = []
    for place in range(most):
        one = {name: value if isinstance(value, str) else value[place] for name, value in given.items()}
        found.append(read_inputs(entry, one, 0, tokenizers=tokenizers))
    several = [name for name, value in given.items() if not isinstance(value, str)]
    stacked = {name: np.concatenate([each[name] for each in found]) for name in several}
    return {port.name: stacked.get(port.name, found[0][port.name]) for port in entry.inputs}


def _measure(
    stop: Stop, name: str, contender: Contender, wanted: Mapping[str, np.ndarray], tolerance: float, files: Path
) -> Row:
    contender.ready()
    outputs = contender.outputs(files.parent / "outputs.npz")
    if name == EXPORTED:
        # Names in the file are the exporter's; their order is ours.
        outputs = dict(zip(wanted, outputs.values(), strict=True))
    error = worst_error(outputs, wanted)
    seconds = statistics.median(contender.turn(TURN))
    size = sum(path.stat().st_size for path in files.rglob("*") if path.is_file())
    read = tuple(int(k) for k in next(iter(outputs.values())).argmax(1)) if stop.truth else ()
    return Row(stop.model, name, error, error <= tolerance, seconds, size, read=read, truth=stop.truth)
