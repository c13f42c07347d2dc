"""Every installed target on real pictures: compiled, run in a process of its own, compared with the reference."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..backends import registry, signature
from ..backends.api import BackendError
from .build import Build, Weights, compile_model, write_bundle
from .export import write_onnx
from .inputs import read_picture
from .model import load
from .processes import Contender, ContenderError
from .verify import tolerance_of, worst_error

EXPORTED = "onnxruntime"
"""The row of the exported file, in onnxruntime without us."""
TURN = 0.5
"""Seconds that each target is timed."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A model of the zoo, and the picture that it sees."""

    model: str
    picture: Path


@dataclass(frozen=True, slots=True)
class Row:
    """One model on one target.

    ``error`` is relative to the float64 reference, ``seconds`` the median of some runs, ``size`` the bytes of the files
    that were written. ``problem`` says why these are missing.
    """

    model: str
    target: str
    error: float = float("inf")
    agrees: bool = False
    seconds: float = 0.0
    size: int = 0
    problem: str = ""


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

    Weights are random (seed 0). ``tell`` hears what is being done. What a target fails at is a row.
    """
    for stop in stops:
        yield from _visit(stop, names, tell)


def _visit(stop: Stop, names: Sequence[str], tell: Callable[[str], None]) -> Iterator[Row]:
    model = load(f"zoo:{stop.model}")
    promised = signature.from_json(signature.to_json(model.program)).entries["main"]
    (field,) = promised.inputs
    inputs = {field.name: read_picture(stop.picture, field)}
    weights = Weights(seed=0).kept(model)
    tell(f"{stop.model}: the reference in float64")
    wanted = compile_model(model, Build("reference"), weights)(**inputs)
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
                    write_onnx(model, subject, weights, None, "main")
                    contender = Contender("onnxruntime", str(subject), folder, inputs)
                else:
                    tell(f"{stop.model}: compile for {name}, run")
                    write_bundle(model, files, Build(name), weights)
                    contender = Contender("bundle", str(files), folder, inputs)
                with contender:
                    yield _measure(stop.model, name, contender, wanted, tolerance, files)
            except (BackendError, ContenderError) as error:
                yield Row(stop.model, name, problem=str(error))


def _measure(
    model: str, name: str, contender: Contender, wanted: Mapping[str, np.ndarray], tolerance: float, files: Path
) -> Row:
    contender.ready()
    outputs = contender.outputs(files.parent / "outputs.npz")
    if name == EXPORTED:
        # Names in the file are the exporter's; their order is ours.
        outputs = dict(zip(wanted, outputs.values(), strict=True))
    error = worst_error(outputs, wanted)
    seconds = statistics.median(contender.turn(TURN))
    size = sum(path.stat().st_size for path in files.rglob("*") if path.is_file())
    return Row(model, name, error, error <= tolerance, seconds, size)
