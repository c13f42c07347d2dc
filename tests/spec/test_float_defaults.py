"""An op that makes a float tensor makes one of the compute dtype."""

from __future__ import annotations

from pathlib import Path

import pytest

import netwright as nw

SPEC = """
netwright: 1
name: ramp
inputs:
  x: float[N, 4]
graph:
  - {op: linspace, name: at, start: 0, stop: 1, length: 4}
  - {op: full, name: one, shape: [4], fill: 1}
  - {name: y, value: x * at + one}
outputs: {y: y}
"""


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_in_every_compute_dtype(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "ramp.yaml"
    path.write_text(SPEC)
    program = nw.load(path, dtype=dtype).program
    (y,) = program.entries["main"].graph.outputs
    assert y.type.dtype == dtype
