"""What layers refuse: operands, fields, parameters of other shapes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from netwright.compiler.ir import AnyDim, Builder, DType, OpError, TensorType, Value, symbol
from netwright.compiler.ops.tensor import Tensor
from netwright.spec.layers import LAYERS
from netwright.tests.spec.layers_built import CONV, NEEDED, Built, example_shape

N, H = symbol("N"), symbol("H")


X4 = (2, 4, 8, 8)
REFUSED: list[tuple[str, tuple[AnyDim, ...], dict[str, Any], str]] = [
    ("linear", (), {"features": 3}, "linear: x needs an axis"),
    ("linear", (2, N), {"features": 3}, "linear: the last axis of x .* must be known .* it is N"),
    (
        "conv2d",
        (2, 4, 8),
        {"filters": 2, "kernel": 3},
        r"conv2d: x must have 4 axes, \[N, C, H, W\]; it is float64\[2, 4, 8\]",
    ),
    ("conv2d", (2, N, 8, 8), {"filters": 2, "kernel": 3}, "conv2d: the channels of x .* must be known"),
    (
        "conv2d",
        X4,
        {"filters": 2, "kernel": 3, "groups": 3},
        r"conv2d: the channels of x \(4\) cannot be split into 3 groups",
    ),
    ("conv2d", X4, {"filters": 3, "kernel": 3, "groups": 2}, r"conv2d: filters \(3\) cannot be split into 2 groups"),
    ("conv2d", X4, {"filters": 2, "kernel": 9}, "conv2d: the kernel spans 9 on spatial axis 0, .* has 8"),
    (
        "conv2d",
        X4,
        {"filters": 2, "kernel": [1, 4], "dilation": 3, "padding": [0, 0, 0, 1]},
        r"spans 10 \(size 4, dilation 3\) on spatial axis 1.* has 9",
    ),
    ("conv2d", X4, {"filters": 2, "kernel": [3, 3, 3]}, "conv2d: kernel has 3 numbers for 2 axes"),
    ("conv2d", X4, {"filters": 2, "kernel": 3, "stride": [1]}, "conv2d: stride has 1 numbers for 2 axes"),
    (
        "conv2d",
        X4,
        {"filters": 2, "kernel": 3, "padding": [1, 1, 1]},
        "conv2d: padding has 3 numbers; it takes 2 numbers, 4",
    ),
    ("conv2d", X4, {"filters": 2, "kernel": 3, "padding": [[1, 1]]}, "conv2d: padding has 1 pairs"),
    (
        "conv2d",
        (2, 4, H, 8),
        {"filters": 2, "kernel": 3, "stride": 2, "padding": "same"},
        "`padding: same` with stride 2 depends on the size H",
    ),
    (
        "conv_transpose2d",
        X4,
        {"filters": 2, "kernel": 3, "stride": 2, "output_padding": 2},
        "output_padding 2 must be smaller than the stride 2 or the dilation 1",
    ),
    (
        "conv_transpose2d",
        X4,
        {"filters": 2, "kernel": 3, "padding": "same", "output_padding": 1, "stride": 2},
        "`padding: same` fixes the size",
    ),
    ("conv_transpose2d", (2, 4, 1, 1), {"filters": 2, "kernel": 3, "padding": 2}, "leaves nothing of spatial axis 0"),
    ("batch_norm", (4,), {}, r"batch_norm: x must be \[N, C, ...\], it is float64\[4\]"),
    ("batch_norm", (N, H, 4), {}, "batch_norm: the channels of x .* must be known"),
    ("layer_norm", (2, 4), {"axes": 3}, r"layer_norm: axes must be at most the 2 of x \(float64\[2, 4\]\), it is 3"),
    ("layer_norm", (2, N), {}, "layer_norm: axis 1 of x .* must be known .* it is N"),
    ("rms_norm", (), {}, "rms_norm: axes must be at most the 0 of x"),
    ("group_norm", (2, 6, 3), {"groups": 4}, r"group_norm: the channels of x \(6\) cannot be split into 4 groups"),
    ("instance_norm", (N,), {}, "instance_norm: x must be"),
    (
        "prelu",
        (2, 4),
        {"channels": 3},
        r"prelu: channels must be 1 or the size of axis 1 of x, it is 3 for float64\[2, 4\]",
    ),
    ("prelu", (3,), {"channels": 3}, "prelu: channels must be 1"),
    ("rbf", (), {"units": 3}, "rbf: x needs an axis"),
    ("rbf", (3, N), {"units": 3}, "rbf: the last axis of x .* must be known"),
]


@pytest.mark.parametrize(
    ("name", "shape", "fields", "message"), REFUSED, ids=[f"{r[0]}-{k}" for k, r in enumerate(REFUSED)]
)
def test_operands_that_are_refused(name: str, shape: tuple[AnyDim, ...], fields: dict[str, Any], message: str) -> None:
    with pytest.raises(OpError, match=message):
        Built(name, shape, **fields)


@pytest.mark.parametrize("name", sorted(set(LAYERS) - {"embedding"}))
def test_whole_numbers_are_refused(name: str) -> None:
    with pytest.raises(OpError, match=rf"{name}: x must be float, it is int64"):
        Built(name, example_shape(name), DType.INT64, **NEEDED.get(name, {}))


def test_embedding_refuses_floats() -> None:
    with pytest.raises(OpError, match="embedding: indices are int32 or int64, not float64"):
        Built("embedding", (3,), rows=4, features=2)


@pytest.mark.parametrize(
    ("name", "fields", "field"),
    [
        ("linear", {"features": 0}, "features"),
        ("linear", {"features": 2.0}, "features"),
        ("linear", {"features": True}, "features"),
        ("linear", {"features": "3"}, "features"),
        ("linear", {"features": N}, "features"),
        ("linear", {}, "features"),
        ("linear", {"features": 3, "bias": 1}, "bias"),
        ("linear", {"features": 3, "units": 3}, "units"),
        ("embedding", {"rows": -1, "features": 3}, "rows"),
        ("conv2d", {**CONV, "stride": 0}, "stride"),
        ("conv2d", {**CONV, "padding": -1}, "padding"),
        ("conv2d", {**CONV, "padding": "full"}, "padding"),
        ("conv2d", {**CONV, "padding": [[1, 2, 3], [0, 0, 0]]}, "padding"),
        ("conv2d", {**CONV, "groups": 0}, "groups"),
        ("conv2d", {**CONV, "output_padding": 1}, "output_padding"),
        ("rbf", {"units": 3, "function": "cubic"}, "function"),
        ("batch_norm", {"eps": -1e-5}, "eps"),
        ("batch_norm", {"eps": float("nan")}, "eps"),
        ("batch_norm", {"momentum": 2}, "momentum"),
        ("layer_norm", {"axes": 0}, "axes"),
        ("group_norm", {}, "groups"),
    ],
)
def test_fields_that_are_refused(name: str, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        LAYERS[name](**fields)


@pytest.mark.parametrize(
    ("name", "shape", "wrong"),
    [
        ("linear", (2, 4), {"bias": (1,)}),
        ("linear", (2, 4), {"weight": (4, 3)}),
        ("prelu", (2, 4), {"weight": (4,)}),
        ("conv2d", (2, 4, 6, 6), {"bias": (1,)}),
        ("conv2d", (2, 4, 6, 6), {"weight": (4, 4, 1)}),
    ],
)
def test_a_parameter_of_another_shape_is_refused(name: str, shape: tuple[int, ...], wrong: dict[str, Any]) -> None:
    build = Builder()
    x = Tensor(build, Value(TensorType(DType.FLOAT32, shape)))
    layer = LAYERS[name](**NEEDED.get(name, {}))
    shapes = {spec.name: spec.shape for spec in layer.parameters(x)} | wrong
    given = {key: Tensor(build, Value(TensorType(DType.FLOAT32, size))) for key, size in shapes.items()}
    (key,) = wrong
    with pytest.raises(OpError, match=f"{name}: {key} is float32.* where float32.* is needed"):
        layer.lower(build, x, **given)
