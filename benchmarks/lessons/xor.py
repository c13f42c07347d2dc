"""Two layers learn XOR; how often depends on the hidden units and the first weights."""

from __future__ import annotations

import numpy as np

import netwright as nw
from netwright.driver.plot import Points, line_chart, panels

from .measured import Arrays, Measured
from .perceptron import data as truth_tables

SIZES, SEEDS = (2, 3, 4, 8), 20


def data() -> dict[str, Arrays]:
    """The truth table."""
    return {"xor": truth_tables()["xor"]}


def measure(small: bool = False) -> Measured:
    """Train with several numbers of hidden units, from several first weights."""
    examples = data()["xor"]
    numbers: dict[str, float] = {}
    rows = []
    curves: dict[str, Points] = {}
    bends = ""
    for hidden in SIZES[-1:] if small else SIZES:
        model = nw.load("zoo:xor_mlp", hidden=hidden)
        solved = 0
        for seed in range(3 if small else SEEDS):
            trained = nw.train(model, examples, seed=seed, epochs=200 if small else None)
            learned = trained.epochs[-1]["accuracy"] == 1
            solved += learned
            word = f"{hidden} hidden, {'learns' if learned else 'is caught'}"
            curves.setdefault(word, [(epoch["epoch"], epoch["loss"]) for epoch in trained.epochs])
            if learned and not bends:
                bends = _bends(nw.compile(model, weights=trained.weights), word)
        numbers[f"solved {hidden}"] = solved
        rows.append([str(hidden), f"{solved} of {SEEDS}"])
    chart = line_chart(curves, "XOR: loss from the first seed of each kind", "epoch", "loss", log=True)
    return Measured(numbers, ["hidden units", "learned XOR"], rows, {"xor.svg": panels([bends, chart], 2)})


def _bends(net: nw.Executable, word: str) -> str:
    """Where in the plane a net says 1."""
    side = np.linspace(-0.5, 1.5, 41, dtype=np.float32)
    grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    says = net(x=grid)["y"][:, 0] > 0.5
    points: dict[str, Points] = {"says 1": grid[says].tolist(), "says 0": grid[~says].tolist()}
    return line_chart(points, f"The plane as a net sees it ({word})", "x1", "x2", dots=points, equal=True)
