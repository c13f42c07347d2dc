"""Layers against torch.nn, with random values everywhere, in float64; and what they refuse."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import AnyDim, Builder, DType, OpError, TensorType, Value, symbol
from netwright.compiler.ir.init import Initializer
from netwright.compiler.ops import OPS
from netwright.compiler.ops.tensor import Tensor
from netwright.spec.layers import FAMILIES, LAYERS, Layer
from netwright.spec.model.nodes import RESERVED_KEYS

N, H = symbol("N"), symbol("H")


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


# ---- linear, embedding


@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 3, 5), (2, 1, 3, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape: tuple[int, ...], bias: bool) -> None:
    check("linear", torch.nn.Linear(5, 7, bias=bias), shape, features=7, bias=bias)


def test_linear_keeps_symbolic_sizes() -> None:
    built = Built("linear", (N, H, 5), features=3)
    assert built.result.shape == (N, H, 3)
    assert not built.build.shapes.guards


@pytest.mark.parametrize("dtype", [DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32])
def test_linear_keeps_the_dtype(dtype: DType) -> None:
    assert Built("linear", (4, 5), dtype, features=3).result.dtype is dtype


@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
@pytest.mark.parametrize("dtype", [DType.INT64, DType.INT32])
def test_embedding(shape: tuple[int, ...], dtype: DType) -> None:
    module = torch.nn.Embedding(6, 5).double()
    parameters = randomize(module)
    ids = np.asarray(generator().integers(0, 6, size=shape), dtype.numpy)
    built = Built("embedding", shape, dtype, rows=6, features=5)
    wanted = module(torch.from_numpy(ids)).detach().numpy()
    np.testing.assert_array_equal(built.run(ids, parameters), wanted)


# ---- convolutions

CONVOLUTIONS: list[tuple[int, dict[str, Any]]] = [
    (1, {"kernel": 3}),
    (1, {"kernel": 4, "stride": 3, "padding": 2, "dilation": 2}),
    (1, {"kernel": 1, "bias": False}),
    (1, {"kernel": 3, "groups": 4}),
    (2, {"kernel": 3}),
    (2, {"kernel": 3, "padding": 1, "bias": False}),
    (2, {"kernel": 3, "stride": 2, "padding": 1}),
    (2, {"kernel": [3, 2], "stride": [2, 1], "padding": [1, 0], "dilation": [1, 3]}),
    (2, {"kernel": 3, "groups": 2, "filters": 6}),
    (2, {"kernel": 3, "groups": 4, "filters": 8, "padding": 1}),
    (2, {"kernel": 2, "groups": 4, "filters": 4, "stride": 2, "dilation": 2}),
    (2, {"kernel": 1, "stride": 2}),
    (2, {"kernel": 3, "padding": "valid"}),
    (2, {"kernel": 3, "padding": "same"}),
    (2, {"kernel": [2, 4], "padding": "same", "dilation": 2}),
    (3, {"kernel": 2}),
    (3, {"kernel": [1, 3, 2], "stride": [1, 2, 2], "padding": [0, 1, 1], "groups": 2, "dilation": [2, 1, 1]}),
    (3, {"kernel": 3, "padding": "same"}),
]
SIZES = {1: (17,), 2: (9, 11), 3: (5, 6, 7)}


def torch_fields(fields: dict[str, Any]) -> dict[str, Any]:
    renamed = {"kernel": "kernel_size"}
    return {renamed.get(k, k): tuple(v) if isinstance(v, list) else v for k, v in fields.items() if k != "filters"}


@pytest.mark.parametrize(("axes", "fields"), CONVOLUTIONS, ids=str)
def test_conv(axes: int, fields: dict[str, Any]) -> None:
    fields = {"filters": 4, **fields}
    module = getattr(torch.nn, f"Conv{axes}d")(4, fields["filters"], **torch_fields(fields))
    check(f"conv{axes}d", module, (2, 4, *SIZES[axes]), **fields)


TRANSPOSED: list[tuple[int, dict[str, Any]]] = [
    (1, {"kernel": 3}),
    (1, {"kernel": 4, "stride": 3, "padding": 1, "output_padding": 2, "dilation": 2}),
    (1, {"kernel": 3, "stride": 1, "dilation": 3, "output_padding": 2}),
    (2, {"kernel": 2, "stride": 2}),
    (2, {"kernel": 3, "stride": 2, "padding": 1, "output_padding": 1}),
    (2, {"kernel": 3, "padding": 2, "bias": False}),
    (2, {"kernel": [3, 4], "stride": [3, 2], "padding": [0, 2], "output_padding": [2, 0], "dilation": [1, 2]}),
    (2, {"kernel": 1, "stride": 3}),
    (2, {"kernel": 3, "stride": 2, "groups": 2, "filters": 6}),
    (2, {"kernel": 4, "stride": 2, "padding": 1, "groups": 4, "filters": 4}),
    (2, {"kernel": 3, "groups": 4, "filters": 12, "dilation": 2}),
    (3, {"kernel": 2, "stride": 2}),
    (3, {"kernel": [1, 3, 2], "stride": [1, 2, 3], "padding": [0, 1, 0], "output_padding": [0, 1, 2], "groups": 2}),
]


@pytest.mark.parametrize(("axes", "fields"), TRANSPOSED, ids=str)
def test_conv_transpose(axes: int, fields: dict[str, Any]) -> None:
    fields = {"filters": 4, **fields}
    module = getattr(torch.nn, f"ConvTranspose{axes}d")(4, fields["filters"], **torch_fields(fields))
    check(f"conv_transpose{axes}d", module, (2, 4, *SIZES[axes]), **fields)


@pytest.mark.parametrize(
    "padding, sides",
    [
        ([0, 0, 1, 1], (0, 1, 0, 1)),
        ([1, 2, 3, 0], (2, 0, 1, 3)),
        ([[1, 3], [2, 0]], (2, 0, 1, 3)),
        ([2, 0], (0, 0, 2, 2)),
    ],
)
def test_conv2d_padding_per_side(padding: list[Any], sides: tuple[int, int, int, int]) -> None:
    """``sides`` is (left, right, top, bottom), as torch's F.pad takes them."""
    module = torch.nn.Sequential(torch.nn.ZeroPad2d(sides), torch.nn.Conv2d(3, 4, 3, stride=2)).double()
    inner = randomize(module[1])
    x = generator().normal(size=(2, 3, 8, 9))
    built = Built("conv2d", x.shape, filters=4, kernel=3, stride=2, padding=padding)
    np.testing.assert_allclose(built.run(x, inner), module(torch.from_numpy(x)).detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation"), [(9, 3, 2, 1), (8, 3, 2, 1), (7, 2, 3, 1), (10, 3, 3, 2), (5, 1, 3, 1)]
)
def test_conv_padding_same_with_stride(size: int, kernel: int, stride: int, dilation: int) -> None:
    """TensorFlow's rule, which XLA has too."""
    x = generator().normal(size=(1, 2, size, size + 1)).astype(np.float32)
    weight = generator().normal(size=(3, 2, kernel, kernel)).astype(np.float32)
    wanted = np.asarray(
        jax.lax.conv_general_dilated(
            jnp.asarray(x), jnp.asarray(weight), (stride, stride), "SAME", rhs_dilation=(dilation, dilation)
        )
    )
    fields: dict[str, Any] = {
        "filters": 3,
        "kernel": kernel,
        "stride": stride,
        "padding": "same",
        "dilation": dilation,
        "bias": False,
    }
    built = Built("conv2d", x.shape, **fields)
    np.testing.assert_allclose(
        built.run(x.astype(float), {"weight": weight.astype(float)}), wanted, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(4, 2, 1), (3, 2, 1), (3, 1, 2), (1, 3, 1), (2, 3, 1)])
def test_conv_transpose_padding_same_undoes_a_convolution(kernel: int, stride: int, dilation: int) -> None:
    """A size becomes size * stride, and the layer is the gradient of the `same` convolution over the larger map."""
    size = 5
    window: dict[str, Any] = {
        "kernel": kernel,
        "stride": stride,
        "padding": "same",
        "dilation": dilation,
        "bias": False,
    }
    down = Built("conv1d", (1, 3, size * stride), filters=2, **window)
    up = Built("conv_transpose1d", (1, 2, size), filters=3, **window)
    assert up.result.shape == (1, 3, size * stride)
    weight = generator().normal(size=(2, 3, kernel))
    y, x = generator().normal(size=(1, 2, size)), generator().normal(size=(1, 3, size * stride))
    # <down(x), y> == <x, up(y)>
    left = np.sum(down.run(x, {"weight": weight}) * y)
    right = np.sum(x * up.run(y, {"weight": weight}))
    np.testing.assert_allclose(left, right, rtol=1e-10)


def test_conv_with_symbolic_sizes() -> None:
    built = Built("conv2d", (N, 3, 32 * H, 32 * H), filters=8, kernel=3, stride=2, padding="same")
    assert built.result.shape == (N, 8, 16 * H, 16 * H)
    module = torch.nn.Sequential(torch.nn.ZeroPad2d((0, 1, 0, 1)), torch.nn.Conv2d(3, 8, 3, stride=2)).double()
    parameters = randomize(module[1])
    x = generator().normal(size=(2, 3, 32, 32))
    wanted = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(built.run(x, parameters, N=2, H=1), wanted, rtol=1e-9)
    up = Built("conv_transpose2d", (N, 8, H, H), filters=3, kernel=2, stride=2)
    assert up.result.shape == (N, 3, 2 * H, 2 * H)


# ---- normalisation


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 4)])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(shape: tuple[int, ...], affine: bool) -> None:
    axes = max(1, len(shape) - 2)
    module = getattr(torch.nn, f"BatchNorm{axes}d")(3, eps=1e-3, affine=affine)
    built = check("batch_norm", module, shape, eps=1e-3, affine=affine)
    assert [node.op.name for node in built.build.nodes] == ["normalize_batch"]


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("affine", "bias"), [(True, True), (True, False), (False, True)])
def test_layer_norm(axes: int, affine: bool, bias: bool) -> None:
    shape = (2, 3, 4, 5)
    module = torch.nn.LayerNorm(shape[-axes:], eps=1e-2, elementwise_affine=affine, bias=bias)
    built = check("layer_norm", module, shape, eps=1e-2, axes=axes, affine=affine, bias=bias)
    assert [node.op.name for node in built.build.nodes] == ["normalize_layer"]


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("affine", [True, False])
def test_rms_norm(axes: int, affine: bool) -> None:
    shape = (2, 4, 5)
    module = torch.nn.RMSNorm(shape[-axes:], eps=1e-2, elementwise_affine=affine)
    check("rms_norm", module, shape, eps=1e-2, axes=axes, affine=affine)


@pytest.mark.parametrize("shape", [(2, 6), (2, 6, 5), (2, 6, 3, 4)])
@pytest.mark.parametrize(("groups", "affine"), [(1, True), (3, True), (6, True), (2, False)])
def test_group_norm(shape: tuple[int, ...], groups: int, affine: bool) -> None:
    module = torch.nn.GroupNorm(groups, 6, eps=1e-2, affine=affine)
    check("group_norm", module, shape, groups=groups, eps=1e-2, affine=affine)


@pytest.mark.parametrize("shape", [(2, 6, 5), (2, 6, 3, 4), (2, 6, 2, 3, 4)])
@pytest.mark.parametrize("affine", [True, False])
def test_instance_norm(shape: tuple[int, ...], affine: bool) -> None:
    module = getattr(torch.nn, f"InstanceNorm{len(shape) - 2}d")(6, eps=1e-2, affine=affine)
    check("instance_norm", module, shape, eps=1e-2, affine=affine)


def test_norms_keep_symbolic_sizes() -> None:
    norms: list[tuple[str, dict[str, Any]]] = [("batch_norm", {}), ("group_norm", {"groups": 2}), ("instance_norm", {})]
    for name, fields in norms:
        built = Built(name, (N, 4, H, H), **fields)
        assert built.result.shape == (N, 4, H, H)
        assert not built.build.shapes.guards
    assert Built("layer_norm", (N, H, 4)).result.shape == (N, H, 4)


# ---- activations, radial units


@pytest.mark.parametrize(("channels", "shape"), [(1, ()), (1, (5,)), (1, (2, 3, 4)), (3, (2, 3)), (3, (2, 3, 4, 5))])
def test_prelu(channels: int, shape: tuple[int, ...]) -> None:
    check("prelu", torch.nn.PReLU(channels), shape, channels=channels)


@pytest.mark.parametrize("function", ["gaussian", "multiquadric"])
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
def test_rbf(function: str, shape: tuple[int, ...]) -> None:
    random = generator()
    x, centers, widths = random.normal(size=shape), random.normal(size=(6, 4)), random.uniform(0.5, 2, size=6)
    flat = torch.from_numpy(x).reshape(-1, 4)
    distance = torch.cdist(flat, torch.from_numpy(centers), compute_mode="donot_use_mm_for_euclid_dist").numpy()
    gaussian = np.exp(-(distance**2) / (2 * widths**2))
    wanted = gaussian if function == "gaussian" else np.hypot(distance, widths)
    built = Built("rbf", shape, units=6, function=function)
    assert built.result.shape == (*shape[:-1], 6)
    result = built.run(x, {"centers": centers, "widths": widths})
    np.testing.assert_allclose(result, wanted.reshape(*shape[:-1], 6), rtol=1e-10)


# ---- what is refused

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


CONV = {"filters": 4, "kernel": 1}
NEEDED: dict[str, dict[str, Any]] = {
    "linear": {"features": 3},
    "embedding": {"rows": 4, "features": 2},
    "rbf": {"units": 2},
    "group_norm": {"groups": 2},
    **{f"conv{t}{k}d": CONV for t in ("", "_transpose") for k in (1, 2, 3)},
}


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


# ---- the declarations


def test_every_layer_is_listed_once() -> None:
    assert len(LAYERS) == sum(len(family) for family in FAMILIES)
    assert all(name == layer.name for name, layer in LAYERS.items())
    assert not set(LAYERS) & set(OPS), "an op and a layer share a name"


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_declaration(layer: type[Layer]) -> None:
    assert not RESERVED_KEYS & set(layer.model_fields), "a field bears the name of a key of the language"
    assert layer.__doc__ and layer.__doc__ is not Layer.__doc__
    assert layer.source
    assert layer.owned
    undocumented = [key for key, field in layer.model_fields.items() if not field.description]
    assert not undocumented
    schema = layer.model_json_schema()
    assert all("description" in schema["properties"][key] for key in layer.model_fields)


@pytest.mark.parametrize("name", LAYERS)
def test_parameters_are_declared(name: str) -> None:
    built = example(name)
    assert set(built.specs) <= set(LAYERS[name].owned)
    for spec in built.specs.values():
        assert isinstance(spec.init, Initializer)
        assert spec.trainable == (not spec.name.startswith("running_"))


def example(name: str) -> Built:
    if name == "embedding":
        return Built(name, (3,), DType.INT64, rows=4, features=2)
    return Built(name, example_shape(name), **NEEDED.get(name, {}))


def example_shape(name: str) -> tuple[int, ...]:
    return (2, 4, 6, 6, 6)[: int(name[-2]) + 2 if name.startswith("conv") else 3]


@pytest.mark.parametrize(
    ("name", "torch_layer"),
    [
        ("linear", torch.nn.Linear(4, 3)),
        ("conv2d", torch.nn.Conv2d(4, 4, 1)),
        ("conv_transpose2d", torch.nn.ConvTranspose2d(4, 4, 1)),
    ],
)
def test_first_values_stay_within_the_bound_of_torch(name: str, torch_layer: torch.nn.Module) -> None:
    """torch draws weight and bias from one bound, 1 / sqrt(fan in), which its own values approach."""
    built = example(name) if name != "linear" else Built(name, (2, 4), features=3)
    for spec in built.specs.values():
        bound = spec.init.fan_in**-0.5
        drawn = max(getattr(type(torch_layer)(*_sizes(torch_layer)), spec.name).abs().max().item() for _ in range(200))
        assert 0.9 * bound < drawn <= bound


def _sizes(layer: torch.nn.Module) -> tuple[int, ...]:
    return (4, 3) if isinstance(layer, torch.nn.Linear) else (4, 4, 1)
