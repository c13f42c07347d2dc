"""The 2-2-1 network of sigmoids: gradients by hand beside the compiler's, and XOR learned by them."""

from __future__ import annotations

import numpy as np

import netwright as nw
from netwright.driver.plot import line_chart

from .measured import FOLDER, Arrays, Measured
from .perceptron import data as truth_tables

SEED = 1
"""Of first weights from which XOR is learned."""


def data() -> dict[str, Arrays]:
    """The truth table of XOR."""
    return {"xor": truth_tables()["xor"]}


def by_hand(weights: Arrays, x: np.ndarray, target: np.ndarray) -> tuple[float, dict[str, np.ndarray]]:
    """The loss 1/2 sum (y - target)^2 and its gradients, by the chain rule from the output to the input."""
    w, b = weights["hidden.weight"], weights["hidden.bias"]
    v, c = weights["output.weight"], weights["output.bias"]
    h = 1 / (1 + np.exp(-(x @ w.T + b)))
    y = 1 / (1 + np.exp(-(h @ v.T + c)))
    error = y - target
    at_output = error * y * (1 - y)
    at_hidden = at_output @ v * h * (1 - h)
    gradients = {
        "hidden.weight": at_hidden.T @ x,
        "hidden.bias": at_hidden.sum(axis=0),
        "output.weight": at_output.T @ h,
        "output.bias": at_output.sum(axis=0),
    }
    return float((error**2).sum() / 2), gradients


def measure(small: bool = False) -> Measured:
    """Both gradients at the first weights, then training."""
    examples = data()["xor"]
    model = nw.load(FOLDER / "backpropagation.yaml")
    first = nw.train(model, examples, epochs=0, seed=SEED).weights
    loss, wanted = by_hand({path: array.astype(np.float64) for path, array in first.items()}, *examples.values())
    ours = nw.gradients(model, weights=first).run("train_step", **examples)
    numbers = {"loss difference": abs(float(ours["loss"]) - loss)}
    rows = []
    for path, gradient in wanted.items():
        got = ours[f"gradient.{path}"]
        numbers[f"difference {path}"] = float(np.abs(got - gradient).max())
        rows.append([f"`{path}`", _text(gradient), _text(got)])
    trained = nw.train(model, examples, epochs=50 if small else None, seed=SEED)
    numbers["last loss"] = trained.epochs[-1]["loss"]
    curve = {"loss": [(epoch["epoch"], epoch["loss"]) for epoch in trained.epochs]}
    if not small:
        answers = nw.compile(model, weights=trained.weights)(x=examples["x"])["y"][:, 0]
        rows.append(["y after training, of 0 0, 0 1, 1 0, 1 1", "", _text(answers)])
    chart = line_chart(curve, "XOR by the 2-2-1 network", "epoch", "loss")
    return Measured(numbers, ["gradient for", "by hand", "by netwright"], rows, {"backpropagation.svg": chart})


def _text(array: np.ndarray) -> str:
    return " ".join(f"{value:.5f}" for value in np.asarray(array).reshape(-1))
