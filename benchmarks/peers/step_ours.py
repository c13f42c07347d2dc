"""A compiled training step of ours, as a contender: it goes on from step to step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from netwright.backends.executable import Executable
from netwright.driver.contenders.job import Job


def make(job: Job) -> Callable[[], Mapping[str, np.ndarray]]:
    """Steps of the bundle ``job.subject`` from the weights in ``job.args``; gives the losses of the first two."""
    net = Executable(Path(job.subject))
    net.set_states(load_file(job.args["weights"]))
    inputs = {**job.inputs(), "learning_rate": np.float32(job.args["rate"])}
    losses: list[np.ndarray] = []

    def run() -> Mapping[str, np.ndarray]:
        loss = net.run(job.entry, **inputs)["loss"]
        if len(losses) < 2:
            losses.append(loss)
        return {"losses": np.asarray(losses)}

    return run
