"""Bundles that run: `model.py` imported after a check of its text, or the exported StableHLO."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..api import BackendError, Loaded, Runtime
from ..bundle import SafetensorsFile
from ..importing import import_text
from ..source import check_source
from . import devices
from .devices import import_jax
from .vocabulary import vocabulary

SOURCE = "model.py"
CONSTANTS = "constants.safetensors"


def import_model(text: str, path: str = SOURCE) -> Any:
    """The emitted module. ``path`` is what tracebacks show. Raises `BackendError` for a text that fails the check."""
    check_source(text, vocabulary())
    import_jax()
    return import_text(text, "netwright_emitted_model", path)


class JaxRuntime(Runtime):
    """Calls the functions of an emitted module. New states stay where JAX computes, as JAX arrays."""

    def __init__(self, module: Any, weights: Mapping[str, np.ndarray], constants: Mapping[str, np.ndarray]) -> None:
        """Raises `BackendError` where JAX has too few devices for the mesh of the module."""
        if constants:
            module.CONSTANTS.update(constants)
        self.module = module
        mesh: Mapping[str, int] | None = getattr(module, "MESH", None)
        if mesh is None:
            self.net = module.Net(module.ENTRIES, weights)
            return
        count = math.prod(mesh.values())
        devices.check(devices.start(count), mesh, count)
        self.net = module.MeshNet(module.ENTRIES, weights, module.mesh_of(mesh), module.PARAMS, module.VALUES)

    def call(
        self, entry: str, inputs: Mapping[str, np.ndarray], states: Mapping[str, np.ndarray], sizes: Mapping[str, int]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        outputs, updated = self.net.call(entry, inputs, states)
        return {name: _whole(array) for name, array in outputs.items()}, updated


def _whole(array: Any) -> np.ndarray:
    """An array whose parts may be with other processes, which then all ask for it."""
    if array.is_fully_addressable:
        return np.array(array)
    return np.asarray(importlib.import_module("jax.experimental.multihost_utils").process_allgather(array, tiled=True))


def load(bundle: Loaded) -> JaxRuntime:
    """The runtime of a verified bundle. Raises `BackendError`."""
    device = str(bundle.manifest.get("device") or "")
    if device.startswith("tpu:"):
        found = import_jax().default_backend()
        if found != "tpu":
            raise BackendError(f"{bundle.folder} is for {device}; JAX found {found}, no TPU")
    path = bundle.folder / SOURCE
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BackendError(f"{path} cannot be read: {error}") from error
    constants: Mapping[str, np.ndarray] = {}
    if CONSTANTS in bundle.manifest.get("files", {}):
        constants = SafetensorsFile(bundle.folder / CONSTANTS)
    return JaxRuntime(import_model(text, str(path)), bundle.weights, constants)
