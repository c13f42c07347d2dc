"""A small model and its examples, for tests of whole runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SPEC = """\
netwright: 1
name: small
inputs: {x: 'float[N, 4]'}
graph:
  - {op: linear, name: a, features: 8}
  - tanh
  - {op: batch_norm, name: n}
  - {op: dropout, rate: 0.2}
  - {op: linear, name: y, features: 3}
outputs: {y: y}
training:
  inputs: {label: 'int64[N]'}
  loss: cross_entropy(y, label)
  optimizer: {kind: adam}
  rate: {kind: cosine, start: 0.02, end: 0, epochs: 6, warmup: 1}
  batch: 16
  epochs: 6
  metrics: {accuracy: reduce_mean(float(arg_max(y) == label))}
"""


def spec(folder: Path, text: str = SPEC, **changes: str) -> Path:
    """The spec in a file; of ``changes`` each key is a line's own, its value what stands behind it instead."""
    lines = text.splitlines()
    for key, value in changes.items():
        (at,) = [number for number, line in enumerate(lines) if line.strip().startswith(f"{key}:")]
        lines[at] = lines[at].partition(key)[0] + f"{key}: {value}"
    path = folder / "small.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def examples(count: int = 100, seed: int = 0) -> dict[str, np.ndarray]:
    """Three classes, each around a point of its own."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, count)
    centers = np.random.default_rng(9).normal(size=(3, 4))
    return {"x": (centers[label] + rng.normal(0, 0.7, (count, 4))).astype(np.float32), "label": label}


def data_file(folder: Path, count: int = 100, seed: int = 0) -> Path:
    """The examples in a file."""
    path = folder / "data.npz"
    np.savez(path, **examples(count, seed))
    return path
