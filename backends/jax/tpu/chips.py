"""Peak rates and memory of TPU chips, from Google Cloud's data sheets: cloud.google.com/tpu/docs, one per version."""

from __future__ import annotations

from dataclasses import dataclass

from ....compiler.devices import DEVICES


@dataclass(frozen=True, slots=True)
class Chip:
    """A whole chip: bf16 FLOP/s of its matrix units, bytes of HBM, and bytes per second to and from it."""

    flops: float
    memory_bytes: int
    bandwidth: float


_GIB = 2**30
CHIPS: dict[str, Chip] = {
    "v2": Chip(45e12, 16 * _GIB, 700e9),
    "v3": Chip(123e12, 32 * _GIB, 900e9),
    "v4": Chip(275e12, 32 * _GIB, 1228e9),
    **{
        name: Chip(device.matrix["bfloat16"], int(device.memory), device.bandwidth)
        for name, device in DEVICES.items()
        if device.kind == "tpu"
    },
    "tpu7x": Chip(2307e12, 192 * _GIB, 7380e9),
}
