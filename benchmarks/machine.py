"""On what a measurement was made."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from netwright.driver.processes import cores
from netwright.version import VERSION

PACKAGES = ("numpy", "onnx", "onnxruntime", "jax", "torch", "onnxscript", "transformers", "pydantic")


def facts() -> dict[str, str]:
    """What a reader must know to judge numbers, as lines of text."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "processor": f"{processor()}, {cores()} cores",
        "matrix kernels of NumPy": matrix_kernels(),
        "memory": memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "netwright": f"{VERSION}, {source()}",
        **{name: version(name) for name in PACKAGES},
        "load at start": load,
    }


def name() -> str:
    """The machine in a few characters that suit a file name."""
    plain = re.sub(r"\((R|TM)\)|\b(CPU|Processor)\b|@.*", " ", processor(), flags=re.IGNORECASE)
    return "-".join([*re.findall(r"[a-z0-9]+", plain.lower())[:4], f"{cores()}-cores"])


def processor() -> str:
    """The model of the processor, as far as the system tells."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def memory() -> str:
    """Physical memory."""
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (AttributeError, OSError, ValueError):
        return "unknown"


def matrix_kernels() -> str:
    """For which processor NumPy's OpenBLAS chose its kernels: the wrong choice halves the speed of its products."""
    for library in sorted(Path(np.__file__).parent.with_name("numpy.libs").glob("libscipy_openblas*")):
        try:
            corename = ctypes.CDLL(str(library)).scipy_openblas_get_corename64_
        except (OSError, AttributeError):
            continue
        corename.restype = ctypes.c_char_p
        return f"OpenBLAS, {corename().decode()}"
    return "unknown"


def version(package: str) -> str:
    """The installed version of a package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def python(code: str) -> str | None:
    """What a program prints in a process of its own; None if it fails."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def source() -> str:
    """The commit that was measured, and whether anything but results differs from it."""
    here = Path(__file__).parent
    try:
        commit = _git(here, "rev-parse", "--short", "HEAD")
        changed = _git(here, "status", "--porcelain", "--", ":/", ":(exclude,top)benchmarks/results")
    except (OSError, subprocess.CalledProcessError):
        return "unknown commit"
    return f"commit {commit} with changes" if changed else f"commit {commit}"


def _git(folder: Path, *command: str) -> str:
    return subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
