"""From options to models and weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..driver.build import Weights
from ..driver.check import warnings_of
from ..driver.model import Model, load
from ..driver.shipped import SHIPPED
from .console import warn
from .options import UsageError, mesh, pairs, shards

RESERVED = ("given", "dtype", "dims")


def open_model(
    model: str,
    knobs: list[str] | None = None,
    given: list[str] | None = None,
    dtype: str | None = None,
    dims: Mapping[str, int] | None = None,
) -> Model:
    """The model that was named. Raises SpecError, UsageError."""
    args = pairs(knobs, "--set")
    for name in args:
        if not name.isidentifier() or name in RESERVED:
            raise UsageError(f"--set {name[:80]}: that is no name of a knob")
    return load(model, given=given or (), dtype=dtype, dims=dims, **args)


def spread_model(model: Model, mesh_text: str | None, rules: list[str] | None) -> Model:
    """The model on the mesh that was asked for by ``--mesh`` and ``--shard``; as it is if neither was said."""
    if mesh_text is None and not rules:
        return model
    return model.spreading(mesh(mesh_text), shards(rules))


def weights_of(path: Path | None, seed: int, *, everywhere: bool = False) -> Weights:
    """Weights from a file, those that come along, or from a seed. Raises UsageError for a file that is not there."""
    if path is not None and str(path) != SHIPPED and not path.exists():
        raise UsageError(f"--weights: there is no file {path}")
    return Weights(path=path, seed=seed, everywhere=everywhere)


def show_warnings(model: Model) -> None:
    """What the spec's author should know, on standard error."""
    for warning in warnings_of(model):
        warn(warning)
