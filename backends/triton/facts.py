"""The facts of a launch that decide which machine code Triton makes: types, alignment, constants, options.

The run and the offline compiler both take them from here, so that a cubin is the kernel that the run would make.
"""

from __future__ import annotations

from typing import Any

from ...compiler.ir import DType
from .kernel import INTERPRETED, Config, Kernel

ALIGNMENT = 16
"""Bytes to which every pointer of a kernel is aligned, so that loads may be 128 bits wide."""

POINTEES = {
    DType.BOOL: "i8",
    DType.INT8: "i8",
    DType.UINT8: "u8",
    DType.INT32: "i32",
    DType.UINT32: "u32",
    DType.INT64: "i64",
    DType.FLOAT16: "fp16",
    DType.BFLOAT16: "bf16",
    DType.FLOAT32: "fp32",
    DType.FLOAT64: "fp64",
}
"""Triton's name of what a pointer leads to."""
_SCALARS = {"int": "i32", "float": "fp32"}

_KIB = 2**10
SHARED_LIMITS = {
    80: 163 * _KIB,
    86: 99 * _KIB,
    87: 163 * _KIB,
    89: 99 * _KIB,
    90: 227 * _KIB,
    100: 227 * _KIB,
    103: 227 * _KIB,
    110: 227 * _KIB,
    120: 99 * _KIB,
    121: 99 * _KIB,
}
"""Shared memory that one block may have, by capability (CUDA C++ Programming Guide, table "Technical Specifications
per Compute Capability")."""


def signature(kernel: Kernel) -> dict[str, str]:
    """The type of each argument at run time, as Triton writes it."""
    types = {}
    for argument in kernel.arguments:
        if argument.kind == "pointer":
            assert argument.dtype is not None
            types[argument.name] = "*" + POINTEES[argument.dtype]
        else:
            types[argument.name] = _SCALARS[argument.kind]
    return types


def aligned(kernel: Kernel) -> dict[str, int]:
    """The arguments that are known to be multiples of a number of bytes. Sizes are not: any size is one kernel."""
    return {argument.name: ALIGNMENT for argument in kernel.arguments if argument.kind == "pointer"}


def constants(
    kernel: Kernel, config: Config, *, wide: bool = False, interpreted: bool = False
) -> dict[str, int | bool]:
    """Every constant of a kernel: the tiles of a config, and what the launcher sets."""
    special = {name: interpreted if name == INTERPRETED else wide for name in kernel.special}
    return {**config.constants, **special}


def options(config: Config) -> dict[str, Any]:
    """What Triton's compiler is told. Floating-point fusion is pinned: its default changes between versions."""
    return {"num_warps": config.warps, "num_stages": config.stages, "enable_fp_fusion": True}
