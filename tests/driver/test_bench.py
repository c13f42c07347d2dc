"""Contenders run in processes of their own, in turns, and are what they claim to be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import netwright as nw
from netwright.backends.api import BackendError
from netwright.backends.executable import InputError
from netwright.driver.bench import benchmark
from netwright.driver.build import Build, Weights, write_bundle
from netwright.driver.check import parameter_count
from netwright.driver.contenders.job import KINDS
from netwright.driver.contenders.torch_peer import PEERS
from netwright.driver.peers import TORCH_PEERS, torch_peer_of
from netwright.driver.processes import Contender, ContenderError


def test_a_bundle_in_a_process_of_its_own(tmp_path: Path) -> None:
    model = nw.load("zoo:xor_mlp")
    write_bundle(model, tmp_path / "bundle", Build("numpy"), Weights(seed=3))
    x = np.array([[0, 1], [1, 1]], np.float32)
    with Contender("bundle", str(tmp_path / "bundle"), tmp_path, {"x": x}, threads=1) as contender:
        contender.ready()
        times = contender.turn(0.01)
        assert times and all(0 < time < 1 for time in times)
        assert len(contender.turn(0)) == 1
        found = contender.outputs(tmp_path / "y.npz")
    np.testing.assert_array_equal(found["y"], nw.compile(model, seed=3)(x=x)["y"])


def test_a_contender_that_cannot_start_says_why(tmp_path: Path) -> None:
    with (
        Contender("bundle", str(tmp_path), tmp_path, {}) as contender,
        pytest.raises(ContenderError, match="no bundle"),
    ):
        contender.ready()
    with Contender("torch", "unheard_of", tmp_path, {}) as contender, pytest.raises(ContenderError, match="KeyError"):
        contender.ready()


def test_a_contender_that_dies_is_noticed(tmp_path: Path) -> None:
    write_bundle(nw.load("zoo:xor_mlp"), tmp_path / "bundle", Build("numpy"), Weights())
    inputs = {"x": np.zeros((1, 2), np.float32)}
    with Contender("bundle", str(tmp_path / "bundle"), tmp_path, inputs) as contender:
        contender.ready()
        os.kill(contender._process.pid, 9)
        with pytest.raises(ContenderError, match="-9"):
            contender.turn(0.01)


def test_medians_and_ratios() -> None:
    told: list[str] = []
    found = benchmark(
        nw.load("zoo:xor_mlp"), ["numpy"], ["onnxruntime"], Weights(), {"N": 4}, threads=1, rounds=2, tell=told.append
    )
    data = found.as_data()
    numpy, plain = data["contenders"]["numpy"], data["contenders"]["onnxruntime"]
    assert numpy["ratio"] == 1 and numpy["runs"] >= 2 and plain["runs"] >= 2
    assert plain["ratio"] == pytest.approx(plain["median_seconds"] / numpy["median_seconds"])
    assert numpy["least_seconds"] <= numpy["median_seconds"]
    assert (data["threads"], data["sizes"], data["entry"]) == (1, {"N": 4}, "main")
    assert told[-1] == "round 2 of 2"


def test_what_cannot_be_measured_is_refused() -> None:
    model = nw.load("zoo:xor_mlp")
    with pytest.raises(BackendError, match="did you mean numpy"):
        benchmark(model, ["nunpy"], [], Weights(), {})
    with pytest.raises(InputError, match="did you mean 'torch'"):
        benchmark(model, ["numpy"], ["torchh"], Weights(), {})
    with pytest.raises(InputError, match="name a target"):
        benchmark(model, [], ["torch"], Weights(), {})


def test_only_models_of_the_zoo_have_a_peer(tmp_path: Path) -> None:
    source = nw.load("zoo:lenet5").loaded.text
    (tmp_path / "lenet5.yaml").write_text(source, encoding="utf-8")
    with pytest.raises(BackendError, match="no torch implementation of lenet5 is known"):
        torch_peer_of(nw.load(tmp_path / "lenet5.yaml"), "main")
    with pytest.raises(BackendError, match="entry main"):
        torch_peer_of(nw.load("zoo:gpt2"), "decode")
    assert set(TORCH_PEERS) == set(PEERS)
    assert set(KINDS) == {"bundle", "onnxruntime", "torch"}


SMALL = {"depth": 2, "width": 24, "heads": 3}
CASES: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("lenet5", {"classes": 7}, (2, 7)),
    ("mlp", {"hidden": [5, 6]}, (2, 10)),
    ("vgg16", {"width": 4, "hidden": 12, "size": 64}, (2, 1000)),
    ("resnet18", {}, (2, 1000)),
    ("resnet50", {"stride_in_1x1": True}, (2, 1000)),
    ("lstm", {"depth": 2, "bidirectional": True}, (2, 4, 128)),
    ("gru", {}, (2, 4, 64)),
    ("rnn", {}, (2, 4, 64)),
    ("bert_base", {**SMALL, "vocabulary": 50, "hidden": 40}, (2, 4, 24)),
    ("gpt2", {**SMALL, "vocabulary": 50, "stop": 0}, (2, 4, 50)),
]


@pytest.mark.parametrize(("name", "args", "shape"), CASES, ids=[case[0] for case in CASES])
def test_torch_peers_are_as_large_as_ours(name: str, args: dict[str, Any], shape: tuple[int, ...]) -> None:
    model = nw.load(f"zoo:{name}", **args)
    peer, told = torch_peer_of(model, "main")
    net = PEERS[peer](told).eval()
    assert sum(parameter.numel() for parameter in net.parameters()) == parameter_count(model)
    (port,) = model.program.entries["main"].inputs
    sizes = {"N": 2, "T": 4, "H": 64, "W": 64}
    x = [size if isinstance(size, int) else sizes[str(size)] for size in port.type.shape]
    given = torch.zeros(x, dtype=torch.int64 if port.type.dtype == "int64" else torch.float32)
    with torch.inference_mode():
        assert tuple(net(given).shape) == shape
