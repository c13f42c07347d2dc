"""What the tests of training share: steps of a model on a target, beside torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from netwright.backends.executable import Executable
from netwright.compiler.initialize import random_parameters
from netwright.compiler.ir import Program
from netwright.compiler.ir.verify import verify
from netwright.compiler.training.program import training_program
from netwright.driver.build import Build, Weights, compile_model
from netwright.driver.model import Model, load

RTOL = 1e-4
"""How far float32 weights may be from torch's after ten steps, as a share of a tensor's norm."""


@dataclass
class Run:
    """A model on a target, ready to take steps."""

    net: Executable
    program: Program
    first: Mapping[str, np.ndarray]

    def step(self, rate: float, entry: str = "train_step", **inputs: np.ndarray) -> dict[str, float]:
        """One step; its measures."""
        outputs = self.net.run(entry, learning_rate=np.float32(rate), **inputs)
        return {name: float(value) for name, value in outputs.items()}

    def weights(self) -> dict[str, np.ndarray]:
        """The learned parameters, and what else is state."""
        return dict(self.net.states)


def model_of(folder: Path, text: str, **args: object) -> Model:
    """The model of a spec's text."""
    path = folder / "model.yaml"
    path.write_text("netwright: 1\n" + text, encoding="utf-8")
    return load(path, **args)


def begin(
    model: Model,
    target: str = "numpy",
    seed: int = 0,
    everywhere: bool = True,
    weights: Mapping[str, np.ndarray] | None = None,
) -> Run:
    """Compile the training of a model; ``everywhere`` draws biases, gains and statistics at random, too.

    ``weights`` are those to begin with.
    """
    plan = model.training
    program = training_program(plan)
    verify(program, "training")
    drawn = random_parameters(Program("p", {}, parameters=plan.parameters), seed, everywhere=everywhere)
    first = {path: np.asarray((weights or drawn)[path]) for path in plan.parameters}
    net = compile_model(model.having(program), Build(target), Weights(values=first))
    net.set_states({name: array for name, array in first.items() if name in program.state})
    return Run(net, program, first)


def assert_near(got: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], rtol: float = RTOL) -> None:
    """Every tensor of ``wanted`` is in ``got``: the Euclidean norm of the difference is ``rtol`` of the tensor's.

    Not element by element: where a gradient is nothing but rounding, Adam and its kin take a whole step by its sign.
    """
    for name, array in wanted.items():
        assert got[name].shape == array.shape, name
        difference, size = np.linalg.norm(got[name] - array), np.linalg.norm(array)
        assert difference <= rtol * max(float(size), 1e-3), (name, difference / size)
