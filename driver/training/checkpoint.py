"""Where a training run stands, in one file: weights, the optimizer's memory, and the position.

One safetensors file, written aside and renamed, so that a kill at any moment leaves the last whole one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from ...backends.bundle import write_safetensors
from ...spec.weights.errors import WeightsError
from ...spec.weights.safetensors_file import SafetensorsFile
from ..files import write_file

POSITION = "position"
"""The tensor that holds the position, as the bytes of a JSON text: a safetensors file with one header and no other."""
STATE, BEST = "state/", "best/"


class CheckpointError(Exception):
    """A checkpoint that cannot be gone on from. One clear message."""


@dataclass(slots=True)
class Position:
    """How far a run has come: ``epoch`` epochs are done, and ``batch`` batches of the next one.

    ``run`` identifies what was asked for: a run is gone on with only as the same one. ``sums`` are those of the
    training measures of the epoch so far, each over the examples that it has ``seen``; ``turn`` counts the steps of all
    players.
    """

    run: str
    epoch: int = 0
    batch: int = 0
    turn: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    best: float | None = None
    best_epoch: int = 0
    finished: bool = False


def save(path: Path, position: Position, states: Mapping[str, np.ndarray], best: Mapping[str, np.ndarray]) -> None:
    """Write a checkpoint. Raises OutputError."""
    text = json.dumps(asdict(position), sort_keys=True).encode()
    tensors = {POSITION: np.frombuffer(text, np.uint8)}
    tensors |= {STATE + name: array for name, array in states.items()}
    tensors |= {BEST + name: array for name, array in best.items()}
    write_file(path, lambda file: write_safetensors(file, tensors))


def read(path: Path) -> tuple[Position, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The position, the states, and the best weights so far. Raises `CheckpointError`."""
    try:
        file = SafetensorsFile(path)
        tensors = {key: file.read(key) for key in file.entries}
        position = Position(**json.loads(tensors.pop(POSITION).tobytes()))
    except (WeightsError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is no checkpoint of a training run: {error}") from error
    states = {key.removeprefix(STATE): array for key, array in tensors.items() if key.startswith(STATE)}
    best = {key.removeprefix(BEST): array for key, array in tensors.items() if key.startswith(BEST)}
    return position, states, best
