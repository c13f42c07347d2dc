"""Which config of a kernel is the fastest on this device: measured once, then remembered.

Candidates take turns (a device grows warm, and other work comes and goes), medians are compared, and what is clearly
slower leaves after the first rounds. The clock is given from outside.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..api import BackendError
from . import facts
from .kernel import Kernel
from .toolchain import Gpu
from .tuning_cache import Answer, Cache, Candidate, Question, size_class

SWITCH = "NETWRIGHT_TUNE"
"""``0`` in the environment: nothing is measured; what a cache knows is still used, else the first config that runs."""

FIRST_ROUNDS = 3
LAST_ROUNDS = 12
HOPELESS = 1.25
"""Slower than the best by this factor after the first rounds: no further turns."""

_CLEARED = 256 * 2**20
"""Bytes: more than the cache of any device, and longer to clear than a launch takes the host."""

Report = Callable[[str, int, int], None]
"""Told what is being tuned, and how many turns of how many are over."""


_BAR = 24
"""Characters of a bar."""


def on_terminal() -> Report | None:
    """A bar on the error output, for whoever gave no report; None if that is no terminal."""
    return _draw if sys.stderr.isatty() else None


def _draw(what: str, done: int, total: int) -> None:
    full = _BAR * done // max(total, 1)
    shown = "" if done == total else f"{what} {'#' * full}{'.' * (_BAR - full)} {done}/{total}"
    sys.stderr.write(f"\r{shown}\x1b[K")
    sys.stderr.flush()


class Clock(Protocol):
    """Runs a launch and says how many seconds the device took for it."""

    def __call__(self, launch: Callable[[], None]) -> float: ...


def enabled() -> bool:
    """Whether kernels may be measured."""
    return os.environ.get(SWITCH, "1") != "0"


def question(
    kernel: Kernel,
    source: str,
    sizes: Mapping[str, int],
    special: Mapping[str, bool | int],
    gpu: Gpu,
    triton_version: str,
) -> Question:
    """What is asked of the cache for a launch.

    ``source`` is the text of the kernel and of what it calls, with no name that another module could give it;
    ``sizes`` the integers that it gets, by name, and the grid's extents; ``special`` the constants that the launcher
    sets.
    """
    return Question(
        source=hashlib.sha256(source.encode()).hexdigest(),
        arguments=facts.signature(kernel),
        constants=dict(special),
        sizes={name: size_class(size) for name, size in sizes.items()},
        candidates=tuple(
            Candidate(constants=dict(config.constants), warps=config.warps, stages=config.stages)
            for config in kernel.configs
        ),
        triton=triton_version,
        device=gpu.product,
        capability=gpu.capability,
    )


@dataclass(slots=True)
class Tuner:
    """Answers for one device. Thread-safe.

    ``refusals`` are the exceptions by which a device says that it cannot run a config (too much shared memory, too
    many registers); any other is a fault and goes on to the caller.
    """

    clock: Clock
    cache: Cache
    refusals: tuple[type[BaseException], ...] = ()
    report: Report | None = None
    measuring: bool = True
    _known: dict[str, int] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def choose(
        self,
        asked: Question,
        launch: Callable[[int], None],
        save: Callable[[], Callable[[], None]] | None = None,
        what: str = "kernel",
    ) -> int:
        """The place of the best config.

        ``launch(n)`` runs config n. For a kernel that reads what it writes, ``save`` is called before the first of
        such launches, and what it gives after the last: it puts back what stood there. Raises `BackendError` if the
        device can run none.
        """
        with self._lock:
            key = asked.key
            if key in self._known:
                return self._known[key]
            answer = self.cache.get(asked)
            if answer is None:
                restore = save() if save is not None else None
                try:
                    answer = self._measured(asked, launch, what) if self._worth(asked) else self._first(asked, launch)
                finally:
                    if restore is not None:
                        restore()
                if self._worth(asked):
                    self.cache.put(answer)
            self._known[key] = answer.choice
            return answer.choice

    def _worth(self, asked: Question) -> bool:
        return self.measuring and len(asked.candidates) > 1

    def _first(self, asked: Question, launch: Callable[[int], None]) -> Answer:
        """The first config that the device can run."""
        reason = ""
        for place in range(len(asked.candidates)):
            try:
                launch(place)
            except self.refusals as error:
                reason = str(error)
                continue
            seconds = tuple(0.0 if each == place else None for each in range(len(asked.candidates)))
            return Answer(question=asked, choice=place, seconds=seconds)
        raise BackendError(f"{asked.device} can run no config of a kernel: {reason}")

    def _measured(self, asked: Question, launch: Callable[[int], None], what: str) -> Answer:
        runs = _Runs(asked, launch, self.clock, self.refusals)
        total = FIRST_ROUNDS * len(asked.candidates)
        turns = 0
        for rounds in (FIRST_ROUNDS, LAST_ROUNDS):
            racing = runs.racing()
            if rounds == LAST_ROUNDS:
                if len(racing) == 1:
                    break
                total = turns + rounds * len(racing)
            for number in range(rounds):
                for place in _rotated(racing, number):
                    runs.turn(place)
                    turns += 1
                    if self.report is not None:
                        self.report(what, turns, total)
        if not runs.racing():
            raise BackendError(f"{asked.device} can run no config of {what}: {runs.reason}")
        medians = runs.medians()
        timed = {place: seconds for place, seconds in enumerate(medians) if seconds is not None}
        return Answer(question=asked, choice=min(timed, key=lambda place: (timed[place], place)), seconds=medians)


class _Runs:
    """The turns of the candidates of one question."""

    def __init__(
        self, asked: Question, launch: Callable[[int], None], clock: Clock, refusals: tuple[type[BaseException], ...]
    ) -> None:
        self.launch, self.clock, self.refusals = launch, clock, refusals
        self.times: dict[int, list[float]] = {place: [] for place in range(len(asked.candidates))}
        self.refused: set[int] = set()
        self.reason = ""

    def turn(self, place: int) -> None:
        """Measure a candidate once; the first time it runs before, which compiles it."""
        if place in self.refused:
            return
        try:
            if not self.times[place]:
                self.launch(place)
            self.times[place].append(self.clock(lambda: self.launch(place)))
        except self.refusals as error:
            self.refused.add(place)
            self.reason = str(error)

    def medians(self) -> tuple[float | None, ...]:
        return tuple(
            statistics.median(times) if times and place not in self.refused else None
            for place, times in self.times.items()
        )

    def racing(self) -> list[int]:
        """Those that may still be the fastest."""
        medians = self.medians()
        timed = [seconds for seconds in medians if seconds is not None]
        if not timed:
            return [place for place in self.times if place not in self.refused]
        limit = min(timed) * HOPELESS
        return [place for place, seconds in enumerate(medians) if seconds is not None and seconds <= limit]


def _rotated(places: Sequence[int], number: int) -> list[int]:
    """Each round begins with another one."""
    start = number % len(places) if places else 0
    return [*places[start:], *places[:start]]


class CudaClock:
    """Times launches by events of the stream that they go to.

    Before each a buffer larger than the device's cache is cleared: data come from memory as in a long program, and the
    launch is queued before the device gets to it, so that the time of the host does not count.
    """

    def __init__(self, torch: Any, gpu: Gpu) -> None:
        self._torch, self._gpu = torch, gpu
        self._buffer: Any = None

    def __call__(self, launch: Callable[[], None]) -> float:
        cuda = self._torch.cuda
        if self._buffer is None:
            size = min(_CLEARED, self._gpu.memory // 16)
            self._buffer = self._torch.empty(size, dtype=self._torch.int8, device=self._gpu.torch_name)
        start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
        self._buffer.zero_()
        start.record()
        launch()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) * 1e-3

    def release(self) -> None:
        """Give the buffer's memory back."""
        self._buffer = None
