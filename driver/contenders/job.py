"""What a contender is told: a file of JSON beside a file of arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

KINDS = {"bundle": ".bundle", "onnxruntime": ".onnx_file", "torch": ".torch_peer"}
"""The module of each kind of contender; any other kind is the full name of one.

It has ``make(job) -> callable`` which runs once and returns its outputs.
"""


@dataclass(frozen=True, slots=True)
class Job:
    """``subject`` is a folder, a file or a name, by kind. ``arrays`` are the inputs of the entry, in order.

    ``threads`` bounds the threads; ``args`` are what else the kind wants to know.
    """

    subject: str
    entry: str
    arrays: str
    threads: int
    args: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write to a file."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read from a file that `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def inputs(self) -> Mapping[str, np.ndarray]:
        """The arrays by name."""
        with np.load(self.arrays, allow_pickle=False) as loaded:
            return {name: loaded[name] for name in loaded.files}
