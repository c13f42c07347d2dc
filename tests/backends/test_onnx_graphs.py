"""Graphs of the onnx target: fast forms, sizes found at run time, loops, branches, state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from netwright.backends.api import BackendError
from netwright.backends.onnx import OnnxBackend
from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import AnyDim, Builder, DType, Graph, Program, State, TensorType, symbol
from netwright.compiler.ops import functional as fn
from netwright.compiler.ops.activation_smooth import Gelu
from netwright.compiler.ops.attention import Attention
from netwright.compiler.ops.contract import Conv, Dot
from netwright.compiler.ops.control import Cond, Scan, While
from netwright.compiler.ops.normalize import NormalizeLayer
from netwright.compiler.ops.pooling import MaxPool2d
from netwright.compiler.ops.samples import bools, ints, normal, tensor_type
from netwright.compiler.ops.shape import Pad
from netwright.compiler.ops.tensor import Tensor, apply

from .programs import build, entry_of, graph_of, program_of, run

BACKEND = OnnxBackend()
N, T, H = symbol("N"), symbol("T", 1, 64), symbol("H", 1, 64)


def float32(*shape: AnyDim) -> TensorType:
    return TensorType(DType.FLOAT32, shape)


def types(*texts: str) -> list[TensorType]:
    return [tensor_type(text) for text in texts]


def program(given: Sequence[TensorType], make: Callable[..., Any], **weights: TensorType) -> Program:
    """A program whose inputs are x0, x1, ... and whose weights come after them."""
    graph = graph_of([*given, *weights.values()], make)
    return program_of(entry_of(graph, [f"x{k}" for k in range(len(given))], list(weights)))


def check(
    folder: Path,
    made: Program,
    runs: Sequence[tuple[dict[str, int], Sequence[np.ndarray]]],
    weights: dict[str, np.ndarray] | None = None,
    tolerance: float = 1e-5,
    **settings: Any,
) -> onnx.ModelProto:
    """One bundle of a program serves all sizes; returns its model."""
    weights = weights or {}
    runtime = BACKEND.load(build(folder / "bundle", BACKEND, made, weights, **settings))
    graph = made.entries["main"].graph
    for sizes, arrays in runs:
        found, _ = run(runtime, arrays, sizes=sizes)
        wanted = evaluate(graph, [*arrays, *weights.values()], sizes, wide=True)
        for one, other in zip(found, wanted, strict=True):
            assert one.shape == other.shape
            finite = other[np.isfinite(other)] if other.dtype.kind == "f" else np.zeros(0)
            scale = float(np.abs(finite).max()) if finite.size else 0
            np.testing.assert_allclose(one, other, tolerance, tolerance * scale)
    path = str(folder / "bundle" / "main.onnx")
    onnx.checker.check_model(path, full_check=True)
    return onnx.load(path, load_external_data=False)


def counted(model: onnx.ModelProto) -> Counter[str]:
    """How often each operator stands in the main graph."""
    return Counter(node.op_type for node in model.graph.node)


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return apply(x.build, Dot(lhs_contract=(x.rank - 1,), rhs_contract=(1,)), x, weight) + bias


# ---- fast forms


def transformer_block(build: Builder, x: Tensor, mask: Tensor, *w: Tensor) -> Tensor:
    """A post-norm block with heads of 4 features; w holds weights and biases in order."""
    q, k, v = (linear(x, w[2 * i], w[2 * i + 1]) for i in range(3))
    mixed = apply(build, Attention(heads=2), q, k, v, None, mask[:, None, None, :])
    x = apply(build, NormalizeLayer(), linear(mixed, w[6], w[7]) + x, w[8], w[9])
    hidden = apply(build, Gelu(), linear(x, w[10], w[11]))
    return apply(build, NormalizeLayer(), linear(hidden, w[12], w[13]) + x, w[14], w[15])


def test_a_transformer_block_stays_a_matrix(tmp_path: Path) -> None:
    sizes = [(8, 8), (8,)] * 4 + [(8,), (8,)] + [(16, 8), (16,), (8, 16), (8,), (8,), (8,)]
    weights = {f"w{k}": normal(*shape, salt=k) for k, shape in enumerate(sizes)}
    made = program(
        [float32(N, T, 8), TensorType(DType.BOOL, (N, T))],
        transformer_block,
        **{name: float32(*array.shape) for name, array in weights.items()},
    )
    shapes = ((1, 5), (3, 1), (8, 7))
    runs = [({"N": n, "T": t}, [normal(n, t, 8), bools(n, t) | (np.arange(t) == 0)]) for n, t in shapes]
    operators = counted(check(tmp_path, made, runs, weights))
    assert operators["Gemm"] == 6
    assert operators["Attention"] == 1
    assert operators["LayerNormalization"] == 2
    assert operators["Gelu"] == 1
    # The two residual additions; biases are inside Gemm. Only the mask is repeated, over queries.
    assert operators["Add"] == 2
    assert operators["Expand"] == 1
    # In: x as a matrix. Attention: q, k, v and the mask. Its result as a matrix, and the result.
    assert operators["Reshape"] == 7


def test_broadcasts_feed_elementwise_operators_as_they_are(tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, row: Tensor, channel: Tensor) -> Tensor:
        y = x * row + channel[:, None, None]
        return fn.where(y > 0, y, y * 0.5) - 1

    made = program([float32(N, 3, H, 4), float32(4), float32(3)], make)
    runs = [({"N": n, "H": h}, [normal(n, 3, h, 4), normal(4), normal(3)]) for n, h in ((1, 2), (2, 5))]
    operators = counted(check(tmp_path, made, runs))
    assert operators["Expand"] == 0
    assert operators["Reshape"] == 1
    assert operators["Shape"] == 0


def test_what_only_broadcasts_is_expanded_at_the_end(tmp_path: Path) -> None:
    def make(build: Builder, row: Tensor, column: Tensor, x: Tensor) -> list[Tensor]:
        size = x.shape[0]
        outer = row.broadcast_to((size, 3)) + 1
        return [outer, fn.tanh(column).broadcast_to((size, 2)) * 2, fn.reduce_sum(x)]

    made = program([float32(3), float32(N, 1), float32(N)], make)
    runs = [({"N": n}, [normal(3), normal(n, 1), normal(n)]) for n in (1, 4)]
    model = check(tmp_path, made, runs)
    expanded = [node for node in model.graph.node if node.op_type == "Expand"]
    assert [node.output[0] for node in expanded] == ["y0", "y1"]


def test_convolution_takes_in_its_bias_and_pools_plainly(tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        y = apply(build, Conv(padding=((1, 1), (1, 1))), x, weight) + bias[:, None, None]
        return apply(build, MaxPool2d(kernel=2), fn.maximum(y, 0))

    weights = {"weight": normal(5, 2, 3, 3), "bias": normal(5)}
    made = program([float32(N, 2, 2 * H, 8)], make, weight=float32(5, 2, 3, 3), bias=float32(5))
    runs = [({"N": n, "H": h}, [normal(n, 2, 2 * h, 8)]) for n, h in ((1, 1), (3, 4))]
    operators = counted(check(tmp_path, made, runs, weights))
    assert operators == {"Conv": 1, "Max": 1, "MaxPool": 1} or operators == {"Conv": 1, "Relu": 1, "MaxPool": 1}


def test_max_pooling_keeps_nan_on_request(tmp_path: Path) -> None:
    image = normal(1, 1, 4, 4)
    image[0, 0, 1, 1] = np.nan
    made = program([float32(1, 1, 4, 4)], lambda build, x: apply(build, MaxPool2d(kernel=2), x))
    check(tmp_path, made, [({}, [image])], keep_nan=True)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("stride", "padding", "extra", "dilation"), [(2, 0, 0, 1), (2, 1, 1, 1), (3, 1, 0, 2), (1, 1, 0, 1)]
)
def test_transposed_convolution_equals_torch(
    tmp_path: Path, groups: int, stride: int, padding: int, extra: int, dilation: int
) -> None:
    span = dilation * 2
    pads = (span - padding, span - padding + extra)
    conv = Conv(
        padding=(pads, pads), input_dilation=(stride, stride), window_dilation=(dilation, dilation), groups=groups
    )

    def turned(weight: Tensor) -> Tensor:
        apart = weight.reshape(groups, 4 // groups, 6 // groups, 3, 3)
        return fn.reverse(fn.transpose(apart, (0, 2, 1, 3, 4)).reshape(6, 4 // groups, 3, 3), (2, 3))

    def make(build: Builder, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return apply(build, conv, x, turned(weight)) + bias[:, None, None]

    weights = {"weight": normal(4, 6 // groups, 3, 3), "bias": normal(6)}
    made = program([float32(N, 4, H, 5)], make, weight=float32(4, 6 // groups, 3, 3), bias=float32(6))
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, made, weights))
    x = normal(2, 4, 6, 5)
    (found,), _ = run(runtime, [x], sizes={"N": 2, "H": 6})
    wanted = torch.nn.functional.conv_transpose2d(
        *(torch.from_numpy(array) for array in (x, weights["weight"], weights["bias"])),
        stride=stride,
        padding=padding,
        output_padding=extra,
        groups=groups,
        dilation=dilation,
    )
    np.testing.assert_allclose(found, wanted.numpy(), 1e-5, 1e-5)
    operators = counted(onnx.load(tmp_path / "bundle" / "main.onnx"))
    assert operators["ConvTranspose"] == (1 if stride > 1 else 0)


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64"])
def test_the_least_integer_divided_by_minus_one_wraps(tmp_path: Path, dtype: str) -> None:
    """The processor traps there: without care the process ends."""
    type = TensorType(DType(dtype), (N,))
    made = program([type, type], lambda build, x, y: [fn.quotient(x, y), x.rem(y), fn.quotient(x, 7)])
    least = np.iinfo(dtype).min
    runs = [({"N": 3}, [np.array([least, least, 7], dtype), np.array([-1, 2, -1], dtype)])]
    operators = counted(check(tmp_path, made, runs))
    # Two divisors are found at run time; 7 needs no care.
    assert operators["Equal"] <= 2


# ---- sizes


def test_sizes_follow_from_affine_inputs_and_formulas(tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, y: Tensor) -> list[Tensor]:
        height, width = x.shape[1], y.shape[0]
        pooled = fn.window_max(x, (1, 3), (1, 2), ((0, 0), (1, 1)), (1, 1))
        return [
            fn.iota(build, height * width + 1),
            fn.dimension(build, (height + 3) // 2 - width),
            pooled.reshape(-1 * -1 * pooled.shape[0] * pooled.shape[1]),
            fn.pad(y, (height // 16,), (width,)),
            apply(build, Pad(low=(0, -1), high=(0, height), interior=(1, 2)), x, fn.scalar(build, 7, x.dtype)),
        ]

    made = program([float32(N, 16 * H), float32(4 * H + T)], make)
    runs = [({"N": n, "H": h, "T": t}, [normal(n, 16 * h), normal(4 * h + t)]) for n, h, t in ((1, 1, 3), (3, 2, 1))]
    model = check(tmp_path, made, runs)
    params = [[dim.dim_param or dim.dim_value for dim in port.type.tensor_type.shape.dim] for port in model.graph.input]
    assert params == [["N", "16*H"], ["4*H + T"]]


def test_no_elements_and_zero_sizes(tmp_path: Path) -> None:
    batch = symbol("B", 0, 9)

    def make(build: Builder, x: Tensor) -> list[Tensor]:
        return [x.reshape(x.shape[0] * 2, 3), fn.reduce_sum(x, 0), fn.concat([x, x], 0).reshape(2, x.shape[0], 6)]

    made = program([float32(batch, 2, 3)], make)
    check(tmp_path, made, [({"B": b}, [normal(b, 2, 3)]) for b in (0, 1, 4)])


def test_a_size_that_no_input_tells_is_refused(tmp_path: Path) -> None:
    made = program([float32(3)], lambda build, x: x + fn.dimension(build, H).cast(x.dtype))
    with pytest.raises(BackendError, match="the size H is in the shape of no input"):
        build(tmp_path / "bundle", BACKEND, made)


# ---- loops and branches


def region(given: Sequence[TensorType], make: Callable[..., Any]) -> Graph:
    return graph_of(given, make)


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_over_a_symbolic_length(tmp_path: Path, reverse: bool) -> None:
    def body(build: Builder, weight: Tensor, state: Tensor, row: Tensor) -> list[Tensor]:
        state = fn.tanh(fn.dot(state, weight, ((1,), (0,))) + row)
        return [state, state * 2, row]

    def make(build: Builder, x: Tensor, state: Tensor, weight: Tensor) -> list[Tensor]:
        inner = region([weight.type, state.type, x.type.with_shape(x.shape[1:])], body)
        op = Scan(constants=1, carries=1, length=x.shape[0], reverse=reverse)
        return apply(build, op, [weight, state, x], regions=(inner,))

    made = program([float32(T, N, 4), float32(N, 4)], make, weight=float32(4, 4))
    runs = [({"T": t, "N": n}, [normal(t, n, 4), normal(n, 4)]) for t, n in ((1, 1), (5, 3), (2, 8))]
    model = check(tmp_path, made, runs, {"weight": normal(4, 4)})
    assert counted(model)["Scan"] == 1


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("limit", [-1.0, 2.5, 99.0])
def test_scan_that_ends_early(tmp_path: Path, reverse: bool, limit: float) -> None:
    def body(build: Builder, most: Tensor, total: Tensor, row: Tensor) -> list[Tensor]:
        total = total + row
        return [total, total * 10, total > most]

    def make(build: Builder, x: Tensor, most: Tensor) -> list[Tensor]:
        inner = region(types("float32[]", "float32[]", "float32[]"), body)
        op = Scan(constants=1, carries=1, length=x.shape[0], reverse=reverse, until=True)
        return apply(build, op, [most, fn.scalar(build, 0, most.dtype), x], regions=(inner,))

    made = program([float32(T), float32()], make)
    rows = [np.abs(normal(t)) + 0.1 for t in (1, 6)]
    check(tmp_path, made, [({"T": len(row)}, [row, np.array(limit, np.float32)]) for row in rows])


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_over_a_number_of_steps(tmp_path: Path, reverse: bool) -> None:
    def body(build: Builder, state: Tensor) -> list[Tensor]:
        return [state * 2 + 1, state]

    def make(build: Builder, x: Tensor) -> list[Tensor]:
        op = Scan(carries=1, length=5, reverse=reverse)
        return apply(build, op, [x], regions=(region([x.type], body),))

    check(tmp_path, program([float32(N)], make), [({"N": n}, [normal(n)]) for n in (1, 3)])


def test_while_counts_and_captures(tmp_path: Path) -> None:
    kept = [tensor_type("int64[]"), float32(N), tensor_type("int64[]"), float32(N)]

    def make(build: Builder, x: Tensor, last: Tensor) -> list[Tensor]:
        condition = region(kept, lambda build, last, by, at, total: at < last)
        body = region(kept, lambda build, last, by, at, total: [at + 1, total * 0.5 + by])
        given = [last, x, fn.scalar(build, 0, DType.INT64), fn.zeros_like(x)]
        return apply(build, While(constants=2), given, regions=(condition, body))

    runs = [({"N": n}, [normal(n), np.array(steps)]) for n, steps in ((2, 0), (2, 1), (5, 7))]
    check(tmp_path, program([float32(N), tensor_type("int64[]")], make), runs)


def test_cond_takes_one_branch(tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, row: Tensor) -> list[Tensor]:
        given = [x.type, row.type]
        then = region(given, lambda build, x, row: [x * row, row])
        # Passes an operand through, and gives one value twice.
        otherwise = region(given, lambda build, x, row: [x, row])
        return apply(build, Cond(), fn.reduce_sum(x) > 0, [x, row], regions=(then, otherwise))

    made = program([float32(N, 3), float32(N, 3)], make)
    runs = [({"N": n}, [sign * np.abs(normal(n, 3)), normal(n, 3)]) for n in (1, 2) for sign in (1, -1)]
    check(tmp_path, made, runs)


def test_loops_inside_loops(tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, scale: Tensor) -> list[Tensor]:
        def inner(constants: list[Tensor], carries: list[Tensor], rows: list[Tensor]) -> Any:
            total = carries[0] + rows[0] * constants[0]
            return [total], [total]

        def outer(constants: list[Tensor], carries: list[Tensor], rows: list[Tensor]) -> Any:
            (total,), (parts,) = fn.scan(rows[0].build, inner, constants, carries, [rows[0]], rows[0].shape[0])
            return [total], [parts]

        (total,), (parts,) = fn.scan(build, outer, [scale], [fn.scalar(build, 0, x.dtype)], [x], x.shape[0])
        return [total, parts]

    made = program([float32(T, N), float32()], make)
    check(tmp_path, made, [({"T": t, "N": n}, [normal(t, n), normal()]) for t, n in ((1, 1), (3, 4))])


# ---- outputs and state


def test_outputs_that_are_inputs_parameters_constants_or_twice_the_same(tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, weight: Tensor) -> list[Tensor]:
        y = fn.tanh(x)
        return [x, weight, fn.scalar(build, 3, DType.INT64), y, y, x.reshape(1, *x.shape)]

    made = program([float32(N)], make, weight=float32(2))
    check(tmp_path, made, [({"N": 3}, [normal(3)])], {"weight": normal(2)})


def test_state_goes_in_and_out(tmp_path: Path) -> None:
    cache = float32(N, 6, 2)

    def make(build: Builder, x: Tensor, cache: Tensor, at: Tensor) -> list[Tensor]:
        cache = fn.dynamic_update_slice(cache, x.reshape(x.shape[0], 1, 2), [0, at, 0])
        return [fn.reduce_sum(cache, (1, 2)), cache, at + 1]

    graph = graph_of([float32(N, 2), cache, tensor_type("int64[]")], make)
    made = program_of(
        entry_of(graph, ["x0"], [], ["cache", "at"], ["cache", "at"]),
        state={"cache": State("cache", cache), "at": State("at", tensor_type("int64[]"))},
    )
    runtime = BACKEND.load(build(tmp_path / "bundle", BACKEND, made))
    states = {"cache": np.zeros((2, 6, 2), np.float32), "at": np.array(0)}
    rows = [normal(2, 2, salt=step) for step in range(8)]
    for step, row in enumerate(rows):
        outputs, states = run(runtime, [row], states=states, sizes={"N": 2})
        assert states["at"] == step + 1
        assert outputs[0].shape == (2,)
    np.testing.assert_array_equal(states["cache"][:, :5], np.stack(rows[:5], 1))
    # The start is clamped: rows past the capacity overwrite the last place.
    np.testing.assert_array_equal(states["cache"][:, 5], rows[7])
    model = onnx.load(tmp_path / "bundle" / "main.onnx")
    assert [port.name for port in model.graph.input] == ["x0", "state.cache", "state.at"]
    assert [port.name for port in model.graph.output] == ["y0", "state.cache.next", "state.at.next"]


def test_gather_with_symbolic_indices_and_top_k(tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, at: Tensor) -> list[Tensor]:
        values, places = fn.top_k(x, 2)
        return [fn.gather(x, at, 1), values, places, fn.scatter(x, at, fn.gather(x, at, 1) * 2, 1, "add")]

    made = program([float32(N, 5), TensorType(DType.INT64, (T,))], make)
    runs = [({"N": n, "T": t}, [normal(n, 5), ints(t, high=5)]) for n, t in ((1, 1), (3, 7))]
    check(tmp_path, made, runs)
