"""A peer in torch on a device, as a contender: eager or compiled, in a CUDA graph either way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from netwright.driver.contenders.job import Job

from . import build, flat
from .on_device import OnDevice, Run, captured, finished, given, plain


def make(job: Job) -> Run:
    """Runs the peer ``job.subject``.

    ``job.args``: ``args`` of its constructor, ``weights`` (a file), ``device``, ``dtype``, and ``mode``, which is
    "eager" or one of `torch.compile` ("max-autotune" brings CUDA graphs of its own).
    """
    plain(job)
    device, mode = job.args["device"], job.args["mode"]
    net = build(job.subject, job.args["args"], Path(job.args["weights"]))
    net = net.to(device, getattr(torch, job.args["dtype"]))
    inputs = given(job, job.args["dtype"])
    if any(each.dim() == 4 for each in inputs):
        # The layout that torch recommends for convolutions on tensor cores.
        net = net.to(memory_format=torch.channels_last)
    called = net if mode == "eager" else torch.compile(net, mode=mode, dynamic=False)

    def forward(tensors: list[Tensor]) -> Any:
        return called(*tensors)

    with torch.inference_mode():
        replay = captured(forward, inputs) if mode == "eager" and device != "cpu" else lambda: forward(inputs)

    def run() -> OnDevice:
        with torch.inference_mode():
            found = flat(replay())
            finished(device)
        return OnDevice({f"y{place}": tensor for place, tensor in enumerate(found)})

    return run
