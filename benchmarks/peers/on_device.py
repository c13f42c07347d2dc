"""Contenders whose inputs and outputs stay on a device (see `netwright.driver.contenders`).

A run ends when the device has done its work; outputs come to the host only where they are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netwright.driver.contenders.job import Job

Run = Callable[[], Mapping[str, np.ndarray]]


class OnDevice(Mapping[str, np.ndarray]):
    """Outputs by name; each is fetched, as float32 where it is a float, when it is asked for."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> np.ndarray:
        tensor = self._tensors[name].detach()
        return np.array((tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy())

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def given(job: Job, dtype: str) -> list[Tensor]:
    """The inputs of a job on its device, floats in ``dtype``."""
    device = job.args["device"]
    tensors = [torch.from_numpy(array).to(device) for array in job.inputs().values()]
    return [each.to(getattr(torch, dtype)) if each.is_floating_point() else each for each in tensors]


def finished(device: str) -> None:
    """Wait until the device has nothing left to do."""
    if device != "cpu":
        torch.cuda.synchronize()


def plain(job: Job) -> None:
    """The same rules for all: full precision in float32, threads as many as are allowed."""
    torch.set_num_threads(job.threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True


def captured(run: Callable[[list[Tensor]], Any], inputs: list[Tensor]) -> Callable[[], Any]:
    """``run(inputs)`` as a CUDA graph: inputs are copied in, then one launch. As torch's documentation does it."""
    held = [each.clone() for each in inputs]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run(held)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = run(held)

    def replay() -> Any:
        for own, new in zip(held, inputs, strict=True):
            own.copy_(new)
        graph.replay()
        return result

    return replay
