"""From a model to a bundle: weights, passes, emission."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..backends import bundle, registry, signature
from ..backends.api import Backend, BackendError, Options
from ..backends.executable import NO_WEIGHTS, Executable, temporary_folder
from ..compiler import pipeline
from ..compiler.evaluate import prepare_weights
from ..compiler.initialize import random_parameters
from ..compiler.ir import Parameter, Program, TensorType
from ..compiler.passes.context import Context, LayoutCosts, Policy
from ..compiler.passes.inline import InlineError
from ..compiler.passes.legalize import LegalizeError
from ..compiler.passes.shard import ShardError
from ..spec.weights.errors import WeightsError
from ..spec.weights.load import load_weights
from ..spec.weights.mismatch import MismatchError
from ..version import VERSION
from .collector import paused
from .likeness import likeness, told
from .model import Model
from .shipped import SHIPPED, shipped_path

_FEWEST_ROLLED = 2
"""Equal blocks in a row that become a loop where a person asks for loops."""
KEPT_BYTES = 2**31
"""Parameters up to this size are drawn or read once where several targets need them."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Where parameters come from: a file (or folder), `SHIPPED`, or random numbers of a seed.

    ``everywhere`` draws biases, gains and running statistics at random too, which shows wiring mistakes.
    """

    path: str | Path | None = None
    seed: int = 0
    everywhere: bool = False
    values: Mapping[str, np.ndarray] | None = None

    def label(self) -> str:
        """What the manifest says of it; the same in every folder."""
        if self.values is not None:
            return "given"
        if self.path is None:
            return f"seed {self.seed}"
        return SHIPPED if str(self.path) == SHIPPED else f"file {Path(self.path).name}"

    def parameters(self, model: Model) -> Mapping[str, np.ndarray]:
        """Every parameter by path, read or drawn when asked for. Raises `WeightsError`."""
        program = model.program
        if self.values is not None:
            return self.values
        if self.path is None:
            return random_parameters(program, self.seed, everywhere=self.everywhere)
        path = shipped_path(model) if str(self.path) == SHIPPED else Path(self.path)
        try:
            return load_weights(path, program.parameters, model.lowered.sources)
        except MismatchError as mistake:
            raise WeightsError(told(str(mistake), likeness(mistake.entries, model))) from None

    def kept(self, model: Model) -> Weights:
        """The same parameters, in memory unless they are very large. Raises `WeightsError`."""
        if sum(parameter_bytes(parameter) for parameter in model.program.parameters.values()) > KEPT_BYTES:
            return self
        return replace(self, values=dict(self.parameters(model)), path=None)


def parameter_bytes(parameter: Parameter) -> int:
    """The size of a parameter."""
    return int(parameter.type.nbytes) if isinstance(parameter.type.nbytes, int) else 0


@dataclass(frozen=True, slots=True)
class Build:
    """How to compile: the target, its device and settings, what to keep of the way, and whether weights are written.

    ``roll`` makes equal blocks in a row one loop, or not; None leaves it to the target.
    A bundle without weights is code alone, for those who bring arrays to its functions or a server to its executable.
    """

    target: str = "numpy"
    options: Options = field(default_factory=Options)
    dump_dir: Path | None = None
    weights: bool = True
    roll: bool | None = None


@dataclass(frozen=True, slots=True)
class Compiled:
    """A program as its target takes it, with its weights, and the log of what passes did."""

    backend: Backend
    program: Program
    weights: Mapping[str, np.ndarray]
    context: Context
    options: Options


def compilation(model: Model, build: Build) -> tuple[Backend, Context]:
    """The backend of a build, and the context that passes get. Raises BackendError, SpecError."""
    backend = registry.get(build.target)
    if (model.spread.mesh or model.spread.rules) and "shard" not in backend.requires:
        raise BackendError(f"target {backend.name} runs on one device; a mesh is for targets such as jax")
    context = Context(
        target=backend.name,
        claims=backend.claims,
        requires=backend.requires,
        forbids=backend.forbids,
        fusion=backend.fusion,
        precision=Policy(keep_float32=model.lowered.keep_float32),
        layout=LayoutCosts(backend.layout, backend.conversion, backend.whole_axes),
        roll=_roll(backend, build),
        debug=bool(os.environ.get("NETWRIGHT_DEBUG")),
        dump_dir=build.dump_dir,
    )
    return backend, context


def _roll(backend: Backend, build: Build) -> int:
    """From how many equal blocks in a row they become a loop. Raises BackendError."""
    usual = backend.roll(build.options)
    if usual is None and build.roll:
        raise BackendError(f"target {backend.name} makes no loop of equal blocks; jax does")
    return (usual or 0) if build.roll is None else _FEWEST_ROLLED if build.roll else 0


def compile_program(model: Model, build: Build, weights: Weights) -> Compiled:
    """Run the passes for a target. Nothing is written but dumps, no weight is read yet.

    Raises SpecError, WeightsError, and BackendError for what the target cannot do.
    """
    backend, context = compilation(model, build)
    try:
        with paused():
            program = pipeline.run(model.program, context)
    except (LegalizeError, pipeline.PipelineError, InlineError, ShardError) as error:
        raise BackendError(str(error)) from error
    except OSError as error:
        raise BackendError(f"cannot write the dumps to {build.dump_dir}: {error.strerror}") from error
    return Compiled(backend, program, UsedWeights(program, weights.parameters(model)), context, build.options)


class UsedWeights(bundle.DrawnTensors):
    """The tensors that a program's entries read: public parameters, or packed from them when asked for."""

    def __init__(self, program: Program, parameters: Mapping[str, np.ndarray]) -> None:
        self._names = program.used_tensors()
        self._parameters = parameters
        self._packed = prepare_weights(program, parameters)
        self._is_packed = frozenset(program.packed)
        self._types = program.tensor_types()

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._types:
            raise KeyError(name)
        array = self._packed[name] if name in self._is_packed else self._parameters[name]
        return np.asarray(array, dtype=self._types[name].dtype.numpy)

    def type(self, name: str) -> TensorType:
        return self._types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def write_bundle(model: Model, folder: Path, build: Build, weights: Weights) -> None:
    """Compile into a bundle folder. Raises SpecError, BackendError, WeightsError."""
    compiled = compile_program(model, build, weights)
    with paused():
        emission = compiled.backend.emit(compiled.program, compiled.weights, build.options)
    without = not build.weights and bool(compiled.program.used_tensors())
    if without:
        if not emission.weights_file:
            raise BackendError(f"target {compiled.backend.name} writes weights into its own files; it needs them")
        emission = replace(emission, weights_file=False)
    manifest: dict[str, Any] = {
        "name": model.name,
        "target": compiled.backend.name,
        "netwright": VERSION,
        "weights": NO_WEIGHTS if without else weights.label(),
        "signature": signature.to_json(compiled.program),
        "backend": dict(emission.metadata),
    }
    if build.options.device is not None:
        manifest["device"] = build.options.device
    bundle.write(folder, emission, compiled.weights, manifest)


def compile_model(model: Model, build: Build, weights: Weights) -> Executable:
    """Compile and open: an executable whose bundle lives as long as it does.

    A device of this machine is looked for now, one that is named at the first call.
    """
    folder = temporary_folder()
    try:
        write_bundle(model, folder, build, weights)
        elsewhere = build.options.device is not None
        return Executable(folder, owns_folder=True, report=build.options.report, elsewhere=elsewhere)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
