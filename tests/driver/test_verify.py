"""Verification finds what is wrong, and the node where it begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import netwright as nw
from netwright.backends import registry
from netwright.backends.api import Backend, BackendError, Emission, Loaded, Options, Runtime
from netwright.backends.executable import InputError
from netwright.backends.reference import ReferenceBackend
from netwright.compiler.ir import Graph, Node, Program
from netwright.compiler.ops.elementwise import Sin, Tanh
from netwright.driver.build import Weights
from netwright.driver.samples import distance
from netwright.driver.verify import Verification, verify_model

SPEC = """\
netwright: 1
name: deep
inputs: {x: 'float[N, 6]'}
blocks:
  step:
    inputs: {x: any}
    graph:
      - {op: linear, name: mix, features: 6}
      - {name: y, value: x + 0.1 * mix}
graph:
  - {block: step, name: before, repeat: 5}
  - {op: tanh, name: culprit}
  - {block: step, name: after, repeat: 5}
  - {op: linear, name: last, features: 3}
outputs: {y: last, z: before}
"""
LINE = SPEC.splitlines().index("  - {op: tanh, name: culprit}") + 1


class Wrong(Backend):
    """Computes sin where tanh is asked for; otherwise the reference."""

    name = "wrong"
    inner = ReferenceBackend()

    def claims(self, node: Node) -> str | None:
        """Everything."""
        return None

    def emit(self, program: Program, weights: Mapping[str, np.ndarray], options: Options) -> Emission:
        """What the reference emits for another program."""
        entries = {name: replace(entry, graph=self.change(entry.graph)) for name, entry in program.entries.items()}
        return self.inner.emit(replace(program, entries=entries), weights, options)

    def change(self, graph: Graph) -> Graph:
        """The mistake."""
        nodes = tuple(replace(node, op=Sin()) if isinstance(node.op, Tanh) else node for node in graph.nodes)
        return replace(graph, nodes=nodes)

    def load(self, bundle: Loaded) -> Runtime:
        """As the reference."""
        return self.inner.load(bundle)


class Whole(Wrong):
    """Wrong only if the program has all its outputs: what no cut shows."""

    def change(self, graph: Graph) -> Graph:
        return super().change(graph) if len(graph.outputs) == 2 else graph


class Slow(Wrong):
    """Right, with an excuse."""

    def slow(self) -> str | None:
        return "on foot"

    def change(self, graph: Graph) -> Graph:
        return graph


class Broken(Wrong):
    """Refuses."""

    def emit(self, program: Program, weights: Mapping[str, np.ndarray], options: Options) -> Emission:
        raise BackendError("out of paper")


class Crashing(Wrong):
    """Has a defect."""

    def emit(self, program: Program, weights: Mapping[str, np.ndarray], options: Options) -> Emission:
        raise KeyError("v7")


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The wrong ones beside the others."""
    known = {"wrong": Wrong(), "whole": Whole(), "broken": Broken(), "crashing": Crashing(), "slow": Slow()}
    real = registry.get
    monkeypatch.setattr(registry, "get", lambda name: known[name] if name in known else real(name))
    # A bundle names the target that loads it.
    for name, backend in known.items():
        monkeypatch.setattr(backend, "name", name, raising=False)
    yield


@pytest.fixture
def model(tmp_path: Path) -> nw.Model:
    path = tmp_path / "deep.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return nw.load(path)


def verify(model: nw.Model, *targets: str, bisect: bool = True) -> Verification:
    return verify_model(model, targets, Weights(seed=0, everywhere=True), bisect=bisect)


@pytest.mark.usefixtures("backends")
def test_the_first_difference_is_the_node_that_is_wrong(model: nw.Model) -> None:
    right, wrong = verify(model, "numpy", "wrong").outcomes
    assert right.passed and right.first_difference is None
    assert not wrong.passed and wrong.worst_output == "y"
    found = wrong.first_difference
    assert found is not None
    assert (found.op, found.label, found.entry) == ("tanh", "culprit", "main")
    assert (Path(found.file).name, found.line, found.column) == ("deep.yaml", LINE, 5)
    assert str(found).startswith(f"deep.yaml:{LINE}:5: tanh (culprit), relative error ")
    assert found.relative_error > 1e-2


@pytest.mark.usefixtures("backends")
def test_the_size_of_an_error_is_measured(model: nw.Model) -> None:
    (outcome,) = verify(model, "wrong", bisect=False).outcomes
    reference = nw.compile(model, "reference", weights=dict(Weights(seed=0, everywhere=True).parameters(model)))
    assert outcome.first_difference is None
    assert 0 < outcome.max_absolute_error < 1
    assert outcome.max_relative_error > outcome.max_absolute_error / 100
    assert reference.entries == ("main",)


@pytest.mark.usefixtures("backends")
def test_what_only_the_whole_shows_has_no_node(model: nw.Model) -> None:
    (outcome,) = verify(model, "whole").outcomes
    assert not outcome.passed and outcome.first_difference is None


@pytest.mark.usefixtures("backends")
def test_a_target_that_fails_is_an_outcome(model: nw.Model) -> None:
    found = verify(model, "broken", "crashing", "numpy")
    broken, crashing, right = found.outcomes
    assert broken.problem == "out of paper" and crashing.problem == "KeyError: 'v7'"
    assert not found.passed and right.passed
    data = found.as_data()["targets"]
    assert data["broken"]["max_relative_error"] is None and not data["broken"]["passed"]
    assert data["numpy"]["passed"] and data["numpy"]["max_relative_error"] < 1e-6


def test_unknown_targets_and_sizes_are_refused(model: nw.Model) -> None:
    with pytest.raises(BackendError, match="did you mean numpy"):
        verify(model, "numpi")
    with pytest.raises(InputError, match="no dimension is called 'M'"):
        verify_model(model, ["numpy"], Weights(), {"M": 3})
    assert verify_model(model, ["numpy"], Weights(), {"N": 11}).sizes == {"N": 11}


def test_distance() -> None:
    nan, inf = float("nan"), float("inf")
    one = np.array([1.0, -4.0, nan, inf])
    assert distance(one, one) == (0.0, 4.0)
    assert distance(np.array([1.5, -4.0, nan, inf]), one) == (0.5, 4.0)
    for other in ([1.0, -4.0, 0.0, inf], [1.0, -4.0, nan, -inf], [nan, -4.0, nan, inf]):
        assert distance(np.array(other), one)[0] == inf
    assert distance(np.zeros((2, 1)), np.zeros(2))[0] == inf
    assert distance(np.zeros(3), np.zeros(3)) == (0.0, 1.0)
    assert distance(np.array([True, False]), np.array([True, True])) == (1.0, 1.0)


def test_who_waits_is_told_why(backends: None, model: nw.Model) -> None:
    told: list[str] = []
    assert verify_model(model, ["slow", "numpy"], Weights(), tell=told.append).passed
    assert told == ["reference", "slow, on foot; smaller by --set and --dim is quicker", "numpy"]
    assert registry.get("triton").slow() == "interpreted on the CPU", "as these tests run"
