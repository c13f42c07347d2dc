"""What the processor at hand computes and moves per second: measured once with NumPy, and kept in the user's cache.

Measured is what the numpy target lives by: matrix products through its BLAS, elementwise work on what lies in a cache,
copies of what does not, on all cores that this process may use, and what one call into NumPy costs. The best of several
runs counts: a busy machine is slower, never faster.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..backends.bundle import cache_folder
from ..compiler.devices import CPU, Device
from .memory import physical_memory
from .processes import cores

FILE = "cpu.json"
_LARGEST = 4096
"""Bytes of the file: none of ours comes near."""
_SIDE = 1536
"""Rows of the matrices that are multiplied."""
_ELEMENTS = 2**15
"""Elements of a vector that stays in a cache."""
_COPIED = 2**25
"""Bytes that a core copies, more than a cache holds."""
_TIMES = 64
"""How often a vector is worked on in one go."""
_SECONDS = 0.25
"""How long each measurement lasts at least."""

Report = Callable[[str], object]
Rate = Annotated[float, Field(gt=0, le=1e18)]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Rates(_Record):
    """Operations per second by dtype."""

    float32: Rate
    float64: Rate


class Measurement(_Record):
    """A file of the cache. ``machine`` says what was measured: another processor or NumPy is measured anew."""

    format: Literal[1] = 1
    machine: dict[str, str | int]
    matrix: Rates
    vector: Rates
    bandwidth: Rate
    overhead: Annotated[float, Field(gt=0, le=1)]


def cpu(report: Report = lambda message: None, folder: Path | None = None) -> Device:
    """This machine's processor. Measures it (about two seconds, told to ``report``) if the cache has nothing usable.

    ``folder`` is that of the cache, by default the user's. A cache that cannot be written is no error.
    """
    place = folder or _folder()
    found = _read(place / FILE) if place is not None else None
    if found is None:
        found = measure(report)
        if place is not None:
            _write(place, found)
    title = f"{found.machine['processor']}, {found.machine['cores']} cores"
    memory = float(physical_memory() or 0)
    matrix, vector = found.matrix.model_dump(), found.vector.model_dump()
    return Device(CPU, title, "cpu", matrix, vector, found.bandwidth, memory, found.overhead)


def machine() -> dict[str, str | int]:
    """What decides about speed, as far as the system tells."""
    return {
        "processor": _processor(),
        "machine": platform.machine(),
        "cores": cores(),
        "numpy": np.__version__,
        "blas": os.environ.get("OPENBLAS_CORETYPE", "") + "/" + os.environ.get("OPENBLAS_NUM_THREADS", ""),
    }


def measure(report: Report = lambda message: None) -> Measurement:
    """Measure now."""
    matrix, vector = {}, {}
    for dtype in ("float32", "float64"):
        report(f"measuring this processor: products of {dtype}")
        left = np.full((_SIDE, _SIDE), 0.5, dtype)
        result = np.empty_like(left)
        matrix[dtype] = 2 * _SIDE**3 / _best(partial(np.matmul, left, left, out=result))
    with ThreadPoolExecutor(cores()) as pool:
        for dtype in ("float32", "float64"):
            report(f"measuring this processor: vectors of {dtype}")
            vectors = [np.full(_ELEMENTS, 0.5, dtype) for _ in range(cores())]
            vector[dtype] = cores() * _ELEMENTS * _TIMES / _best(partial(_each, pool, _multiply, vectors))
        report("measuring this processor: memory")
        blocks = [(np.ones(_COPIED, np.uint8), np.ones(_COPIED, np.uint8)) for _ in range(cores())]
        bandwidth = 2 * cores() * _COPIED / _best(partial(_each, pool, _copy, blocks))
    overhead = _best(partial(_multiply, np.ones(4, np.float32))) / _TIMES
    return Measurement(
        machine=machine(), matrix=Rates(**matrix), vector=Rates(**vector), bandwidth=bandwidth, overhead=overhead
    )


def _each(pool: ThreadPoolExecutor, work: Callable[[Any], None], given: list[Any]) -> None:
    list(pool.map(work, given))


def _multiply(vector: np.ndarray) -> None:
    for _ in range(_TIMES):
        np.multiply(vector, 1.0, out=vector)


def _copy(block: tuple[np.ndarray, np.ndarray]) -> None:
    np.copyto(*block)


def _best(work: Callable[[], object]) -> float:
    """The least seconds of a run, after one to warm up."""
    work()
    least, end = float("inf"), time.perf_counter() + _SECONDS
    while True:
        start = time.perf_counter()
        work()
        now = time.perf_counter()
        least = min(least, max(now - start, 1e-9))
        if now > end:
            return least


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            found = re.search(r"^model name\s*:\s*(.+)$", file.read(2**16), re.MULTILINE)
    except OSError:
        found = None
    return (found[1].strip() if found else platform.processor() or platform.machine())[:200]


def _folder() -> Path | None:
    try:
        return cache_folder()
    except RuntimeError:
        return None


def _read(path: Path) -> Measurement | None:
    """What the file says of this machine; None if it is missing, damaged, or of another."""
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
        found = Measurement.model_validate_json(text) if len(text) <= _LARGEST else None
    except (OSError, ValidationError):
        return None
    return found if found is not None and found.machine == machine() else None


def _write(folder: Path, found: Measurement) -> None:
    """Aside, then renamed: another process sees all of it or nothing."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(prefix=f".{FILE}.", dir=folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(found.model_dump_json(indent=1) + "\n")
            os.replace(aside, folder / FILE)
        except OSError:
            os.unlink(aside)
