"""Bundles that run: `model.py` imported after a check of its text, or the exported StableHLO."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..api import BackendError, Loaded, Runtime
from ..bundle import SafetensorsFile
from ..source import check_source
from .capabilities import has_accelerator
from .vocabulary import vocabulary

SOURCE = "model.py"
CONSTANTS = "constants.safetensors"


def import_jax() -> Any:
    """JAX, imported when it is first needed.

    Where libtpu is installed but no accelerator is, JAX is told to look at the CPU only, which spares errors on the
    terminal. A choice of the user's own (``JAX_PLATFORMS``, or the configuration) stays.
    """
    jax: Any = importlib.import_module("jax")
    chosen = jax.config.jax_platforms or "JAX_PLATFORMS" in os.environ
    if not chosen and importlib.util.find_spec("libtpu") is not None and not has_accelerator():
        jax.config.update("jax_platforms", "cpu")
    return jax


class _Text(importlib.abc.ExecutionLoader):
    """Loads a module from a text that was checked: what runs is what was read."""

    def __init__(self, text: str, path: str) -> None:
        self.text, self.path = text, path

    def get_source(self, fullname: str) -> str:
        return self.text

    def get_filename(self, fullname: str) -> str:
        return self.path


def import_model(text: str, path: str = SOURCE) -> Any:
    """The emitted module. ``path`` is what tracebacks show. Raises `BackendError` for a text that fails the check."""
    check_source(text, vocabulary())
    import_jax()
    spec = importlib.util.spec_from_loader("netwright_emitted_model", _Text(text, path))
    if spec is None or spec.loader is None:
        raise BackendError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    # Its named tuples look their module up while they are made.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BackendError(f"{path} cannot be imported: {error}") from error
    finally:
        sys.modules.pop(spec.name, None)
    return module


class JaxRuntime(Runtime):
    """Calls the functions of an emitted module. New states stay where JAX computes, as JAX arrays."""

    def __init__(self, module: Any, weights: Mapping[str, np.ndarray], constants: Mapping[str, np.ndarray]) -> None:
        if constants:
            module.CONSTANTS.update(constants)
        self.module = module
        self.net = module.Net(module.ENTRIES, {name: weights[name] for name in weights})

    def call(
        self, entry: str, inputs: Mapping[str, np.ndarray], states: Mapping[str, np.ndarray], sizes: Mapping[str, int]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        outputs, updated = self.net.call(entry, inputs, states)
        return {name: np.array(array) for name, array in outputs.items()}, updated


def load(bundle: Loaded) -> JaxRuntime:
    """The runtime of a verified bundle. Raises `BackendError`."""
    path = bundle.folder / SOURCE
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BackendError(f"{path} cannot be read: {error}") from error
    constants: Mapping[str, np.ndarray] = {}
    if CONSTANTS in bundle.manifest.get("files", {}):
        constants = SafetensorsFile(bundle.folder / CONSTANTS)
    return JaxRuntime(import_model(text, str(path)), bundle.weights, constants)
