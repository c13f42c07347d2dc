"""Devices by name: what they compute and move per second at most.

Numbers are the makers' own, dense (without structured sparsity), of one GPU or one chip. Their gigabyte of memory is
2^30 bytes, that of bandwidth 10^9.

- A100: NVIDIA A100 Tensor Core GPU data sheet (1758950, June 2021), the SXM modules; without Tensor Cores, NVIDIA A100
  Tensor Core GPU Architecture (white paper, 2020), table 1.
- H100: NVIDIA H100 Tensor Core GPU data sheet (2430615), SXM; without Tensor Cores and dense, NVIDIA H100 Tensor Core
  GPU Architecture (white paper, 2022), table 2.
- H200: NVIDIA H200 Tensor Core GPU data sheet (2024), SXM: the H100's units, other memory.
- B200: NVIDIA Blackwell Architecture Technical Brief (2024), HGX B200 at 1000 W; memory of NVIDIA DGX B200 (data sheet,
  2024), an eighth of it. Without Tensor Cores, 16-bit runs at the rate of float32 there: nothing else is published.
- TPU: cloud.google.com/tpu/docs/v5e, v5p and v6e, "key chip specifications". Products of float32 in full precision are
  six passes of bfloat16 (jax.lax.Precision.HIGHEST). The vector units: Austin et al., How to Scale Your Model (2025),
  "How to Think About TPUs": 8 x 128 lanes of 4 units at 1.5 GHz (v5e), twice that at 1.75 GHz (v5p); v6e is not said.
- Time from kernel to kernel on a GPU: A. Gray, Getting Started with CUDA Graphs (NVIDIA, 2019): 3.4 us for each kernel
  of 2.9 us in a graph. For ops within one program on a TPU nothing is published: none is counted.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal as OneOf

from .ir.types import DType

TF32 = "tf32"
"""Float32 products with 10 bits of fraction; not a dtype of tensors."""

_KERNEL_GAP = 0.5e-6
_PASSES = 6


@dataclass(frozen=True, slots=True)
class Device:
    """What one device can do at most.

    ``matrix`` are operations per second of dot and conv by dtype (a multiply-accumulate is two), ``vector`` those of
    everything else; a dtype that is missing computes as `rate` says. ``bandwidth`` is in bytes per second, ``memory``
    in bytes, ``overhead`` the seconds that each kernel costs beside its work.
    """

    name: str
    title: str
    kind: OneOf["gpu", "tpu", "cpu"]
    matrix: Mapping[str, float]
    vector: Mapping[str, float]
    bandwidth: float
    memory: float
    overhead: float = 0.0

    def rate(self, dtype: DType, matrix: bool = False, precision: str = "highest") -> float | None:
        """Operations per second in a dtype; None if nothing is known.

        ``precision`` is that of dot and conv. Narrower integers and bool compute as the narrowest kind that is known
        to be at least as wide; 16-bit floats as float32 where nothing else is said.
        """
        table = self.matrix if matrix else self.vector
        if matrix and dtype is DType.FLOAT32 and precision == "tf32" and TF32 in table:
            return table[TF32]
        if matrix and dtype is DType.FLOAT32 and precision == "bf16" and "bfloat16" in table:
            return table["bfloat16"]
        if dtype.value in table:
            return table[dtype.value]
        if matrix:
            return table.get("float32")
        return table.get("float64" if dtype.bytes == 8 and dtype.is_float else "float32")


def _gpu(
    name: str,
    title: str,
    matrix: tuple[float, float, float, float, float],
    vector: tuple[float, float, float],
    terabytes: float,
    gigabytes: float,
) -> Device:
    """A GPU from its data sheet: float64, float32, TF32, 16-bit and int8 products; vectors in 64, 32 and 16 bits."""
    wide, full, reduced, half, byte = (rate * 1e12 for rate in matrix)
    products = {"float64": wide, "float32": full, TF32: reduced, "float16": half, "bfloat16": half, "int8": byte}
    double, single, short = (rate * 1e12 for rate in vector)
    others = {"float64": double, "float32": single, "float16": short, "bfloat16": short}
    return Device(name, title, "gpu", products, others, terabytes * 1e12, gigabytes * 2**30, _KERNEL_GAP)


def _tpu(name: str, title: str, half: float, byte: float, vector: float | None, terabytes: float, gb: float) -> Device:
    """A chip from its data sheet: bfloat16 and int8 products, vectors in float32."""
    products = {"bfloat16": half * 1e12, "int8": byte * 1e12, "float32": half * 1e12 / _PASSES}
    others = {} if vector is None else {"float32": vector * 1e12}
    return Device(name, title, "tpu", products, others, terabytes * 1e12, gb * 2**30)


_HOPPER = ((67.0, 67.0, 494.7, 989.4, 1978.9), (34.0, 67.0, 133.8))
_AMPERE = ((19.5, 19.5, 156.0, 312.0, 624.0), (9.7, 19.5, 78.0))

DEVICES: dict[str, Device] = {
    device.name: device
    for device in (
        _gpu("a100-40gb", "NVIDIA A100 40GB SXM", *_AMPERE, 1.555, 40),
        _gpu("a100", "NVIDIA A100 80GB SXM", *_AMPERE, 2.039, 80),
        _gpu("h100", "NVIDIA H100 SXM", *_HOPPER, 3.35, 80),
        _gpu("h200", "NVIDIA H200 SXM", *_HOPPER, 4.8, 141),
        _gpu("b200", "NVIDIA B200", (40.0, 80.0, 1100.0, 2250.0, 4500.0), (40.0, 80.0, 80.0), 8.0, 180),
        _tpu("v5e", "Google TPU v5e", 197.0, 393.0, 6.1, 0.819, 16),
        _tpu("v5p", "Google TPU v5p", 459.0, 918.0, 14.3, 2.765, 95),
        _tpu("v6e", "Google TPU v6e", 918.0, 1836.0, None, 1.64, 32),
    )
}
"""Devices with a data sheet. The CPU at hand is measured instead (`driver.cpu`)."""

ALIASES: dict[str, str] = {
    "sm_80": "a100",
    "sm_90": "h100",
    "sm_100": "b200",
    "a100-80gb": "a100",
    "h100-sxm": "h100",
    "v5litepod": "v5e",
    "trillium": "v6e",
}
"""Other names. A compute capability stands for its best known device."""

CPU = "cpu"


class UnknownDevice(Exception):
    """A device that there is not; says what is near."""


def canonical(name: str) -> str:
    """The key of a device in `DEVICES`, or `CPU`.

    Takes aliases, any case, ``tpu:`` or ``cuda:`` in front, and a topology behind (``tpu:v5e:2x2`` is one chip of it).
    Raises `UnknownDevice`.
    """
    plain = name.strip().lower().replace(" ", "-")
    for front in ("tpu:", "tpu-", "tpu_", "nvidia-", "gpu:"):
        plain = plain.removeprefix(front)
    head, colon, topology = plain.partition(":")
    if colon and topology and all(part.isascii() and part.isdigit() for part in topology.split("x")):
        plain = head
    plain = ALIASES.get(plain, plain)
    if plain in DEVICES or plain == CPU:
        return plain
    known = [*DEVICES, CPU, *ALIASES]
    near = difflib.get_close_matches(plain, known, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"they are {', '.join([*DEVICES, CPU])}"
    raise UnknownDevice(f"no device is called {name[:80]!r}; {hint}")
