"""A peer in torch's eager mode, as a contender (see `netwright.driver.contenders`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from netwright.driver.contenders.job import Job

from . import build, flat


def make(job: Job) -> Callable[[], Mapping[str, np.ndarray]]:
    """Runs the peer ``job.subject``; ``job.args`` are ``args`` of its constructor and ``weights``, a file."""
    torch.set_num_threads(job.threads)
    net = build(job.subject, job.args["args"], Path(job.args["weights"]))
    inputs = [torch.from_numpy(array) for array in job.inputs().values()]

    def run() -> Mapping[str, np.ndarray]:
        with torch.inference_mode():
            return {f"y{place}": tensor.numpy() for place, tensor in enumerate(flat(net(*inputs)))}

    return run
