"""The NumPy target: one readable module that needs only NumPy and safetensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...compiler.ir import Node, Program, TensorType
from ..api import Backend, BackendError, Emission, Loaded, Options, Row, Runtime
from ..source import check_source
from . import costs
from .capabilities import FUSION, refusal
from .emit import emit
from .footprint import buffers
from .runtime import MODULE, NumpyRuntime
from .vocabulary import vocabulary


class NumpyBackend(Backend):
    """Programs for any CPU, in NumPy."""

    name = "numpy"
    summary = "one readable Python module on NumPy, for any CPU"
    requires = frozenset({"layout", "fuse", "schedule"})
    whole_axes = True
    fusion = FUSION

    def claims(self, node: Node) -> str | None:
        return refusal(node)

    def layout(self, node: Node) -> tuple[float, float] | None:
        return costs.layout(node)

    def conversion(self, type: TensorType) -> float:
        return costs.conversion(type)

    def emit(self, program: Program, weights: Mapping[str, np.ndarray], options: Options) -> Emission:
        if options.device not in (None, "cpu") or options.settings:
            what = (
                f"device {options.device!r}"
                if options.device not in (None, "cpu")
                else f"settings {sorted(options.settings)}"
            )
            raise BackendError(f"target numpy runs on the CPU and has no settings; it does not know {what}")
        text = emit(program)
        check_source(text, vocabulary())
        return Emission({MODULE: text.encode()}, weights_file=True)

    def buffers(self, program: Program, sizes: Mapping[str, int]) -> Mapping[str, Sequence[Row]]:
        return buffers(emit(program), sizes)

    def load(self, bundle: Loaded) -> Runtime:
        return NumpyRuntime(bundle)


__all__ = ["NumpyBackend"]
