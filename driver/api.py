"""The Python interface: what `import netwright as nw` offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..backends.api import Options
from ..backends.executable import Executable
from ..compiler.ir import Program
from ..compiler.summary import Summary
from .build import Build, Weights, compile_model
from .export import write_onnx
from .gradients import with_gradients
from .model import Model, load
from .summary import summary_of
from .training import Progress, Settings, Trained
from .training import train as train_model
from .verify import Verification, verify_model

__all__ = ["compile", "export_onnx", "gradients", "load", "lower", "open", "summary", "train", "verify"]

Spec = Model | str | Path


def as_model(model: Spec) -> Model:
    """The model itself, or the one that a path or ``zoo:NAME`` means."""
    return model if isinstance(model, Model) else load(model)


def as_weights(weights: str | Path | Mapping[str, np.ndarray] | None, seed: int) -> Weights:
    """Where parameters come from: a file, a folder, ``zoo``, arrays by path, or random numbers."""
    if isinstance(weights, Mapping):
        return Weights(values=weights, seed=seed)
    return Weights(path=weights, seed=seed)


def lower(model: Spec) -> Program:
    """The program that a spec says, before any pass. Raises SpecError."""
    return as_model(model).program


def compile(
    model: Spec,
    target: str = "numpy",
    *,
    weights: str | Path | Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
    device: str | None = None,
    settings: Mapping[str, Any] | None = None,
    mesh: Mapping[str, int] | None = None,
    spread: Mapping[str, tuple[str | None, ...]] | None = None,
) -> Executable:
    """Compile a model for a target.

    ``weights`` is a file (safetensors, its index or folder, or npz) whose keys are all accounted for, ``"zoo"`` for
    those that come along with a model of the zoo, or arrays by parameter path; without it parameters are drawn from
    ``seed``, the same on every target. The result is called with arrays by name. What is compiled for a ``device`` by
    its name can be saved on any machine; the device is looked for at the first call. ``mesh`` and ``spread`` lay it
    over devices as in `Model.spreading`.

    Raises SpecError, WeightsError, BackendError.
    """
    build = Build(target, Options(device, dict(settings or {})))
    found = as_model(model)
    if mesh is not None or spread:
        found = found.spreading(mesh, spread)
    return compile_model(found, build, as_weights(weights, seed))


def open(folder: str | Path, *, verify_weights: bool = False) -> Executable:
    """Open a bundle that `compile` and `save`, or the command line, wrote. Raises BundleError."""
    return Executable(Path(folder), verify_weights=verify_weights)


def export_onnx(
    model: Spec,
    path: str | Path,
    *,
    weights: str | Path | Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
    opset: int | None = None,
    entry: str = "main",
) -> None:
    """Write one entry as ONNX; weights past 1.5 GB go to a file beside it.

    Raises SpecError, WeightsError, BackendError.
    """
    write_onnx(as_model(model), Path(path), as_weights(weights, seed), opset, entry)


def train(
    model: Spec,
    data: str | Path | Mapping[str, np.ndarray],
    target: str = "numpy",
    *,
    epochs: int | None = None,
    batch: int | None = None,
    seed: int = 0,
    validation: float | str | Path | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    weights: str | Path | Mapping[str, np.ndarray] | None = None,
    tell: Callable[[Progress], None] | None = None,
) -> Trained:
    """Let a model learn from examples, as the `training` of its spec says.

    ``data`` is a ``.npz`` file or arrays, by the input that takes them; their first axis counts the examples.
    ``validation`` sets a share of them apart, or names a file of others. ``folder`` gets weights, a checkpoint after
    each epoch, measures and a curve; ``resume`` goes on with the run in it, bit for bit. ``tell`` hears of each step.

    Raises SpecError, DataError, TrainingError, CheckpointError, NotFiniteError, WeightsError, BackendError and
    OutputError.
    """
    settings = Settings(
        target,
        epochs,
        batch,
        seed,
        Path(validation) if isinstance(validation, str) else validation,
        None if folder is None else Path(folder),
        resume,
        None if weights is None else as_weights(weights, seed),
    )
    found = data if isinstance(data, Mapping) else Path(data)
    return train_model(as_model(model), found, settings, tell)


def gradients(
    model: Spec,
    target: str = "numpy",
    *,
    weights: str | Path | Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
) -> Executable:
    """Compile the losses of a model's training and their gradients; nothing is learned.

    ``run("train_step", ...)`` (``train_step_PLAYER`` where there are players) takes the inputs of the model and of its
    training, and gives ``loss`` and ``gradient.PATH`` for each parameter that is learned. Weights are as in `compile`,
    with those that only training has.

    Raises SpecError, TrainingError, WeightsError, BackendError.
    """
    return compile_model(with_gradients(as_model(model)), Build(target), as_weights(weights, seed))


def verify(model: Spec, targets: Iterable[str] | None = None, *, seed: int = 0) -> Verification:
    """Compare targets with the reference on the same random weights and inputs. See `Verification`."""
    return verify_model(
        as_model(model), list(targets) if targets is not None else None, Weights(seed=seed, everywhere=True)
    )


def summary(model: Spec, **sizes: int) -> Summary:
    """Parameters, multiply-accumulates and memory of a model; ``sizes`` set symbols. See `driver.summary`."""
    return summary_of(as_model(model), sizes)
