"""torch's own ONNX export of a peer: ``python -m benchmarks.peers.export JOB MODEL``, with the job of `eager`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from netwright.driver.contenders.job import Job

from . import build


def main() -> None:
    """Export with torch's defaults: its newest exporter, the sizes of the inputs fixed."""
    job = Job.read(Path(sys.argv[1]))
    net = build(job.subject, job.args["args"], Path(job.args["weights"]))
    inputs = tuple(torch.from_numpy(array) for array in job.inputs().values())
    exported = torch.onnx.export(net, inputs, dynamo=True, verbose=False)
    assert exported is not None
    exported.save(sys.argv[2])


if __name__ == "__main__":
    main()
