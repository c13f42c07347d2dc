"""A bundle's `model.py` as a runtime: checked, imported from the checked text, and called without further checks."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np

from ..api import BackendError, Loaded, Runtime
from ..importing import import_text
from ..source import check_source
from .vocabulary import vocabulary

MODULE = "model.py"
_count = itertools.count()


def import_checked(path: Path) -> ModuleType:
    """The module at ``path``, under a private name. Raises `BackendError` if it holds what no emitted module does."""
    try:
        text = path.read_bytes().decode("utf-8")
        check_source(text, vocabulary())
    except (OSError, UnicodeDecodeError) as error:
        raise BackendError(f"{path} cannot be read: {error}") from error
    return import_text(text, f"_netwright_numpy_{next(_count)}", str(path))


class NumpyRuntime(Runtime):
    """Runs the module of a bundle. Thread-safe."""

    def __init__(self, bundle: Loaded) -> None:
        module = import_checked(Path(bundle.folder) / MODULE)
        try:
            parameters = [(str(name), str(dtype), tuple(shape)) for name, dtype, shape in module.PARAMETERS]
        except (AttributeError, TypeError, ValueError) as error:
            raise BackendError(f"{bundle.folder}: {MODULE} says no parameters: {error}") from error
        weights = []
        for name, dtype, shape in parameters:
            if name not in bundle.weights:
                raise BackendError(f"{bundle.folder}: the weights lack {name!r}")
            array = _held(np.asarray(bundle.weights[name]))
            if array.dtype.name != dtype or array.shape != shape:
                found = f"{array.dtype}{list(array.shape)}"
                raise BackendError(f"{bundle.folder}: the weight {name!r} is {found}, not {dtype}{list(shape)}")
            weights.append(array)
        self.model: Any = module.connect(tuple(weights))

    def call(
        self, entry: str, inputs: Mapping[str, np.ndarray], states: Mapping[str, np.ndarray], sizes: Mapping[str, int]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        facts = self.model.entries[entry]
        missing = [symbol for symbol in facts.symbols if symbol not in sizes]
        if missing:
            raise BackendError(f"entry {entry!r} needs the size {missing[0]}")
        order = tuple(int(sizes[symbol]) for symbol in facts.symbols)
        given = {name: _held(array) for name, array in inputs.items()}
        kept = {name: _held(array) for name, array in states.items()}
        outputs, updated = self.model.call(entry, given, kept, order)
        return (
            {name: _given(array, name in facts.bfloat16) for name, array in outputs.items()},
            {name: _given(array, states[name].dtype == ml_dtypes.bfloat16) for name, array in updated.items()},
        )


def _held(array: np.ndarray) -> np.ndarray:
    """bfloat16 as the bits that emitted code holds."""
    return array.view(np.uint16) if array.dtype == ml_dtypes.bfloat16 else array


def _given(array: np.ndarray, narrow: bool) -> np.ndarray:
    return array.view(ml_dtypes.bfloat16) if narrow else array
