"""The Triton target: readable kernels and a launch plan, for GPUs; Triton's interpreter runs them on a CPU."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...compiler.ir import Node, Program
from ..api import Backend, BackendError, Emission, Loaded, Options, Runtime
from ..source import check_source
from . import toolchain
from .capabilities import refusal
from .emit import MODULE, emit
from .runtime import TritonRuntime
from .vocabulary import vocabulary


class TritonBackend(Backend):
    """Programs for GPUs, in Triton."""

    name = "triton"
    summary = "readable Triton kernels and a launch plan, for NVIDIA GPUs"
    extra = "triton"

    def unavailable(self) -> str | None:
        return toolchain.missing()

    def claims(self, node: Node) -> str | None:
        return refusal(node)

    def emit(self, program: Program, weights: Mapping[str, np.ndarray], options: Options) -> Emission:
        if options.settings:
            raise BackendError(f"target triton has no settings; it does not know {sorted(options.settings)}")
        device = toolchain.device(options.device)
        emitted = emit(program)
        check_source(emitted.text, vocabulary())
        return Emission({MODULE: emitted.text.encode()}, metadata={"device": device.name})

    def load(self, bundle: Loaded) -> Runtime:
        return TritonRuntime(bundle, bundle.manifest.get("backend", {}).get("device"))


__all__ = ["TritonBackend"]
