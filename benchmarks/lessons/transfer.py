"""What was learned from the digits 0 to 6 helps to learn 7 to 9 from few examples."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

import netwright as nw
from netwright.driver.build import Weights
from netwright.driver.plot import line_chart

from .measured import FOLDER, Arrays, Measured, spec

SHOTS, SEEDS, UNSEEN = (2, 5, 10, 20, 40), 5, 300
FIRST_NEW = 7
"""The digits from here on are the new ones."""
COPIES = 6
"""Of each digit that the base learns from, each at another place."""


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Pictures of 8x8 dots from 0 to 1, and the digits that they show."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images.astype(np.float32) / 16, found.target.astype(np.int64)


def placed(which: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pictures of 32x32 dots with the digits three times as large, each at some place."""
    pictures, _ = _digits()
    large = pictures.repeat(3, axis=1).repeat(3, axis=2)
    out = np.zeros((len(which), 1, 32, 32), np.float32)
    for number, digit in enumerate(which):
        down, across = rng.integers(0, 9, 2)
        out[number, 0, down : down + 24, across : across + 24] = large[digit]
    return out


def data(shots: int = 10, seed: int = 0, copies: int = COPIES) -> dict[str, Arrays]:
    """The old digits; a few of each of the new ones; others of these."""
    labels = _digits()[1]
    rng = np.random.default_rng(seed)
    low = np.repeat(np.flatnonzero(labels < FIRST_NEW), copies)
    high = rng.permutation(np.flatnonzero(labels >= FIRST_NEW))
    unseen, pool = high[:UNSEEN], high[UNSEEN:]
    few = np.concatenate([pool[labels[pool] == digit][:shots] for digit in range(FIRST_NEW, 10)])
    return {
        "low": {"image": placed(low, np.random.default_rng(0)), "label": labels[low]},
        "few": {"image": placed(few, rng), "label": labels[few] - FIRST_NEW},
        "unseen": {"image": placed(unseen, rng), "label": labels[unseen] - FIRST_NEW},
    }


def measure(small: bool = False) -> Measured:
    """Accuracy on unseen pictures by the number of examples of each digit, with the base's weights and without."""
    base = nw.train(FOLDER / "digits.yaml", data(copies=1 if small else COPIES)["low"], epochs=3 if small else 6)
    numbers: dict[str, float] = {}
    rows = []
    means: dict[str, list[tuple[float, float]]] = {"transfer": [], "from scratch": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "digits.yaml").write_bytes((FOLDER / "digits.yaml").read_bytes())
        scratch = nw.load(spec("transfer", folder, freeze=""))
        models = {"transfer": nw.load(FOLDER / "transfer.yaml"), "from scratch": scratch}
        for shots in (5,) if small else SHOTS:
            found: dict[str, list[float]] = {key: [] for key in models}
            for seed in range(1 if small else SEEDS):
                parts = data(shots, seed, copies=1)
                for key, model in models.items():
                    first = dict(Weights(seed=seed).parameters(model))
                    if key == "transfer":
                        first |= _base(base.weights, first)
                    found[key].append(_accuracy(model, first, parts, seed, 15 if small else None))
            row = [str(shots)]
            for key, values in found.items():
                mean = float(np.mean(values))
                numbers[f"{key} {shots}"] = mean
                means[key].append((shots, mean))
                row.append(f"{mean:.1%} ({min(values):.0%} to {max(values):.0%})")
            rows.append(row)
    chart = line_chart(means, "Digits 7 to 9, unseen", "examples of each digit", "accuracy")
    return Measured(numbers, ["examples of each digit", "transfer", "from scratch"], rows, {"transfer.svg": chart})


def _base(weights: Mapping[str, np.ndarray], first: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights of the base under the paths that they have in `transfer.yaml`."""
    return {f"base.{path}": array for path, array in weights.items() if f"base.{path}" in first}


def _accuracy(
    model: nw.Model, first: Mapping[str, np.ndarray], parts: Mapping[str, Arrays], seed: int, epochs: int | None
) -> float:
    """Train from these weights; the share of unseen pictures that are read rightly."""
    trained = nw.train(model, parts["few"], epochs=epochs, weights=first, seed=seed)
    logits = nw.compile(model, weights=trained.weights)(image=parts["unseen"]["image"])["logits"]
    return float((logits.argmax(axis=1) == parts["unseen"]["label"]).mean())
