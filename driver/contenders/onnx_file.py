"""An exported ONNX file in onnxruntime as it is installed, without anything of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnxruntime

from .job import Job


def make(job: Job) -> Callable[[], Mapping[str, np.ndarray]]:
    """Runs the model file ``job.subject`` on the CPU. Inputs go in by position."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(job.subject, options, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]
    feeds = dict(zip(names, job.inputs().values(), strict=True))
    outputs = [port.name for port in session.get_outputs()]

    def run() -> Mapping[str, np.ndarray]:
        return dict(zip(outputs, session.run(outputs, feeds), strict=True))

    return run
