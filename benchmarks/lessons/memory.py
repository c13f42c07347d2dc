"""The adding problem over 100 steps: an LSTM learns it, a plain RNN does not."""

from __future__ import annotations

import numpy as np

import netwright as nw
from netwright.driver.plot import Points, line_chart

from .measured import FOLDER, Arrays, Measured

STEPS, EXAMPLES, UNSEEN = 100, 10_000, 1000


def adding(count: int, steps: int, seed: int) -> Arrays:
    """Numbers from 0 to 1, two of which are marked, one in each half; the target is the sum of the two."""
    rng = np.random.default_rng(seed)
    numbers = rng.random((count, steps), np.float32)
    marks = np.zeros_like(numbers)
    every = np.arange(count)
    marks[every, rng.integers(0, steps // 2, count)] = 1
    marks[every, rng.integers(steps // 2, steps, count)] = 1
    return {"x": np.stack([numbers, marks], -1), "target": (numbers * marks).sum(axis=1, keepdims=True)}


def data() -> dict[str, Arrays]:
    """Sequences to learn from, and others."""
    return {"adding": adding(EXAMPLES, STEPS, seed=0), "unseen": adding(UNSEEN, STEPS, seed=1)}


def measure(small: bool = False) -> Measured:
    """Train both on the same sequences in the same order; the error on others, beside that of the mean."""
    target = "numpy" if small else "jax"
    learned, unseen = (adding(1000, 8, 0), adding(200, 8, 1)) if small else data().values()
    numbers = {"mean": float(unseen["target"].var())}
    rows = [["always the mean", "0", f"{numbers['mean']:.4f}"]]
    lines: dict[str, Points] = {}
    for name in ("rnn", "lstm"):
        model = nw.load(FOLDER / "memory.yaml").variant(name)
        trained = nw.train(model, learned, target, epochs=10 if small else None)
        answers = nw.compile(model, weights=trained.weights)(x=unseen["x"])["y"]
        numbers[name] = float(((answers - unseen["target"]) ** 2).mean())
        count = sum(array.size for array in trained.weights.values())
        rows.append([name.upper(), f"{count:,}", f"{numbers[name]:.4f}"])
        lines[name.upper()] = [(epoch["epoch"], epoch["loss"]) for epoch in trained.epochs]
    chart = line_chart(lines, f"The adding problem, {STEPS} steps", "epoch", "squared error", log=True)
    return Measured(
        numbers, ["network", "parameters", "squared error on unseen sequences"], rows, {"memory.svg": chart}
    )
