"""Machine code of kernels without the GPU: in processes apart, with the facts of the very launch.

The bytes depend on the kernels, the architecture and the version of Triton only: no paths, no settings of the
environment, no cache of another folder come in.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import api
from ..api import BackendError
from . import facts, toolchain
from .kernel import Kernel

FOLDER = "kernels"
"""Where the machine code stands in a bundle."""

Report = Callable[[int, int], None]
"""Told how many kernels of how many are done."""

_KEPT_VARIABLES = frozenset(
    {"TRITON_PTXAS_PATH", "TRITON_PTXAS_BLACKWELL_PATH", "TRITON_LIBDEVICE_PATH", "TRITON_HOME"}
)
"""Variables that say where tools are; all others of Triton and LLVM may change the bytes and are left out."""
_DROPPED = ("TRITON_", "LLVM_", "MLIR_", "NVPTX_", "PTXAS_", "DISABLE_", "USE_IR_LOC", "AMDGCN_")
_LEAST_SHARE = 6
"""Kernels for which another process is worth its start."""
_LOG_LINES = 3


@dataclass(frozen=True, slots=True)
class Job:
    """A kernel to compile for an architecture. ``wide`` for arrays of `kernel.LONG` elements and more."""

    kernel: Kernel
    architecture: str
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Cubin:
    """What came of a job. ``choice`` is the config that was taken: the first that the architecture can hold."""

    job: Job
    data: bytes
    choice: int
    symbol: str
    registers: int
    spill_bytes: int
    shared_bytes: int
    warps: int
    stages: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def file(self) -> str:
        """Its place in a bundle."""
        return f"{FOLDER}/{self.job.kernel.name}.{self.job.architecture}.cubin"

    def to_json(self) -> dict[str, Any]:
        """Its line in a manifest."""
        return {
            "file": self.file,
            "sha256": self.sha256,
            "symbol": self.symbol,
            "architecture": self.job.architecture,
            "registers": self.registers,
            "shared_bytes": self.shared_bytes,
            "spill_bytes": self.spill_bytes,
            "warps": self.warps,
            "stages": self.stages,
            "constants": facts.constants(self.job.kernel, self.job.kernel.configs[self.choice], wide=self.job.wide),
        }


def for_architecture(
    module: str, kernels: Sequence[Kernel], architecture: str, report: api.Report | None = None
) -> list[Cubin]:
    """Every kernel of a module for one architecture. Raises `BackendError`."""

    def tell(done: int, total: int) -> None:
        if report is not None:
            report(f"compiling kernels for {architecture}", done, total)

    return compile_kernels(module, [Job(kernel, architecture) for kernel in kernels], tell)


def compile_kernels(
    module: str, jobs: Sequence[Job], report: Report | None = None, processes: int | None = None
) -> list[Cubin]:
    """Compile the functions that ``module``, the text of an emitted and checked module, holds.

    ``processes`` at most work side by side (by default one per core, fewer for few kernels). Raises `BackendError`
    that names the kernel if Triton is missing or refuses one.
    """
    reason = toolchain.missing("triton")
    if reason is not None:
        raise BackendError(reason)
    if not jobs:
        return []
    if processes is None:
        processes = min(_cores(), -(-len(jobs) // _LEAST_SHARE))
    shares = [range(first, len(jobs), processes) for first in range(min(processes, len(jobs)))]
    done: dict[int, Cubin] = {}
    with tempfile.TemporaryDirectory(prefix="netwright-kernels-") as name:
        folder = Path(name)
        source = folder / "model.py"
        source.write_text(module, encoding="utf-8")
        workers = [_Worker(source, folder / str(place), jobs, share) for place, share in enumerate(shares)]
        try:
            _gather(workers, done, len(jobs), report)
        finally:
            for worker in workers:
                worker.close()
    return [done[number] for number in range(len(jobs))]


def _gather(workers: Sequence[_Worker], done: dict[int, Cubin], total: int, report: Report | None) -> None:
    def follow(worker: _Worker) -> None:
        for number, cubin in worker.results():
            done[number] = cubin
            if report is not None:
                report(len(done), total)

    with ThreadPoolExecutor(len(workers)) as pool:
        followers = [pool.submit(follow, worker) for worker in workers]
        try:
            for follower in followers:
                follower.result()
        except BaseException:
            # The others would compile on for nobody.
            for worker in workers:
                worker.kill()
            raise


class _Worker:
    """One process with its share of the jobs."""

    def __init__(self, source: Path, folder: Path, jobs: Sequence[Job], share: Sequence[int]) -> None:
        folder.mkdir()
        self.jobs, self.share = jobs, share
        self._log = open(folder / "log", "w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", f"{__package__}.offline_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            cwd=folder,
            env=_environment(folder),
        )
        self._request = {"module": str(source), "jobs": [_request(jobs[number]) for number in share]}

    def results(self) -> Iterator[tuple[int, Cubin]]:
        """Each job's number and what came of it, as they come. Raises `BackendError`."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            json.dump(self._request, stdin)
            stdin.close()
        except OSError:
            raise BackendError(f"the process that compiles kernels did not start: {self._last_words()}") from None
        current: Job | None = None
        finished = 0
        for line in stdout:
            answer = json.loads(line)
            if "begin" in answer:
                current = self.jobs[self.share[answer["begin"]]]
                continue
            number = self.share[answer["done"]]
            yield number, _cubin(self.jobs[number], answer)
            finished += 1
        if finished < len(self.share):
            where = "" if current is None else f" at kernel {current.kernel.name} for {current.architecture}"
            raise BackendError(f"the process that compiles kernels ended{where}: {self._last_words()}")

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None and not stream.closed:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue

    def _last_words(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().splitlines() if line.strip()]
        telling = [line for line in lines if "error" in line.lower()] or lines
        return " / ".join(telling[-_LOG_LINES:]) or f"code {code}"


def _request(job: Job) -> dict[str, Any]:
    kernel = job.kernel
    capability = int(job.architecture.removeprefix("sm_"))
    types = facts.signature(kernel)
    return {
        "kernel": kernel.name,
        "capability": capability,
        "signature": types,
        "aligned": facts.aligned(kernel),
        "shared_limit": facts.SHARED_LIMITS[capability],
        "choices": [
            {"constants": facts.constants(kernel, config, wide=job.wide), "options": facts.options(config)}
            for config in kernel.configs
        ],
    }


def _cubin(job: Job, answer: Mapping[str, Any]) -> Cubin:
    if "problem" in answer:
        raise BackendError(f"kernel {job.kernel.name} cannot be compiled for {job.architecture}: {answer['problem']}")
    numbers = {
        name: int(answer[name]) for name in ("choice", "registers", "spill_bytes", "shared_bytes", "warps", "stages")
    }
    return Cubin(job, base64.b64decode(answer["cubin"]), symbol=str(answer["symbol"]), **numbers)


def _environment(folder: Path) -> dict[str, str]:
    """The environment without what may change the bytes. The child finds the modules that this process finds."""
    kept = {
        name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES or not name.startswith(_DROPPED)
    }
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(os.path.abspath(each) for each in sys.path if each),
        "TRITON_CACHE_DIR": str(folder / "cache"),
        "TRITON_DISABLE_LINE_INFO": "1",
        "TRITON_DUMP_PTXAS_LOG": "1",
        "TRITON_STORE_BINARY_ONLY": "1",
    }


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
