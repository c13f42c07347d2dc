"""How much the loss at the end depends on the state of each step: a plain RNN beside an LSTM."""

from __future__ import annotations

import numpy as np

import netwright as nw
from netwright.driver.plot import Points, line_chart

from .measured import FOLDER, Arrays, Measured
from .memory import adding

EXAMPLES = 32
CASES = {
    "RNN, spread 0.5": (None, {"spread": 0.5}),
    "RNN, spread 1": (None, {"spread": 1.0}),
    "RNN, spread 3": (None, {"spread": 3.0}),
    "LSTM": ("lstm", {}),
    "LSTM, remember 3": ("lstm", {"remember": 3.0}),
}


def data(steps: int = 100) -> dict[str, Arrays]:
    """A batch of the adding problem, with the steps first."""
    examples = adding(EXAMPLES, steps, seed=0)
    return {"adding": {"x": examples["x"].transpose(1, 0, 2).copy(), "target": examples["target"]}}


def measure(small: bool = False) -> Measured:
    """The norm of the gradient for the state of each step, at the first weights."""
    steps = 40 if small else 100
    examples = data(steps)["adding"]
    numbers: dict[str, float] = {}
    rows = []
    lines: dict[str, Points] = {}
    for name, (variant, args) in CASES.items():
        model = nw.load(FOLDER / "vanishing.yaml", steps=steps, **args)
        model = model.variant(variant) if variant else model
        slopes = nw.gradients(model).run("train_step", **examples)["gradient.nudge"].astype(np.float64)
        norms = np.linalg.norm(slopes, axis=-1)
        lines[name] = list(enumerate(norms.tolist(), 1))
        numbers[name] = float(norms[0] / norms[-1])
        rows.append([name, *(_text(norms[k]) for k in (steps - 1, steps // 2 - 1, 0)), _text(numbers[name])])
    title = f"Gradient of the loss after step {steps} for the state of each step"
    chart = line_chart(lines, title, "step", "norm of the gradient", log=True)
    head = ["network", f"step {steps}", f"step {steps // 2}", "step 1", "first to last"]
    return Measured(numbers, head, rows, {"vanishing.svg": chart})


def _text(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"
