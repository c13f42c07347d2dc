"""First values: their distributions, and that they depend on seed and path alone."""

from __future__ import annotations

import os
import subprocess
import sys
from math import sqrt

import numpy as np
import pytest

from netwright.compiler.initialize import initial_value, random_parameters
from netwright.compiler.ir import DType, Entry, Graph, Parameter, Program, TensorType, symbol
from netwright.compiler.ir.init import He, Normal, Xavier, initializer, plain


def parameter(init: object, *shape: int, path: str = "w", dtype: str = "float32") -> Parameter:
    return Parameter(path, TensorType(DType(dtype), shape), init)


@pytest.mark.parametrize(
    ("init", "shape", "mean", "deviation", "bound"),
    [
        ("zeros", (100,), 0, 0, 0),
        ("ones", (100,), 1, 0, 1),
        ({"constant": -0.5}, (100,), -0.5, 0, 0.5),
        ({"normal": 0.02}, (400, 500), 0, 0.02, None),
        ({"uniform": 0.3}, (400, 500), 0, 0.3 / sqrt(3), 0.3),
        ("xavier", (300, 500), 0, sqrt(2 / 800), sqrt(6 / 800)),
        ("he", (300, 20, 5, 5), 0, sqrt(2 / 500), None),
        ({"he": 50}, (300, 500), 0, sqrt(2 / 50), None),
        ("kaiming_uniform", (300, 400), 0, 1 / 20 / sqrt(3), 1 / 20),
        ({"kaiming_uniform": 100}, (90_000,), 0, 0.1 / sqrt(3), 0.1),
        (("normal", 2.0), (400, 500), 0, 2, None),
    ],
)
def test_distributions(
    init: object, shape: tuple[int, ...], mean: float, deviation: float, bound: float | None
) -> None:
    values = initial_value(parameter(init, *shape), 1)
    assert values.shape == shape and values.dtype == np.float32
    # Six standard errors of the mean and of the standard deviation (of normal values; uniform ones scatter less).
    wide = values.astype(np.float64)
    assert abs(wide.mean() - mean) <= 6 * deviation / sqrt(values.size)
    assert abs(wide.std() - deviation) <= 6 * deviation / sqrt(2 * values.size)
    if bound is not None:
        assert float(np.abs(values).max()) <= bound * (1 + 1e-6)


@pytest.mark.parametrize("shape", [(6, 6), (4, 10), (10, 4), (8, 3, 2, 2)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    values = initial_value(parameter("orthogonal", *shape), 0).reshape(shape[0], -1).astype(np.float64)
    small = values @ values.T if values.shape[0] <= values.shape[1] else values.T @ values
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-5)


def test_values_depend_on_seed_and_path_alone() -> None:
    one = initial_value(parameter({"normal": 1}, 5, path="a.b"), 3)
    assert one.tolist() == initial_value(parameter({"normal": 1}, 5, path="a.b"), 3).tolist()
    assert one.tolist() != initial_value(parameter({"normal": 1}, 5, path="a.c"), 3).tolist()
    assert one.tolist() != initial_value(parameter({"normal": 1}, 5, path="a.b"), 4).tolist()


def test_values_are_the_same_in_every_process() -> None:
    code = (
        "from netwright.compiler.initialize import initial_value\n"
        "from netwright.compiler.ir import *\n"
        "p = Parameter('layer.0.w', TensorType(DType.FLOAT32, (7, 3)), 'he')\n"
        "print(initial_value(p, 5).tobytes().hex())"
    )
    texts = set()
    for seed in ("0", "1"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
        texts.add(ran.stdout)
    assert texts == {initial_value(parameter("he", 7, 3, path="layer.0.w"), 5).tobytes().hex() + "\n"}


def test_blocks_do_not_show() -> None:
    large = initial_value(parameter({"normal": 1}, 3 * 2**20 + 17), 0)
    start = initial_value(parameter({"normal": 1}, 1000), 0)
    assert large[:1000].tolist() == start.tolist()
    assert abs(float(np.corrcoef(large[: 2**20], large[2**20 : 2**21])[0, 1])) < 6 / sqrt(2**20)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dtypes_agree(dtype: str) -> None:
    wide = initial_value(parameter({"normal": 1}, 50), 0)
    values = initial_value(parameter({"normal": 1}, 50, dtype=dtype), 0)
    assert values.dtype == DType(dtype).numpy
    assert values.tolist() == wide.astype(DType(dtype).numpy).tolist()


def test_everywhere_leaves_nothing_constant() -> None:
    for init, low, high in (("zeros", -1, 1), ("ones", 0.5, 1.5), ({"constant": 4}, 2, 6), ({"constant": -4}, -6, -2)):
        values = initial_value(parameter(init, 1000), 0, everywhere=True)
        assert values.std() > 0.05
        assert low <= values.min() and values.max() <= high
    count = initial_value(parameter("zeros", 3, dtype="int64"), 0, everywhere=True)
    assert count.tolist() == [0, 0, 0]
    drawn = parameter({"normal": 1}, 9)
    assert initial_value(drawn, 0, everywhere=True).tolist() == initial_value(drawn, 0).tolist()


def test_parameters_are_drawn_when_asked_for() -> None:
    huge = Parameter("huge", TensorType(DType.FLOAT32, (2**20, 2**18)), "he")
    small = parameter("ones", 2)
    program = Program("p", {"main": Entry("main", Graph((), (), ()), (), (), (), ())}, {}, {"huge": huge, "w": small})
    values = random_parameters(program, 0)
    assert list(values) == ["huge", "w"] and len(values) == 2 and "huge" in values and "v" not in values
    assert values["w"].tolist() == [1, 1]


def test_a_range_counts() -> None:
    assert initial_value(parameter("range", 2, 3), 0, everywhere=True).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("ortogonal", "parameter w: 'ortogonal' is no initializer; did you mean orthogonal?"),
        ({"normal": "wide"}, "parameter w: initializer normal, std"),
        ("normal", "initializer normal, std: Field required"),
        ({"zeros": 1}, "the initializer zeros takes no number"),
        ({"normal": 1, "uniform": 2}, "is no initializer"),
        ({"he": {"fan": 1}}, "initializer he, fan"),
        (3, "3 is no initializer"),
        ("orthogonal", "an orthogonal initializer needs two axes"),
    ],
)
def test_mistakes(init: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        initial_value(parameter(init, 4), 0)
    assert message in str(caught.value)


def test_unknown_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="has a size that is not known"):
        initial_value(Parameter("w", TensorType(DType.FLOAT32, (symbol("N"),))), 0)


@pytest.mark.parametrize(
    ("written", "kind", "short"),
    [
        ("he", He(), "he"),
        ({"he": {"fan_in": 3}}, He(fan_in=3), {"he": 3}),
        ({"normal": 0.5}, Normal(std=0.5), {"normal": 0.5}),
        ({"xavier": {"fan_in": 3, "fan_out": 4}}, Xavier(fan_in=3, fan_out=4), {"xavier": {"fan_in": 3, "fan_out": 4}}),
        ({"xavier": {"fan_out": 4}}, Xavier(fan_out=4), {"xavier": {"fan_out": 4}}),
    ],
)
def test_plain_form(written: object, kind: object, short: object) -> None:
    assert initializer(written) == kind
    assert plain(initializer(written)) == short
    assert initializer(short) == kind
