"""A bundle in onnxruntime: a session for each entry, made when it is first called."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...compiler.ir import DType
from ..api import BackendError, Loaded, Runtime
from ..signature import from_json
from .emit import ELEMENT_TYPES

THREADS = "NETWRIGHT_THREADS"
"""The environment variable that sets the threads of a session, whatever the bundle says."""


class OnnxRuntime(Runtime):
    """Sessions of a bundle's models. Inputs and outputs are positional, so names play no part."""

    def __init__(self, bundle: Loaded) -> None:
        self._folder = bundle.folder
        self._entries = from_json(bundle.manifest["signature"]).entries
        self._threads = bundle.manifest.get("backend", {}).get("threads", 0)
        if type(self._threads) is not int or self._threads < 0:
            raise BackendError(f"{bundle.folder}: threads in the manifest is {self._threads!r:.80}")
        for entry in self._entries:
            if f"{entry}.onnx" not in bundle.manifest["files"]:
                raise BackendError(f"{bundle.folder}: {entry!r:.80} has no model that the manifest lists")
        self._sessions: dict[str, Any] = {}
        self._lock = threading.Lock()

    def call(
        self, entry: str, inputs: Mapping[str, np.ndarray], states: Mapping[str, np.ndarray], sizes: Mapping[str, int]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        signature = self._entries[entry]
        session = self._session(entry)
        arrays = [*(inputs[port.name] for port in signature.inputs), *(states[name] for name in signature.states)]
        results = _run(session, arrays)
        count = len(signature.outputs)
        outputs = {field.name: array for field, array in zip(signature.outputs, results[:count], strict=True)}
        return outputs, dict(zip(signature.updates, results[count:], strict=True))

    def _session(self, entry: str) -> Any:
        with self._lock:
            if entry not in self._sessions:
                self._sessions[entry] = open_session(str(self._folder / f"{entry}.onnx"), thread_limit(self._threads))
            return self._sessions[entry]


def thread_limit(otherwise: int) -> int:
    """The number of threads that the environment asks for; 0 is one per core. Raises `BackendError`."""
    text = os.environ.get(THREADS, "")
    if not text:
        return otherwise
    if not text.isdigit() or int(text) < 1:
        raise BackendError(f"{THREADS} is a number of threads, 1 or more, not {text!r}")
    return int(text)


def open_session(path: str, threads: int = 0) -> Any:
    """An onnxruntime session on the CPU for a model file. Raises `BackendError`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BackendError(f"onnxruntime cannot load {path}: {error}") from error


def _run(session: Any, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Results of a session by position. Arrays are not copied on the way in, but where they have gaps."""
    from onnxruntime import OrtValue

    values = {}
    for port, array in zip(session.get_inputs(), arrays, strict=True):
        array = np.ascontiguousarray(array).reshape(array.shape)
        if array.dtype == DType.BFLOAT16.numpy:
            # NumPy has no bfloat16: onnxruntime takes its bits, with the type beside them.
            bits = array.view(np.uint16)
            values[port.name] = OrtValue.ortvalue_from_numpy_with_onnx_type(bits, ELEMENT_TYPES[DType.BFLOAT16])
        else:
            values[port.name] = OrtValue.ortvalue_from_numpy(array)
    names = [port.name for port in session.get_outputs()]
    try:
        results = session.run_with_ort_values(names, values)
    except Exception as error:
        raise BackendError(f"onnxruntime failed: {error}") from error
    return [_array(value) for value in results]


def _array(value: Any) -> np.ndarray:
    if value.element_type() != ELEMENT_TYPES[DType.BFLOAT16]:
        return np.asarray(value.numpy())
    shape = tuple(value.shape())
    bits = (ctypes.c_uint16 * int(np.prod(shape, dtype=int))).from_address(value.data_ptr())
    return np.array(bits, np.uint16).view(DType.BFLOAT16.numpy).reshape(shape)
