"""Contenders from the side of who gives the turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from .contenders.job import Job
from .files import write_npz

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NETWRIGHT_THREADS",
)


class ContenderError(Exception):
    """A contender could not start, or died."""


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Contender:
    """One process. A context: it ends with the block."""

    def __init__(
        self,
        kind: str,
        subject: str,
        folder: Path,
        inputs: Mapping[str, np.ndarray],
        entry: str = "main",
        threads: int | None = None,
        args: Mapping[str, Any] | None = None,
    ) -> None:
        """Start a process; ``folder`` is where its job may be written. It is ready after `ready`."""
        threads = threads or cores()
        arrays, job = folder / f"{kind}.npz", folder / f"{kind}.json"
        write_npz(arrays, inputs)
        Job(subject, entry, str(arrays), threads, dict(args or {})).write(job)
        self._log = open(folder / f"{kind}.log", "w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.contenders", kind, str(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))},
        )

    def __enter__(self) -> Contender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def ready(self) -> None:
        """Wait until it has run once. Raises ContenderError."""
        self._answer()

    def turn(self, seconds: float) -> list[float]:
        """Let it run for about so long; the seconds of each run. Raises ContenderError."""
        return [float(time) for time in self._ask(f"turn {seconds}")["times"]]

    def outputs(self, path: Path) -> dict[str, np.ndarray]:
        """Let it run once, write the outputs to ``path`` and read them. Raises ContenderError."""
        self._ask(f"save {path}")
        with np.load(path, allow_pickle=False) as loaded:
            return {name: loaded[name] for name in loaded.files}

    def _ask(self, line: str) -> dict[str, Any]:
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError:
            raise ContenderError(self._last_words()) from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ContenderError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "problem" in answer:
            raise ContenderError(str(answer["problem"]))
        return answer

    def _last_words(self) -> str:
        """What a process that is gone wrote at last."""
        self._process.wait()
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().splitlines() if line.strip()]
        return lines[-1] if lines else f"the process ended with code {self._process.returncode}"
