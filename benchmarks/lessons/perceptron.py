"""A perceptron learns AND and cannot learn XOR."""

from __future__ import annotations

import numpy as np

import netwright as nw
from netwright.driver.plot import Points, line_chart, panels

from .measured import Arrays, Measured

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
TARGETS = {"and": CORNERS.min(axis=1), "xor": CORNERS.sum(axis=1) % 2}


def data() -> dict[str, Arrays]:
    """Both truth tables."""
    return {name: {"x": CORNERS, "target": target[:, None]} for name, target in TARGETS.items()}


def measure(small: bool = False) -> Measured:
    """Train on both by the rule; how many of the four are right, and the mistakes in each epoch."""
    model = nw.load("zoo:perceptron")
    numbers: dict[str, float] = {}
    rows, charts = [], []
    curves: dict[str, Points] = {}
    for name, examples in data().items():
        trained = nw.train(model, examples)
        weight, bias = trained.weights["weight"][0], float(trained.weights["bias"][0])
        answers = nw.compile(model, weights=trained.weights)(x=CORNERS)["fires"]
        right = int((answers == examples["target"]).sum())
        mistakes = [round(4 * float(epoch["errors"])) for epoch in trained.epochs]
        numbers |= {f"{name} right": right, f"{name} last mistakes": mistakes[-1]}
        rule = f"{weight[0]:g} x1 + {weight[1]:g} x2 + {bias:g} >= 0"
        rows.append([name.upper(), f"{right} of 4", rule.replace("+ -", "- "), str(mistakes[-1])])
        curves[name.upper()] = list(enumerate(mistakes, 1))
        charts.append(_plane(name, weight, bias))
    charts.append(line_chart(curves, "Mistakes in each epoch", "epoch", "of 4"))
    head = ["task", "right", "fires where", "mistakes in the last epoch"]
    return Measured(numbers, head, rows, {"perceptron.svg": panels(charts, 3)})


def _plane(name: str, weight: np.ndarray, bias: float) -> str:
    """The four corners and the line that was learned."""
    target = TARGETS[name]
    points: dict[str, Points] = {
        "0": CORNERS[target == 0].tolist(),
        "1": CORNERS[target == 1].tolist(),
        "line": [],
    }
    across = np.linspace(-0.5, 1.5, 401)
    if weight[1]:
        line = zip(across, -(weight[0] * across + bias) / weight[1], strict=True)
        points["line"] = [(a, b) for a, b in line if -0.5 <= b <= 1.5]
    elif weight[0]:
        points["line"] = [(-bias / weight[0], -0.5), (-bias / weight[0], 1.5)]
    return line_chart(points, name.upper(), "x1", "x2", dots=("0", "1"), equal=True)
