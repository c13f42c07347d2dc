"""A GAN of the plane: samples over the epochs, and how many of eight clusters they cover."""

from __future__ import annotations

import numpy as np

import netwright as nw
from netwright.driver.plot import line_chart, panels
from netwright.driver.training import Progress

from .measured import FOLDER, Arrays, Measured

CLUSTERS, RADIUS, SPREAD = 8, 2.0, 0.1
EXAMPLES, SAMPLES = 12_000, 4000
ANGLES = np.arange(CLUSTERS) * 2 * np.pi / CLUSTERS
CENTERS = RADIUS * np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)
LEAST = SAMPLES // CLUSTERS // 5
"""Samples near a cluster from which it counts as covered: a fifth of its share."""


def data() -> dict[str, Arrays]:
    """Points of eight Gaussians on a ring."""
    rng = np.random.default_rng(0)
    points = CENTERS[rng.integers(0, CLUSTERS, EXAMPLES)] + rng.normal(0, SPREAD, (EXAMPLES, 2))
    return {"ring": {"real": points.astype(np.float32)}}


def covered(samples: np.ndarray) -> tuple[int, float]:
    """How many clusters have `LEAST` samples within three standard deviations, and the share of all that are so near
    to one."""
    distances = np.linalg.norm(samples[:, None] - CENTERS, axis=-1)
    near = distances.min(axis=1) < 3 * SPREAD
    counts = np.bincount(distances.argmin(axis=1)[near], minlength=CLUSTERS)
    return int((counts >= LEAST).sum()), float(near.mean())


def _seen(samples: np.ndarray) -> np.ndarray:
    """Which samples are not far outside of the ring, where they would make the picture small."""
    return np.abs(samples).max(axis=1) < 1.5 * RADIUS


def measure(small: bool = False) -> Measured:
    """Train, and look at the same random numbers turned into samples on the way."""
    model = nw.load(FOLDER / "gan.yaml", hidden=16 if small else 64)
    real = data()["ring"]["real"][: 2000 if small else None]
    shown = (1, 2) if small else (1, 3, 6, 10, 20, 60)
    noise = np.random.default_rng(1).standard_normal((SAMPLES, 2)).astype(np.float32)
    numbers: dict[str, float] = {}
    rows, charts = [], []

    def tell(progress: Progress) -> None:
        if progress.batch < progress.batches or progress.epoch not in shown:
            return
        samples = nw.compile(model, weights=progress.weights())(z=noise)["sample"]
        modes, share = covered(samples)
        numbers["modes"], numbers["share"] = modes, share
        rows.append([str(progress.epoch), f"{modes} of {CLUSTERS}", f"{share:.0%}"])
        rows[-1] += [f"{progress.measures[f'{player}_loss']:.2f}" for player in ("discriminator", "generator")]
        points = {"real": real[:400].tolist(), "samples": samples[:400][_seen(samples[:400])].tolist()}
        charts.append(line_chart(points, f"Epoch {progress.epoch}", "", "", dots=points, equal=True))

    nw.train(model, {"real": real}, epochs=shown[-1] if small else None, tell=tell)
    head = ["epoch", "clusters covered", "samples within 3 deviations", "loss of the discriminator", "of the generator"]
    return Measured(numbers, head, rows, {"gan.svg": panels(charts, 3)})
