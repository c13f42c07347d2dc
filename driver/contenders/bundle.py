"""A compiled bundle, as a program that uses netwright runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ...backends.executable import Executable
from .job import Job


def make(job: Job) -> Callable[[], Mapping[str, np.ndarray]]:
    """Runs ``job.entry`` of the bundle in the folder ``job.subject``, each time from the initial state."""
    net = Executable(Path(job.subject))
    inputs = job.inputs()

    def run() -> Mapping[str, np.ndarray]:
        net.reset()
        return net.run(job.entry, **inputs)

    return run
