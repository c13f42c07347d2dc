"""A layer on one operand, beside the module of torch.nn that it is; and the fields that each layer cannot do without."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import AnyDim, Builder, DType, TensorType, Value
from netwright.compiler.ops.tensor import Tensor
from netwright.spec.layers import LAYERS


class Built:
    """A layer on one operand, lowered; parameters come as graph inputs of the shapes that it asks for."""

    def __init__(self, name: str, shape: tuple[AnyDim, ...], dtype: DType = DType.FLOAT64, **fields: Any) -> None:
        self.layer = LAYERS[name](**fields)
        self.build = Builder()
        self.x = Value(TensorType(dtype, shape))
        x = Tensor(self.build, self.x)
        self.specs = {spec.name: spec for spec in self.layer.parameters(x)}
        kind = dtype if dtype.is_float else DType.FLOAT64
        self.given = {key: Value(TensorType(kind, spec.shape)) for key, spec in self.specs.items()}
        self.result: Tensor = self.layer.lower(
            self.build, x, **{key: Tensor(self.build, value) for key, value in self.given.items()}
        )

    def run(self, x: np.ndarray, parameters: dict[str, np.ndarray], **sizes: int) -> np.ndarray:
        graph = self.build.graph((self.x, *self.given.values()), (self.result.value,))
        (result,) = evaluate(graph, [x, *(parameters[key] for key in self.given)], sizes=sizes)
        return result


def generator() -> np.random.Generator:
    return np.random.default_rng(7)


def randomize(module: torch.nn.Module) -> dict[str, np.ndarray]:
    """Random parameters and running statistics (variances above zero), and copies of them by name."""
    random = generator()
    held = dict(module.named_parameters()) | dict(module.named_buffers())
    held.pop("num_batches_tracked", None)
    with torch.no_grad():
        for key, tensor in held.items():
            values = random.normal(size=tuple(tensor.shape))
            tensor.copy_(torch.from_numpy(np.abs(values) + 0.1 if key == "running_var" else values))
    return {key: tensor.detach().numpy().copy() for key, tensor in held.items()}


def check(name: str, module: torch.nn.Module, shape: tuple[int, ...], **fields: Any) -> Built:
    """The layer gives what the module gives, with parameters of the same names, shapes and order."""
    module = module.double().eval()
    parameters = randomize(module)
    x = generator().normal(size=shape)
    built = Built(name, shape, **fields)
    assert {key: spec.shape for key, spec in built.specs.items()} == {k: v.shape for k, v in parameters.items()}
    assert list(built.specs) == list(parameters)
    with torch.no_grad():
        wanted = module(torch.from_numpy(x)).numpy()
    result = built.run(x, parameters)
    assert result.shape == wanted.shape == built.result.shape
    np.testing.assert_allclose(result, wanted, rtol=1e-10, atol=1e-10)
    return built


CONV = {"filters": 4, "kernel": 1}
NEEDED: dict[str, dict[str, Any]] = {
    "linear": {"features": 3},
    "embedding": {"rows": 4, "features": 2},
    "rbf": {"units": 2},
    "group_norm": {"groups": 2},
    **{f"conv{t}{k}d": CONV for t in ("", "_transpose") for k in (1, 2, 3)},
}


def example(name: str) -> Built:
    if name == "embedding":
        return Built(name, (3,), DType.INT64, rows=4, features=2)
    return Built(name, example_shape(name), **NEEDED.get(name, {}))


def example_shape(name: str) -> tuple[int, ...]:
    return (2, 4, 6, 6, 6)[: int(name[-2]) + 2 if name.startswith("conv") else 3]
