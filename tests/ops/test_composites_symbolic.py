"""Composites over sizes that are found at run time mean the same as over known ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import Builder, Op, OpError, Value
from netwright.compiler.ir.dims import substitute
from netwright.compiler.ir.op import Shapes
from netwright.compiler.ir.types import TensorType
from netwright.compiler.ops import OPS
from netwright.compiler.ops.samples import tensor_type

IMAGE = "float32[N, 3, H, W]"
IMAGES = [{"N": 1, "H": 7, "W": 6}, {"N": 2, "H": 8, "W": 9}]
TEXT = "float32[N, T, 8]"
TEXTS = [{"N": 2, "T": 5, "S": 3}, {"N": 1, "T": 1, "S": 4}]

CASES: list[tuple[str, dict[str, Any], list[str | None], list[dict[str, int]]]] = [
    ("softmax", {}, ["float32[N, T]"], TEXTS),
    ("logsumexp", {"axes": 1}, ["float32[N, T]"], TEXTS),
    ("swiglu", {}, ["float32[N, 8]"], TEXTS),
    ("reduce_mean", {"axes": (2, 3)}, [IMAGE], IMAGES),
    ("reduce_variance", {"correction": 1}, [IMAGE], IMAGES),
    ("all", {}, ["bool[N, T]"], TEXTS),
    ("sort", {}, ["float32[N, T]"], TEXTS),
    ("arg_min", {}, ["float32[N, T]"], TEXTS),
    ("cumulative_product", {"axis": 1}, ["float32[N, T]"], TEXTS),
    ("matmul", {}, ["float32[N, T, 8]", "float32[N, 8, S]"], TEXTS),
    ("matmul", {}, ["float32[N, T, 8]", "float32[8]"], TEXTS),
    ("full", {"shape": ("N", 3), "fill": 2}, [], TEXTS),
    ("linspace", {"start": 1, "stop": 3, "length": "T"}, [], TEXTS),
    ("one_hot", {"classes": 4}, ["int64[N, T]"], TEXTS),
    ("flatten", {}, [IMAGE], IMAGES),
    ("expand", {"shape": ("N", 1, 8)}, ["float32[1, 1, 8]"], TEXTS),
    ("stack", {"axis": 1}, ["float32[N, T]", "float32[N, T]"], TEXTS),
    ("split", {"parts": 2}, ["float32[N, 8]"], TEXTS),
    ("tile", {"repeats": (2, 3)}, ["float32[N, T]"], TEXTS),
    ("repeat_elements", {"repeats": 3, "axis": 1}, ["float32[N, T]"], TEXTS),
    ("roll", {"shift": 1}, ["float32[T, 3]"], TEXTS),
    ("roll", {"shift": -1}, ["float32[T, 3]"], TEXTS),
    ("pad_constant", {"low": (0, 1), "high": (0, 2)}, ["float32[N, T]"], TEXTS),
    ("lower_triangle", {}, ["float32[N, T]"], TEXTS),
    ("update_slice", {"axis": 1}, ["float32[N, 9, 4]", "float32[N, S, 4]", "int64[]"], TEXTS),
    ("normalize_layer", {}, [TEXT, "float32[8]", "float32[8]"], TEXTS),
    ("normalize_rms", {}, [TEXT, "float32[8]"], TEXTS),
    ("normalize_group", {"groups": 3}, [IMAGE, None, None], IMAGES),
    ("local_response_norm", {"size": 5}, [IMAGE], IMAGES),
    ("attention", {"heads": 2, "causal": True}, [TEXT, TEXT, TEXT], TEXTS),
    ("attention", {"heads": 2}, [TEXT, "float32[N, S, 8]", "float32[N, S, 8]", None, "bool[N, 1, 1, S]"], TEXTS),
    ("attention", {"causal": True}, [TEXT, "float32[N, 9, 8]", "float32[N, 9, 8]", "int64[]"], TEXTS),
    ("rotary", {"heads": 2}, [TEXT, "int64[T]"], TEXTS),
    ("max_pool2d", {"kernel": 3, "stride": 2, "padding": 1}, [IMAGE], IMAGES),
    ("max_pool2d", {"kernel": 3, "stride": 2, "ceil": True}, [IMAGE], IMAGES),
    ("max_pool2d", {"kernel": 2, "stride": 3, "padding": 1, "ceil": True}, [IMAGE], IMAGES),
    ("max_pool2d", {"kernel": 2}, ["float32[N, 3, 2 * H, W]"], IMAGES),
    ("avg_pool2d", {"kernel": 3, "padding": "same", "stride": 1}, [IMAGE], IMAGES),
    ("avg_pool2d", {"kernel": 3, "stride": 2, "padding": 1, "ceil": True}, [IMAGE], IMAGES),
    ("avg_pool2d", {"kernel": 2, "stride": 3, "padding": 1, "ceil": True, "count_include_pad": True}, [IMAGE], IMAGES),
    ("adaptive_avg_pool2d", {"size": 1}, [IMAGE], IMAGES),
    ("upsample2d", {"scale": 2}, [IMAGE], IMAGES),
    ("upsample2d", {"scale": (2, 3), "mode": "bilinear"}, [IMAGE], IMAGES),
    ("upsample2d", {"scale": 3, "mode": "bilinear", "align_corners": True}, [IMAGE], IMAGES),
    ("pixel_shuffle", {"factor": 2}, ["float32[N, 8, H, W]"], IMAGES),
    ("random_normal", {"shape": ("N", "T")}, ["int64[]", "int64[]"], TEXTS),
    ("categorical", {}, ["float32[N, T]", "int64[]", "int64[]"], TEXTS),
    ("cross_entropy", {"smoothing": 0.1}, ["float32[N, T, 8]", "int64[N, T]"], TEXTS),
    ("cross_entropy", {"smoothing": 0.1}, ["float32[N, T]", "float32[N, T]"], TEXTS),
    ("contrastive", {}, ["float32[N, N]"], TEXTS),
    ("box_iou", {}, ["float32[N, 4]", "float32[T, 4]"], TEXTS),
    ("non_max_suppression", {"limit": 3, "candidates": 20}, ["float32[N, T, 4]", "float32[N, T, 2]"], TEXTS),
]


def symbolic(text: str) -> TensorType:
    """A type from its text; ``2 * H`` is twice the symbol."""
    plain = tensor_type(text.replace("2 * ", ""))
    twice = [part.strip().startswith("2 * ") for part in text[text.index("[") + 1 : -1].split(",")]
    return plain.with_shape(tuple(size * 2 if two else size for size, two in zip(plain.shape, twice, strict=False)))


def with_sizes(value: Any, sizes: dict[str, int] | None) -> Any:
    """Attributes in which a capital is a symbol, or its size."""
    if isinstance(value, dict):
        return {key: with_sizes(item, sizes) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(with_sizes(item, sizes) for item in value)
    if isinstance(value, str) and value.isupper():
        return tensor_type(f"bool[{value}]").shape[0] if sizes is None else sizes[value]
    return value


def build(name: str, fields: dict[str, Any], types: list[TensorType | None]) -> Any:
    """The graph of one op on operands of these types."""
    op: Op = OPS[name](**fields)
    lined: list[Any] = types if not op.operands or not op.operands[0].endswith("*") else [types]
    op, flat = op.with_present([*lined, *[None] * (len(op.operands) - len(lined))])
    builder = Builder()
    values = [Value(type) for type in flat]
    return builder.graph(values, builder.emit(op, values))


@pytest.mark.parametrize(("name", "fields", "texts", "sizes"), CASES)
def test_sizes_found_at_run_time(
    name: str, fields: dict[str, Any], texts: list[str | None], sizes: list[dict[str, int]]
) -> None:
    free = [None if text is None else symbolic(text) for text in texts]
    graph = build(name, with_sizes(fields, None), free)
    for each in sizes:
        known = [None if type is None else fixed(type, each) for type in free]
        rng = np.random.default_rng(0)
        arrays = [value(type, rng) for type in known if type is not None]
        results = evaluate(graph, arrays, sizes=each)
        wanted = evaluate(build(name, with_sizes(fields, each), known), arrays)
        for result, want in zip(results, wanted, strict=True):
            np.testing.assert_allclose(result, want, rtol=1e-6, atol=1e-6)


def fixed(type: TensorType, sizes: dict[str, int]) -> TensorType:
    return type.with_shape(tuple(substitute(size, sizes) for size in type.shape))


def value(type: TensorType, rng: np.random.Generator) -> np.ndarray:
    shape = tuple(int(size) for size in type.shape)  # type: ignore[arg-type]
    if type.dtype.is_float:
        return rng.standard_normal(shape).astype(type.dtype.numpy)
    return rng.integers(0, 2, shape).astype(type.dtype.numpy)


@pytest.mark.parametrize(
    ("name", "fields", "texts", "message"),
    [
        ("max_pool2d", {"kernel": 2, "padding": "same", "stride": 2}, [IMAGE], "declare the size as a multiple"),
        ("adaptive_avg_pool2d", {"size": 2}, [IMAGE], "must be known"),
    ],
)
def test_what_needs_known_sizes(name: str, fields: dict[str, Any], texts: list[str], message: str) -> None:
    with pytest.raises(OpError, match=message):
        build(name, fields, [symbolic(text) for text in texts])


def test_an_undecided_equality_becomes_a_guard() -> None:
    shapes = Shapes()
    op = OPS["glu"]().canonical(tensor_type("float32[N, T]"))
    op.infer(shapes, tensor_type("float32[N, T]"))
    assert len(shapes.guards) == 1
