"""What a machine has for Triton, and the names of devices. Each lack is one clear error, never another device.

Triton decides when it is imported whether a process interprets kernels or compiles them, so that is decided here,
before anything else imports it.
"""

from __future__ import annotations

import ctypes
import difflib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..api import BackendError

ARCHITECTURES = {
    "sm_80": "A100",
    "sm_86": "RTX 30, A10",
    "sm_87": "Jetson Orin",
    "sm_89": "RTX 40, L4, L40",
    "sm_90": "H100, H200",
    "sm_100": "B200",
    "sm_103": "B300",
    "sm_110": "Jetson Thor",
    "sm_120": "RTX 50",
    "sm_121": "DGX Spark",
}
"""What kernels can be compiled for without the device (tried with each; others make LLVM or ptxas stop)."""

LEAST_CAPABILITY = 80
"""Older devices have no bfloat16 and no asynchronous copies."""

INTERPRET = "TRITON_INTERPRET"
_TRUE = frozenset({"1", "true", "on", "y", "yes"})
_CUDA = re.compile("cuda(?::([0-9]{1,3}))?")
_EXTRA = 'pip install "netwright[triton]"'


@dataclass(frozen=True, slots=True)
class Device:
    """A device by name. ``index`` is of ``cuda``; ``capability`` (90 for sm_90) of ``offline``."""

    name: str
    kind: Literal["cuda", "interpreter", "offline"]
    index: int = 0
    capability: int = 0


@dataclass(frozen=True, slots=True)
class Gpu:
    """A device that is there: torch's name of it, its product name, its capability and its memory in bytes."""

    torch_name: str
    product: str
    capability: int
    memory: int

    @property
    def architecture(self) -> str:
        return f"sm_{self.capability}"


def interpreting() -> bool:
    """Whether the environment asks for the interpreter (as Triton itself reads it)."""
    return os.environ.get(INTERPRET, "").lower() in _TRUE


def device(name: str | None) -> Device:
    """The device of that name; without one ``interpreter`` if the environment asks for it, else ``cuda``.

    Nothing is looked for. Raises `BackendError` for what is no name of a device, with the nearest one that is.
    """
    if name is None:
        name = "interpreter" if interpreting() else "cuda"
    if name == "interpreter":
        return Device(name, "interpreter")
    if found := _CUDA.fullmatch(name):
        return Device(name, "cuda", index=int(found[1] or 0))
    if name in ARCHITECTURES:
        return Device(name, "offline", capability=int(name.removeprefix("sm_")))
    raise BackendError(f"target triton has no device {name[:80]!r}; {_nearest(name)}")


def _nearest(name: str) -> str:
    known = ["cuda", "cuda:0", "interpreter", *ARCHITECTURES]
    digits = re.fullmatch(r"(?:sm|compute)?[_-]?([0-9]{2,3})[af]?", name.lower())
    if digits:
        wanted = int(digits[1])
        near = min(ARCHITECTURES, key=lambda each: abs(int(each[3:]) - wanted))
        return f"the nearest is {near} ({', '.join(known)})"
    close = difflib.get_close_matches(name.lower(), known, 1)
    return (f"did you mean {close[0]}? " if close else "") + f"({', '.join(known)})"


def missing(*modules: str) -> str | None:
    """Which of the modules (triton, torch) is not installed, and how to install it; None if all are. Imports none."""
    for module in modules or ("triton", "torch"):
        if module not in sys.modules and importlib.util.find_spec(module) is None:
            return f"target triton needs {module}, which is not installed: {_EXTRA}"
    return None


def no_device() -> str | None:
    """Why the default device is not there, as far as the driver tells: None if it seems to be. Imports nothing."""
    if interpreting() or _driver_counts_gpus():
        return None
    return f"no NVIDIA GPU here; with {INTERPRET}=1 in the environment kernels run in the interpreter, on the CPU"


def _driver_counts_gpus() -> bool:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def torch() -> Any:
    """The module torch. Raises `BackendError` if it is missing or broken."""
    return _module("torch")


def triton(kind: str) -> Any:
    """The module triton in the state that a kind of device needs: "interpreter", else compiling.

    Raises `BackendError` if triton is missing or broken, or the process is in the other state.
    """
    wanted = kind == "interpreter"
    if wanted and "triton" not in sys.modules:
        os.environ[INTERPRET] = "1"
    if interpreting() != wanted:
        raise BackendError(_wrong_state(wanted))
    module = _module("triton")
    # What stands in triton.language was made for one or the other when it was imported.
    if (type(module.language.sum).__name__ == "InterpretedFunction") != wanted:
        raise BackendError(_wrong_state(wanted))
    return module


def _wrong_state(wanted: bool) -> str:
    if wanted:
        return (
            "device interpreter: this process has imported triton to compile already; start a new one"
            f" with {INTERPRET}=1 in its environment"
        )
    if interpreting():
        return (
            f"{INTERPRET} is set, so kernels of this process run in the interpreter, on the CPU; unset it for a GPU,"
            " or name the device interpreter"
        )
    return f"this process has imported triton with {INTERPRET} set: kernels run on the CPU; start a new one for a GPU"


def _module(name: str) -> Any:
    reason = missing(name)
    if reason is not None:
        raise BackendError(reason)
    try:
        return importlib.import_module(name)
    except (ImportError, OSError, RuntimeError) as error:
        raise BackendError(f"{name} is installed but cannot be imported: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """What an error of torch or CUDA says, without the pages of advice below it."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def gpu(wanted: Device) -> Gpu:
    """The GPU that a device names. Raises `BackendError` if it is not there or does not serve.

    For an offline device: the first GPU of this very architecture, since its kernels run on no other.
    """
    module = torch()
    if not _works(module):
        raise BackendError(_no_gpu(module, wanted))
    count = int(module.cuda.device_count())
    if wanted.kind == "offline":
        return _of_architecture(module, wanted, count)
    if wanted.index >= count:
        there = ", ".join(f"cuda:{index}" for index in range(count))
        raise BackendError(f"there is no device {wanted.name}; this machine has {there}")
    found = _facts(module, wanted.index)
    if found.capability < LEAST_CAPABILITY:
        raise BackendError(
            f"{found.torch_name} is a {found.product} of compute capability {found.capability / 10:.1f};"
            f" target triton needs {LEAST_CAPABILITY / 10:.1f} or later"
        )
    return found


def _works(module: Any) -> bool:
    try:
        return bool(module.cuda.is_available())
    except RuntimeError:
        # A driver that is broken or of another version than its library.
        return False


def _no_gpu(module: Any, wanted: Device) -> str:
    """Why CUDA does not work here: torch without it, a driver that is too old, or no GPU."""
    for_what, instead = f"device {wanted.name}", "; to try kernels on the CPU, slowly, name the device interpreter"
    if wanted.kind == "offline":
        for_what = f"this bundle is for {wanted.name} ({ARCHITECTURES[wanted.name]})"
        instead = "; it runs on such a GPU only, or compile for the device interpreter to try kernels on the CPU"
    if getattr(module.version, "hip", None):
        return f"{for_what}: this torch is made for ROCm; target triton needs an NVIDIA GPU{instead}"
    if module.version.cuda is None:
        return f"{for_what}: this torch ({module.__version__}) is made for CPUs only; install one with CUDA{instead}"
    try:
        module.cuda.init()
    except (RuntimeError, AssertionError) as error:
        reason = first_line(error)
        return f"{for_what}: no GPU that torch can use (made for CUDA {module.version.cuda}): {reason}{instead}"
    return f"{for_what}: no GPU that torch can use{instead}"


def _of_architecture(module: Any, wanted: Device, count: int) -> Gpu:
    found = [_facts(module, index) for index in range(count)]
    for each in found:
        if each.capability == wanted.capability:
            return each
    listed = ", ".join(f"{each.torch_name} is a {each.product} ({each.architecture})" for each in found)
    raise BackendError(f"this bundle is for {wanted.name} ({ARCHITECTURES[wanted.name]}), but {listed}")


def _facts(module: Any, index: int) -> Gpu:
    try:
        facts = module.cuda.get_device_properties(index)
    except (RuntimeError, AssertionError) as error:
        raise BackendError(f"cuda:{index} does not answer: {first_line(error)}") from error
    return Gpu(f"cuda:{index}", str(facts.name), facts.major * 10 + facts.minor, int(facts.total_memory))


def check_memory(found: Gpu, needed: Mapping[str, int]) -> None:
    """Raise `BackendError` if a GPU has not so much memory free. ``needed`` is bytes by what they are for.

    What torch has reserved but not in use counts as free: it would be taken from there.
    """
    module = torch()
    total = sum(needed.values())
    try:
        free, _ = module.cuda.mem_get_info(found.torch_name)
        kept = module.cuda.memory_reserved(found.torch_name) - module.cuda.memory_allocated(found.torch_name)
    except RuntimeError as error:
        raise BackendError(f"{found.torch_name} does not answer: {first_line(error)}") from error
    if total <= free + kept:
        return
    parts = ", ".join(f"{what} {_gib(size)}" for what, size in needed.items() if size)
    raise BackendError(
        f"too little memory on {found.torch_name} ({found.product}): {_gib(total)} are needed ({parts}),"
        f" {_gib(free + kept)} of {_gib(found.memory)} are free"
    )


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**27 else f"{size / 2**20:.1f} MiB"
