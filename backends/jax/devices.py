"""The devices of a mesh: those that JAX finds, virtual ones of the CPU, or those of several processes together.

Several processes find each other by three variables of the environment, the same in each but for the last:

    NETWRIGHT_COORDINATOR   address and port of process 0, as in 127.0.0.1:12355
    NETWRIGHT_PROCESSES     how many there are
    NETWRIGHT_PROCESS       which of them this is, from 0
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..api import BackendError
from .capabilities import has_accelerator

_VARIABLES = ("NETWRIGHT_COORDINATOR", "NETWRIGHT_PROCESSES", "NETWRIGHT_PROCESS")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_FLAG = "--xla_force_host_platform_device_count"
_WAIT = 120
"""Seconds that a process waits for the others."""


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


@dataclass(frozen=True, slots=True)
class Processes:
    """Where process 0 listens, how many processes run together, and which of them this is."""

    coordinator: str
    count: int
    index: int


def processes(environment: Mapping[str, str] = os.environ) -> Processes | None:
    """The processes that the environment names; None for one by itself. Raises `BackendError`."""
    given = {name: environment[name] for name in _VARIABLES if environment.get(name)}
    if not given:
        return None
    missing = [name for name in _VARIABLES if name not in given]
    if missing:
        raise BackendError(f"{', '.join(given)} {'is' if len(given) == 1 else 'are'} set, {missing[0]} is not")
    coordinator = given[_VARIABLES[0]]
    if not _ADDRESS.fullmatch(coordinator):
        raise BackendError(f"{_VARIABLES[0]} is an address and a port, as 127.0.0.1:12355, not {coordinator[:80]!r}")
    count, index = (_number(name, given[name]) for name in _VARIABLES[1:])
    if not index < count:
        raise BackendError(f"{_VARIABLES[2]} is {index}; with {count} processes it is from 0 to {count - 1}")
    return Processes(coordinator, count, index)


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise BackendError(f"{name} is a whole number, not {text[:80]!r}")
    return int(text)


def start(devices: int) -> Any:
    """JAX, told to bring so many devices before it looks for them, if it has not done so yet.

    Joins the other processes; where no accelerator is, the CPU shows as many virtual devices as the mesh asks of this
    process. Raises `BackendError` if the processes do not find each other.
    """
    jax = import_jax()
    joined = processes()
    share = devices
    if joined is not None:
        if devices % joined.count:
            raise BackendError(f"a mesh of {devices} devices is not divisible by {joined.count} processes")
        share = devices // joined.count
    _virtual(jax, share)
    if joined is not None and not jax.distributed.is_initialized():
        try:
            jax.distributed.initialize(joined.coordinator, joined.count, joined.index, initialization_timeout=_WAIT)
        except Exception as error:
            # Each layer below raises its own kind.
            raise BackendError(
                f"process {joined.index} of {joined.count} cannot join at {joined.coordinator}: {error}"
            ) from error
    return jax


def _virtual(jax: Any, count: int) -> None:
    on_cpu = (jax.config.jax_platforms or "").split(",")[0] == "cpu" or not has_accelerator()
    if count == 1 or not on_cpu or _FLAG in os.environ.get("XLA_FLAGS", ""):
        return
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:
        # JAX is started; whether it has enough devices, `check` tells.
        return


def check(jax: Any, mesh: Mapping[str, int], devices: int) -> None:
    """Raises `BackendError` if JAX shows fewer devices than the mesh has."""
    found = len(jax.devices())
    if found >= devices:
        return
    said = ", ".join(f"{name}={size}" for name, size in mesh.items())
    platform = jax.default_backend()
    message = f"the mesh {said} needs {devices} devices; JAX was started with {found} ({platform})"
    if platform == "cpu":
        share = devices // jax.process_count()
        message += (
            f"; set XLA_FLAGS={_FLAG}={share} before JAX starts, or compile for another --mesh (none: one device)"
        )
    else:
        message += "; compile for another --mesh (none: one device)"
    raise BackendError(message)
