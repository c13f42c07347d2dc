"""Optimizers run down one valley: slope and height of a straight line."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import netwright as nw
from netwright.driver.plot import Points, line_chart, panels
from netwright.driver.training import Progress

from .measured import Arrays, Measured, spec

NEAR = 1e-3
"""The loss at which an optimizer has arrived."""
RACERS = {
    "SGD": ("{kind: sgd}", 0.2),
    "momentum": ("{kind: sgd, momentum: 0.9}", 0.05),
    "Nesterov": ("{kind: sgd, momentum: 0.9, nesterov: true}", 0.05),
    "Adagrad": ("{kind: adagrad}", 0.5),
    "Adadelta": ("{kind: adadelta, eps: 1.0e-4}", 1.0),
    "RMSProp": ("{kind: rmsprop}", 0.05),
    "Adam": ("{kind: adam}", 0.1),
    "Nadam": ("{kind: nadam}", 0.1),
}


def data() -> dict[str, Arrays]:
    """Points of the line y = x + 0.5."""
    x = np.linspace(0, 2, 20, dtype=np.float32)
    return {"line": {"x": x, "target": x + np.float32(0.5)}}


def measure(small: bool = False) -> Measured:
    """The way of each, and after how many steps its loss stays below `NEAR`."""
    examples = data()["line"]
    numbers: dict[str, float] = {}
    rows = []
    paths: dict[str, Points] = {}
    losses: dict[str, Points] = {}
    for name, (optimizer, rate) in RACERS.items():
        path = [(-1.5, -0.5)]

        def tell(progress: Progress, path: list[tuple[float, float]] = path) -> None:
            weights = progress.weights()
            path.append((float(weights["slope"]), float(weights["height"])))

        with tempfile.TemporaryDirectory() as folder:
            file = spec("valley", Path(folder), optimizer=optimizer, rate=f"{rate:g}")
            trained = nw.train(file, examples, epochs=50 if small else None, tell=tell)
        loss = [float(epoch["loss"]) for epoch in trained.epochs]
        far = [step for step, value in enumerate(loss) if value >= NEAR]
        arrived = None if far[-1:] == [len(loss) - 1] else len(far) and far[-1] + 1
        numbers[name] = math.inf if arrived is None else arrived
        rows.append([name, f"`{optimizer}`", f"{rate:g}", "not yet" if arrived is None else str(arrived)])
        rows[-1].append(f"{loss[-1]:.1e}")
        paths[name], losses[name] = path, list(enumerate(loss))
    where = line_chart({**_contours(examples), **paths}, "The ways", "slope", "height", thin=list(_contours(examples)))
    how = line_chart(losses, "The loss at each step", "step", "squared error", log=True)
    head = ["optimizer", "as written", "rate", f"steps to {NEAR:g}", "last loss"]
    return Measured(numbers, head, rows, {"valley.svg": panels([where, how], 2)})


def _contours(examples: Arrays, levels: Sequence[float] = (0.03, 0.3, 1, 2, 4, 6.5, 10)) -> dict[str, Points]:
    """Where the loss is the same: ellipses around the bottom, from the second derivatives."""
    x = examples["x"].astype(np.float64)
    second = 2 * np.array([[np.mean(x * x), np.mean(x)], [np.mean(x), 1]])
    values, vectors = np.linalg.eigh(second)
    around = np.linspace(0, 2 * np.pi, 121)
    circle = np.stack([np.cos(around), np.sin(around)])
    out: dict[str, Points] = {}
    for level in levels:
        ellipse = vectors @ (np.sqrt(2 * level / values)[:, None] * circle) + np.array([[1.0], [0.5]])
        inside = (ellipse[0] > -2) & (ellipse[0] < 2.5) & (ellipse[1] > -1.5) & (ellipse[1] < 3)
        ends = np.flatnonzero(np.diff(inside)) + 1
        for number, piece in enumerate(np.split(np.arange(len(around)), ends)):
            if inside[piece[0]]:
                out[f"level {level:g}, {number}"] = ellipse[:, piece].T.tolist()
    return out
