"""A bundle of ours for Triton on a device, as a contender: tensors in, tensors out."""

from __future__ import annotations

from pathlib import Path

import torch

from netwright.backends.executable import Executable
from netwright.driver.contenders.job import Job

from .on_device import OnDevice, Run, finished, given, plain


def make(job: Job) -> Run:
    """Runs ``job.entry`` of the bundle ``job.subject``. ``job.args`` are ``device`` and ``dtype``."""
    plain(job)
    net = Executable(Path(job.subject))
    names = [field.name for field in net.signature.entries[job.entry].inputs]
    inputs = dict(zip(names, given(job, job.args["dtype"]), strict=True))

    def run() -> OnDevice:
        with torch.inference_mode():
            found = net.run(job.entry, **inputs)
            finished(job.args["device"])
        return OnDevice(found)

    # The first run tunes, the second captures.
    run()
    return run
