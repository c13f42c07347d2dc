"""The weights that come along: LeNet-5 reads real digits that it has not learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import netwright as nw
from netwright.backends.signature import Field
from netwright.benchmarks.digits import ENOUGH, examples, first_of_each
from netwright.driver.inputs import read_picture
from netwright.driver.model import load
from netwright.driver.shipped import SHIPPED, shipped_names, shipped_path
from netwright.spec.weights.errors import WeightsError

SAMPLES = Path(nw.__file__).parent / "cli" / "samples"
DIGITS = [SAMPLES / f"digit_{digit}.png" for digit in range(10)]


@pytest.mark.parametrize("target", ["reference", "numpy", "jax", "onnx"])
def test_lenet5_reads_digits(target: str) -> None:
    net = nw.compile("zoo:lenet5", target, weights=SHIPPED)
    field: Field = net.signature.entries["main"].inputs[0]
    pictures = np.concatenate([read_picture(path, field) for path in (*DIGITS, SAMPLES / "digit.png")])
    assert net(image=pictures)["probabilities"].argmax(1).tolist() == [*range(10), 3]
    assert net.manifest["weights"] == "zoo"


def test_pictures_that_were_not_learned_from_are_read() -> None:
    _, testing = examples()
    read = nw.compile("zoo:lenet5", weights=SHIPPED)(image=testing["image"])["probabilities"].argmax(1)
    assert len(read) == 359 and (read == testing["label"]).mean() >= ENOUGH


def test_the_pictures_are_scikit_learns_and_none_was_learned_from() -> None:
    learning, testing = examples()
    learned = {image.tobytes() for image in learning["image"]}
    assert len(testing["label"]) + len(learning["label"]) / 5 == 1797
    assert not any(image.tobytes() in learned for image in testing["image"])
    for path, wanted in zip(DIGITS, first_of_each(), strict=True):
        with Image.open(path) as shown:
            assert np.array_equal(np.asarray(shown), np.asarray(wanted))
        assert (np.asarray(wanted, np.float32)[None] / np.float32(255)).tobytes() not in learned


def test_three_epochs_teach_most_of_it() -> None:
    """A fifth of what the shipped weights have learned from, for a third of the time."""
    learning, testing = examples()
    some = {name: array[:1438] for name, array in learning.items()}

    def accuracy(weights: object) -> float:
        read = nw.compile("zoo:lenet5", weights=weights)(image=testing["image"])["probabilities"].argmax(1)
        return float((read == testing["label"]).mean())

    before = accuracy(None)
    trained = nw.train("zoo:lenet5", some, epochs=3)
    assert before < 0.3 and accuracy(trained.weights) > 0.85
    losses = [epoch["loss"] for epoch in trained.epochs]
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.6


def test_a_model_without_weights_says_which_have_some() -> None:
    with pytest.raises(WeightsError, match="no weights come along with cnn; they do with zoo:lenet5$"):
        nw.compile("zoo:cnn", weights=SHIPPED)
    assert shipped_names() == ["zoo:lenet5"]


def test_a_copy_of_the_spec_has_none(tmp_path: Path) -> None:
    path = shipped_path(load("zoo:lenet5"))
    for suffix in (".yaml", ".safetensors"):
        (tmp_path / f"lenet5{suffix}").write_bytes(path.with_suffix(suffix).read_bytes())
    with pytest.raises(WeightsError, match="no weights come along with lenet5"):
        shipped_path(load(tmp_path / "lenet5.yaml"))
