"""The process of one contender.

Says ``{"ready": true}`` or ``{"problem": ...}`` on standard output, then answers one line of JSON for each line on
standard input: ``turn SECONDS`` runs for about that long, once at least, and gives ``{"times": [...]}``;
``save PATH`` runs once and writes the outputs as ``.npz``. It ends with its input.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ..files import write_npz
from .job import KINDS, Job

Run = Callable[[], Mapping[str, np.ndarray]]
MOST_RUNS = 10_000


def main() -> None:
    """Serve until standard input ends."""
    kind, path = sys.argv[1:]
    # What libraries print must not end up between our answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    job = Job.read(Path(path))
    _share_cores(job.threads)
    try:
        run: Run = import_module(KINDS.get(kind, kind), __package__).make(job)
        run()
    except Exception as error:
        _answer(answers, {"problem": f"{type(error).__name__}: {error}"})
        return
    _answer(answers, {"ready": True})
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "turn":
            _answer(answers, {"times": _turn(run, float(argument))})
        elif command == "save":
            write_npz(Path(argument), run())
            _answer(answers, {"saved": argument})


def _turn(run: Run, seconds: float) -> list[float]:
    times: list[float] = []
    total = 0.0
    while not times or (total < seconds and len(times) < MOST_RUNS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
        total += times[-1]
    return times


def _share_cores(threads: int) -> None:
    """Every contender gets the same cores, as many as it may have threads, where the system lets us say so."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))[:threads]
        os.sched_setaffinity(0, cores)


def _answer(answers: TextIO, data: Mapping[str, Any]) -> None:
    answers.write(json.dumps(data) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
