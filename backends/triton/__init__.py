"""The Triton target: readable kernels and a launch plan, for GPUs; Triton's interpreter runs them on a CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...compiler.ir import Node, Program, TensorType
from ..api import Backend, BackendError, Content, Emission, Launched, Loaded, Options, Row, Runtime, Table
from ..source import check_source
from . import costs, toolchain
from .capabilities import FUSION, refusal
from .describe import describe
from .emit import MODULE, Emitted, emit
from .launches import account, launched
from .offline import for_architecture
from .runtime import TritonRuntime
from .vocabulary import vocabulary

KERNELS_AT_RUN = "kernels are compiled from model.py at their first launch; the files under kernels/ are not read"
"""What the manifest of a bundle for an architecture says of its machine code: the tuner may choose other tiles."""


class TritonBackend(Backend):
    """Programs for GPUs, in Triton."""

    name = "triton"
    summary = "readable Triton kernels and a launch plan, for NVIDIA GPUs"
    extra = "triton"
    requires = frozenset({"layout", "fuse", "schedule"})
    fusion = FUSION

    def unavailable(self) -> str | None:
        return toolchain.missing()

    def unready(self) -> str | None:
        return toolchain.missing() or toolchain.no_device()

    def slow(self) -> str | None:
        return "interpreted on the CPU" if toolchain.interpreting() else None

    def claims(self, node: Node) -> str | None:
        return refusal(node)

    def layout(self, node: Node) -> tuple[float, float] | None:
        return costs.layout(node)

    def conversion(self, type: TensorType) -> float:
        return costs.conversion(type)

    def emit(self, program: Program, weights: Mapping[str, np.ndarray], options: Options) -> Emission:
        if options.settings:
            raise BackendError(f"target triton has no settings; it does not know {sorted(options.settings)}")
        device = toolchain.device(options.device)
        emitted = emit(program)
        check_source(emitted.text, vocabulary())
        files: dict[str, Content] = {MODULE: emitted.text.encode()}
        metadata: dict[str, Any] = {"launches": account(_launches(emitted))}
        if options.device is not None:
            metadata["device"] = device.name
        if device.kind == "offline":
            made = for_architecture(emitted.text, emitted.kernels, device.name, options.report)
            files |= {cubin.file: cubin.data for cubin in made}
            metadata["run"] = KERNELS_AT_RUN
            metadata["kernels"] = {cubin.job.kernel.name: cubin.to_json() for cubin in made}
        return Emission(files, metadata=metadata)

    def buffers(self, program: Program, sizes: Mapping[str, int]) -> Mapping[str, Sequence[Row]]:
        return {name: plan.bytes(sizes) for name, plan in emit(program).plans.items()}

    def launches(self, program: Program) -> Mapping[str, Sequence[Launched]]:
        return _launches(emit(program))

    def describe(self, manifest: Mapping[str, Any]) -> Sequence[Table]:
        return describe(manifest)

    def load(self, bundle: Loaded) -> Runtime:
        return TritonRuntime(bundle, bundle.manifest.get("backend", {}).get("device"))


def _launches(emitted: Emitted) -> dict[str, list[Launched]]:
    return {name: list(launched(plan.block)) for name, plan in emitted.plans.items()}


__all__ = ["TritonBackend"]
