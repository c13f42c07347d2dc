"""What is measured in each epoch: a line of JSON each, which a run that goes on continues."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files import write_file
from .checkpoint import CheckpointError


@dataclass(slots=True)
class History:
    """The epochs so far, in memory and in a file (None: nowhere)."""

    path: Path | None
    epochs: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def resumed(cls, path: Path | None, epochs: int) -> History:
        """The first ``epochs`` lines of a file: what was written after the checkpoint is done again.

        Raises `CheckpointError` for a file that holds something else.
        """
        lines = path.read_text(encoding="utf-8").splitlines() if path is not None and path.is_file() else []
        try:
            found = [json.loads(line) for line in lines[:epochs]]
        except ValueError as error:
            raise CheckpointError(f"{path} holds no measures of a training run: {error}") from error
        return cls(path, found)

    def add(self, epoch: dict[str, Any]) -> None:
        """Enter an epoch. Raises OutputError."""
        self.epochs.append(epoch)
        self.write()

    def of(self, name: str) -> Sequence[float]:
        """One measure over the epochs that have it."""
        return [float(epoch[name]) for epoch in self.epochs if isinstance(epoch.get(name), (int, float))]

    def write(self) -> None:
        """Write all lines. Raises OutputError."""
        if self.path is not None:
            lines = "".join(json.dumps(_plain(epoch)) + "\n" for epoch in self.epochs)
            write_file(self.path, lambda file: file.write(lines.encode()))


def _plain(epoch: dict[str, Any]) -> dict[str, Any]:
    """Without numbers that JSON lacks."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in epoch.items()
    }
