"""Each lesson shows what it says, at a size that fits a test."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import netwright as nw
from netwright.benchmarks.lessons.__main__ import LESSONS
from netwright.benchmarks.lessons.gan import CENTERS, SAMPLES, covered
from netwright.benchmarks.lessons.measured import BEGIN, END, FOLDER, Measured, spec
from netwright.driver.build import Weights


def small(name: str) -> Measured:
    measured = import_module(f"netwright.benchmarks.lessons.{name}").measure(small=True)
    for text in measured.pictures.values():
        assert text.startswith("<svg ") and "nan" not in text
    return measured


def test_a_perceptron_learns_and_but_not_xor() -> None:
    numbers = small("perceptron").numbers
    assert numbers["and right"] == 4 and numbers["and last mistakes"] == 0
    assert numbers["xor right"] < 4 and numbers["xor last mistakes"] > 0


def test_a_hidden_layer_learns_xor() -> None:
    assert small("xor").numbers["solved 8"] == 3


def test_gradients_by_hand_are_the_same() -> None:
    numbers = small("backpropagation").numbers
    differences = [value for name, value in numbers.items() if "difference" in name]
    assert len(differences) == 5 and max(differences) < 1e-6


def test_gradients_vanish_and_explode_over_time() -> None:
    numbers = small("vanishing").numbers
    assert numbers["RNN, spread 0.5"] < 1e-6
    assert numbers["RNN, spread 3"] > 1e2
    assert 1e-2 < numbers["LSTM, remember 3"] < 10


def test_gradients_of_states_are_torchs() -> None:
    examples = import_module("netwright.benchmarks.lessons.vanishing").data(12)["adding"]
    model = nw.load(FOLDER / "vanishing.yaml", steps=12)
    first = Weights().parameters(model)
    got = nw.gradients(model, weights=first).run("train_step", **examples)["gradient.nudge"]
    w = {path: torch.tensor(np.asarray(array)) for path, array in first.items()}
    h = torch.zeros(examples["x"].shape[1], 32)
    states = []
    for x in torch.tensor(examples["x"]):
        h = torch.tanh(x @ w["cell.from_x.weight"].T + w["cell.from_x.bias"] + h @ w["cell.from_h.weight"].T)
        h = h.requires_grad_() if not states else h
        h.retain_grad()
        states.append(h)
    y = h @ w["head.weight"].T + w["head.bias"]
    torch.nn.functional.mse_loss(y, torch.tensor(examples["target"])).backward()
    wanted = np.stack([state.grad.sum(0).numpy() for state in states])
    assert np.abs(got - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_remedies_against_overfitting() -> None:
    numbers = small("overfitting").numbers
    assert numbers["plain learned"] < 0.2 < numbers["early stopping"] <= numbers["plain"]
    assert numbers["spread wrong"] > numbers["spread right"] > 0


def test_dropout_with_a_seed_that_is_null_draws_in_training(tmp_path: Path) -> None:
    graph = "graph: [{op: dropout, name: y, in: {x: x, seed: seed}, rate: 0.5}]"
    path = tmp_path / "drop.yaml"
    path.write_text(
        f"netwright: 1\nblocks: {{b: {{inputs: {{x: any, seed?: any}}, {graph}}}}}\n"
        "inputs: {x: 'float[N]'}\nparams: {w: {type: 'float[]', init: ones}}\n"
        "graph: [{block: b, name: y, in: {x: x * w}}]\noutputs: {y: y}\n"
        "training: {loss: reduce_mean(y), optimizer: {kind: sgd}, rate: 0.1}\n"
    )
    x = np.ones(64, np.float32)
    assert nw.compile(path)(x=x)["y"].tolist() == x.tolist()
    loss = float(nw.gradients(path).run("train_step", x=x)["loss"])
    assert loss != 1 and loss == nw.train(path, {"x": x}).epochs[0]["loss"]


def test_optimizers_go_down() -> None:
    numbers = small("valley").numbers
    assert numbers["SGD"] < 50 and len(numbers) == 8


def test_clusters_are_counted() -> None:
    rng = np.random.default_rng(0)
    assert covered(np.repeat(CENTERS, SAMPLES // 8, axis=0) + rng.normal(0, 0.01, (SAMPLES, 2))) == (8, 1.0)
    assert covered(np.repeat(CENTERS[:3], 100, axis=0)) == (3, 1.0)
    assert covered(np.zeros((SAMPLES, 2))) == (0, 0.0)


def test_two_players_train() -> None:
    measured = small("gan")
    assert len(measured.rows) == 2 and set(measured.numbers) == {"modes", "share"}


def test_an_lstm_and_an_rnn_learn_to_add_over_few_steps() -> None:
    numbers = small("memory").numbers
    assert numbers["lstm"] < numbers["mean"]


def test_frozen_layers_stay() -> None:
    transfer = import_module("netwright.benchmarks.lessons.transfer")
    model = nw.load(FOLDER / "transfer.yaml")
    examples = transfer.data(2, copies=1)["few"]
    first = nw.train(model, examples, epochs=0).weights
    trained = nw.train(model, examples, epochs=2).weights
    moved = {path for path, array in trained.items() if not np.array_equal(array, first[path])}
    assert moved == {path for path in first if not path.startswith(("base.0.", "base.3."))}


def test_lines_of_a_spec_change(tmp_path: Path) -> None:
    text = spec("transfer", tmp_path, freeze="", rate="0.5").read_text(encoding="utf-8")
    assert "freeze" not in text and "\n  rate: 0.5\n" in text and "batch: 6" in text


@pytest.mark.parametrize("name", LESSONS)
def test_pages_show_what_is_there(name: str) -> None:
    page = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    assert "|" in page.split(BEGIN)[1].split(END)[0], "the numbers are written into the page"
    for link in re.findall(r"\]\(([^)#]+)\)", page):
        assert (FOLDER / link).exists(), link


@pytest.mark.parametrize("name", LESSONS)
def test_lines_of_specs_on_pages_are_those_of_the_specs(name: str) -> None:
    """A page shows parts of its spec; every line of them is in a spec as it stands."""
    specs = [*FOLDER.glob("*.yaml"), *(FOLDER.parents[1] / "zoo").rglob("*.yaml")]
    lines = {_plain(line) for path in specs for line in path.read_text(encoding="utf-8").splitlines()}
    page = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        for line in block.splitlines():
            assert _plain(line) in lines, line


def test_the_spec_of_the_page_on_training_learns(tmp_path: Path) -> None:
    page = (FOLDER.parent / "training.md").read_text(encoding="utf-8")
    text = re.search(r"```yaml\n(netwright: 1\n.*?)```", page, re.DOTALL)
    assert text is not None
    path = tmp_path / "spiral.yaml"
    path.write_text(text[1], encoding="utf-8")
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 600)
    r = rng.random(600)
    angle = 3 * r + 2 * np.pi / 3 * label + rng.normal(0, 0.1, 600)
    examples = {"x": np.stack([r * np.sin(angle), r * np.cos(angle)], 1).astype(np.float32), "label": label}
    assert nw.train(path, examples, validation=0.2).epochs[-1]["validation_accuracy"] > 0.9


def _plain(line: str) -> str:
    """Without a comment."""
    return re.sub(r"\s+#.*", "", line).rstrip()
