"""The benchmarks of passes and of memory: graphs are what they say, the fit is right, and plans are those of targets."""

from __future__ import annotations

import math

import pytest

from netwright.benchmarks import memory, passes
from netwright.benchmarks.large_graphs import KINDS
from netwright.compiler.ir.verify import verify
from netwright.compiler.packing import largest_live, pack


@pytest.mark.parametrize("kind", KINDS)
def test_graphs_have_about_as_many_nodes_as_asked_for(kind: str) -> None:
    small, large = (KINDS[kind](nodes) for nodes in (200, 400))
    verify(small)
    counts = [len(program.entries["main"].graph.nodes) for program in (small, large)]
    assert 180 <= counts[0] <= 260 and 1.9 <= counts[1] / counts[0] <= 2.1


@pytest.mark.parametrize("kind", KINDS)
def test_every_pass_is_timed(kind: str) -> None:
    times, left = passes.measure(KINDS[kind](60), "numpy")
    assert {"simplify", "fuse", "schedule", passes.PACK} <= set(times) and left > 0
    assert all(seconds >= 0 for seconds in times.values())


def test_rows_are_the_lives_of_values() -> None:
    rows = passes.rows(KINDS["wide"](60))
    assert all(first <= last and size >= 0 for first, last, size in rows)
    assert pack(rows)[1] >= largest_live(rows) > 0


def test_growth_is_the_exponent() -> None:
    assert passes.growth({size: 3e-6 * size for size in passes.SIZES}) == pytest.approx(1)
    assert passes.growth({size: 1e-9 * size**2 for size in passes.SIZES}) == pytest.approx(2)
    assert 1.05 < passes.bound(passes.SIZES) < 1.2
    assert passes.line("a", {10: 0.001, 100: 0.1}) == ["a", "0.001", "0.100", "2.00"]
    assert passes.line("a", {10: 0.001, 100: 0.01})[-1] == "(1.00)"
    assert math.isfinite(passes.growth({10: 0.0, 100: 0.0}))


def test_memory_is_that_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CASES", (("lenet5", {"N": 2000}), ("unet", {"N": 1, "H": 1, "W": 1})))
    ((name, sizes, target, values, held, times, plain, saved),) = memory.rows(("numpy", "onnx"), ["lenet5"])
    assert (name, sizes, target) == ("lenet5", "N = 2000", "numpy")
    # MB with two digits, so each is off by 0.005 at most; the quotient has three.
    slack = 0.0005 + float(times) * (0.005 / float(held) + 0.005 / float(values))
    assert float(times) == pytest.approx(float(held) / float(values), abs=slack) and slack < 0.01 and float(plain) > 0
    assert saved.endswith("%")
    whole, bare = (memory.held("lenet5", {"N": 2000}, "numpy", without) for without in (frozenset(), memory.LEFT_OUT))
    assert whole.peak is not None and bare.peak is not None and whole.bound <= bare.bound
