"""What the jax target takes: ops, dtypes, devices, settings. Nothing here imports jax."""

from __future__ import annotations

import difflib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from ...compiler.ir import Node
from ..api import BackendError, Options
from .lower import LOWERINGS
from .tpu.topology import PREFIX, Topology, parse

PLATFORMS = ("cpu", "cuda", "tpu")
"""What StableHLO is exported for, unless a device is named."""

_SETTINGS = {"stablehlo": bool}


_OLDEST = (0, 8)
"""The first JAX whose 64-bit mode is a context of its own."""


def unavailable() -> str | None:
    """None if a JAX that is new enough is installed, else what to install."""
    if find_spec("jax") is None or find_spec("jaxlib") is None:
        return "the jax target needs JAX: pip install 'netwright[jax]'"
    found = version("jax")
    if tuple(int(part) for part in found.split(".")[:2]) < _OLDEST:
        return f"the jax target needs JAX {_OLDEST[0]}.{_OLDEST[1]} or newer, not {found}: pip install 'netwright[jax]'"
    return None


def claims(node: Node) -> str | None:
    """None if the emitter writes the op as it is, else why not."""
    if type(node.op) in LOWERINGS:
        return None
    return f"JAX has no form of {node.op.name} of its own"


def topology(options: Options) -> Topology | None:
    """The TPU topology to compile executables for; None for another device. Raises `BackendError`."""
    if options.device is None or not options.device.startswith(PREFIX):
        return None
    return parse(options.device)


def platforms(options: Options) -> tuple[str, ...]:
    """The platforms to export StableHLO for. Raises `BackendError` for an unknown device."""
    if options.device is None:
        return PLATFORMS
    if options.device not in PLATFORMS:
        known = f"{', '.join(PLATFORMS)} and topologies such as {PREFIX}v5e:2x2"
        raise BackendError(f"the jax target knows the devices {known}, not {options.device[:80]!r}")
    return (options.device,)


def wants_stablehlo(options: Options) -> bool:
    """Whether to export StableHLO: the setting ``stablehlo``, on by default; never for a TPU topology.

    Raises `BackendError` for other settings.
    """
    for key, value in options.settings.items():
        if key not in _SETTINGS:
            near = difflib.get_close_matches(key, _SETTINGS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BackendError(f"the jax target has no setting {key!r}{hint} (it has {', '.join(_SETTINGS)})")
        if not isinstance(value, _SETTINGS[key]):
            raise BackendError(f"the setting {key!r} is true or false, not {value!r}")
    return bool(options.settings.get("stablehlo", True)) and topology(options) is None


def has_accelerator() -> bool:
    """Whether this machine shows a device node of a GPU or a TPU."""
    return any(any(Path("/dev").glob(pattern)) for pattern in ("nvidia[0-9]*", "kfd", "accel*", "vfio/[0-9]*"))
