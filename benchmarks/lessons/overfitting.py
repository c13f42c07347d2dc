"""Learning by heart, and three remedies: an L2 penalty, dropout, early stopping."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import netwright as nw
from netwright.driver.files import write_npz
from netwright.driver.plot import Points, line_chart, panels

from .measured import FOLDER, Arrays, Measured, spec

EXAMPLES, UNSEEN, NOISE = 80, 1000, 0.3
STOP = "{monitor: loss, patience: 30}"
VARIANTS = {"plain": "plain", "L2": "l2", "dropout": "dropout"}


def moons(count: int, seed: int) -> Arrays:
    """Two half circles that reach into each other, with noise."""
    rng = np.random.default_rng(seed)
    which = rng.integers(0, 2, count)
    angle = rng.random(count) * np.pi
    across = np.where(which, 1 - np.cos(angle), np.cos(angle))
    up = np.where(which, 0.5 - np.sin(angle), np.sin(angle))
    x = np.stack([across, up], 1) + rng.normal(0, NOISE, (count, 2))
    return {"x": x.astype(np.float32), "target": which[:, None].astype(np.float32)}


def data() -> dict[str, Arrays]:
    """Few examples to learn from, and many others."""
    return {"moons": moons(EXAMPLES, 0), "unseen": moons(UNSEEN, 1)}


def measure(small: bool = False) -> Measured:
    """Loss and accuracy over the epochs, on the examples and on unseen ones; doubts of Monte Carlo dropout."""
    examples, unseen = data().values()
    epochs = 60 if small else None
    numbers: dict[str, float] = {}
    rows, charts = [], []
    model = nw.load(FOLDER / "overfitting.yaml")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_npz(folder / "unseen.npz", unseen)
        runs = {key: (model.variant(variant), epochs) for key, variant in VARIANTS.items()}
        runs["early stopping"] = (nw.load(spec("overfitting", folder, stop=STOP)), epochs)
        for key, (one, most) in runs.items():
            trained = nw.train(one, examples, epochs=most, validation=folder / "unseen.npz")
            kept = trained.weights
            measures = trained.epochs[-1]
            if key == "early stopping":
                measures = min(trained.epochs, key=lambda epoch: epoch["validation_loss"])
            charts.append(_curves(key, trained.epochs))
            numbers[key] = measures["validation_loss"]
            numbers[f"{key} learned"] = measures["loss"]
            values = (measures[k] for k in ("loss", "validation_loss", "accuracy", "validation_accuracy"))
            rows.append([key, str(measures["epoch"]), *(f"{value:.3f}" for value in values)])
            if key == "dropout":
                doubting = nw.compile(one, weights=kept).run("doubt", x=unseen["x"], seed=0)
                wrong = ((doubting["mean"] > 0.5) != (unseen["target"] > 0.5))[:, 0]
                spread = doubting["spread"][:, 0]
                numbers |= {"spread right": float(spread[~wrong].mean()), "spread wrong": float(spread[wrong].mean())}
    head = ["remedy", "weights of epoch", "loss", "unseen loss", "accuracy", "unseen accuracy"]
    rows.append([f"Monte Carlo dropout: spread {numbers['spread right']:.3f} where right, "
                 f"{numbers['spread wrong']:.3f} where wrong", *[""] * 5])  # fmt: skip
    return Measured(numbers, head, rows, {"overfitting.svg": panels(charts, 2)})


def _curves(name: str, epochs: Sequence[Mapping[str, Any]]) -> str:
    """The two losses of a run."""
    lines: dict[str, Points] = {
        label: [(epoch["epoch"], epoch[key]) for epoch in epochs]
        for label, key in (("learned from", "loss"), ("unseen", "validation_loss"))
    }
    return line_chart(lines, name, "epoch", "loss")
