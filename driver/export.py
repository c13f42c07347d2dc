"""One entry of a model as an ONNX file."""

from __future__ import annotations

from pathlib import Path

from ..backends.api import BackendError, Options
from .build import Build, Weights, compile_program
from .model import Model, nearest


def write_onnx(model: Model, path: Path, weights: Weights, opset: int | None, entry: str) -> None:
    """Write ``entry`` to ``path``, aside first and then renamed.

    Raises SpecError, WeightsError, BackendError (also for an entry that there is not).
    """
    settings = {} if opset is None else {"opset": opset}
    compiled = compile_program(model, Build("onnx", Options(None, settings)), weights)
    if entry not in compiled.program.entries:
        names = ", ".join(compiled.program.entries)
        raise BackendError(f"{model.name} has no entry {entry!r}{nearest(entry, compiled.program.entries)} ({names})")
    compiled.backend.export(compiled.program, compiled.weights, entry, path, compiled.options)
