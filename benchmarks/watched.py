"""A child process that is ended when it takes too much memory or too long, so that the machine goes on."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

POLL = 0.1
"""Seconds between two looks."""
LAST_RESERVE = 2**30
"""Bytes that the machine must have left: a child that takes the last ones is ended, whatever its own limit."""


class WatchedError(Exception):
    """A child was ended, or failed; the text says why in its own last words."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may take: bytes of memory of its own (mapped files do not count) and seconds."""

    memory: int
    seconds: float


def run(command: Sequence[str], limits: Limits, log: Path, environment: Mapping[str, str]) -> None:
    """Run a command to its end; ``log`` takes what it prints. Raises WatchedError. Linux only."""
    with open(log, "w", encoding="utf-8") as out:
        process = subprocess.Popen(list(command), stdout=out, stderr=subprocess.STDOUT, env=dict(environment))
        try:
            reason = _watch(process, limits)
        finally:
            process.kill()
            process.wait()
    if reason or process.returncode:
        raise WatchedError(reason or _last_words(log, process.returncode))


def _watch(process: subprocess.Popen[bytes], limits: Limits) -> str:
    """Wait for the end of a process; why it has to be ended before, or nothing."""
    end = time.monotonic() + limits.seconds
    while process.poll() is None:
        if time.monotonic() > end:
            return f"took more than {limits.seconds:.0f} s"
        if own_memory(process.pid) > limits.memory:
            return f"took more than {limits.memory / 2**30:.1f} GiB"
        if available_memory() < LAST_RESERVE:
            return "took the last memory of the machine"
        time.sleep(POLL)
    return ""


def own_memory(pid: int) -> int:
    """Bytes that a process holds besides mapped files, which the system can drop; 0 for one that is gone."""
    status = _numbers(f"/proc/{pid}/status")
    return status.get("RssAnon", 0) + status.get("RssShmem", 0)


def peak_memory() -> int:
    """The most bytes that this process ever held, with the mapped files that were in memory."""
    return _numbers("/proc/self/status").get("VmHWM", 0)


def available_memory() -> int:
    """Bytes that a new process could take without swapping."""
    return _numbers("/proc/meminfo").get("MemAvailable", LAST_RESERVE)


def _numbers(path: str) -> dict[str, int]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError:
        return {}
    return {name: int(number) * 1024 for name, number in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}


def _last_words(log: Path, code: int) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else f"ended with code {code}"
