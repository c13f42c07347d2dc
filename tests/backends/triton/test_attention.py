"""Attention of the triton target, in the interpreter, against torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from netwright.backends.triton import TritonBackend
from netwright.compiler.ir import Builder, Dim, DType, TensorType, symbol
from netwright.compiler.ops.attention import Attention
from netwright.compiler.ops.samples import bools, normal
from netwright.compiler.ops.tensor import Tensor, apply

from ..comparing import TOLERANCE
from ..programs import build, entry_of, graph_of, legal, program_of, run

pytestmark = pytest.mark.usefixtures("interpreter")
BACKEND = TritonBackend()
OPTIONAL = (("start", DType.INT64), ("mask", DType.BOOL), ("bias", None))


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, op: Attention, **others: np.ndarray) -> np.ndarray:
    """By torch, in float64."""
    (n, t, _), s = q.shape, k.shape[1]
    heads = [
        torch.from_numpy(array.astype(np.float64)).view(n, -1, count, array.shape[2] // count).transpose(1, 2)
        for array, count in ((q, op.heads), (k, op.kv_heads or op.heads), (v, op.kv_heads or op.heads))
    ]
    added = torch.zeros(n, op.heads, t, s, dtype=torch.float64)
    if "bias" in others:
        added = added + torch.from_numpy(others["bias"].astype(np.float64))
    if "mask" in others:
        added = added.masked_fill(~torch.from_numpy(others["mask"]), -torch.inf)
    if op.causal:
        at = torch.arange(t)[:, None] + int(others.get("start", 0))
        added = added.masked_fill(torch.arange(s) > at, -torch.inf)
    found = torch.nn.functional.scaled_dot_product_attention(*heads, added, scale=op.scale, enable_gqa=True)
    # A query that sees no key gives 0.
    found = torch.where((added == -torch.inf).all(-1, keepdim=True), 0.0, found)
    return found.transpose(1, 2).reshape(n, t, -1).numpy()


def check(
    folder: Path, op: Attention, q: np.ndarray, k: np.ndarray, v: np.ndarray, free: str = "", **others: Any
) -> str:
    """An attention alone, with free sizes by name (N, T, S); returns the text of its module."""
    given = {"q": q, "k": k, "v": v, **others}
    dtype = DType.of(q)
    known = {"N": q.shape[0], "T": q.shape[1], "S": k.shape[1]}
    size = {name: symbol(name) if name in free else value for name, value in known.items()}
    types = [
        TensorType(dtype, (size["N"], size["T"], q.shape[2])),
        *(TensorType(dtype, (size["N"], size["S"], array.shape[2])) for array in (k, v)),
    ]
    for array in others.values():
        shape: tuple[int | Dim, ...] = array.shape
        if array.ndim and "S" in free:
            shape = (*shape[:-1], size["S"])
        types.append(TensorType(DType.of(array), shape))

    def make(build: Builder, *tensors: Tensor) -> Tensor:
        by_name = dict(zip(given, tensors, strict=True))
        return apply(build, op, *(by_name.get(name) for name in ("q", "k", "v", "start", "mask", "bias")))

    program = program_of(entry_of(graph_of(types, make), list(given)))
    assert [node.op.name for node in legal(program, BACKEND).entries["main"].graph.nodes] == ["attention"]
    loaded = build(folder / "bundle", BACKEND, program)
    (found,), _ = run(BACKEND.load(loaded), list(given.values()), list(given), sizes=known)
    wanted = attention(q, k, v, op, **others)
    assert found.dtype == dtype.numpy
    error = np.abs(found.astype(np.float64) - wanted).max() / np.abs(wanted).max()
    assert error < TOLERANCE[dtype]
    return (folder / "bundle" / "model.py").read_text()


def qkv(n: int, t: int, s: int, q: int, k: int, v: int, dtype: str = "float32") -> tuple[np.ndarray, ...]:
    return normal(n, t, q, dtype=dtype), normal(n, s, k, salt=1, dtype=dtype), normal(n, s, v, salt=2, dtype=dtype)


@pytest.mark.parametrize("free", ["", "NTS"])
@pytest.mark.parametrize("causal", [False, True])
def test_many_queries(tmp_path: Path, causal: bool, free: str) -> None:
    """Tiles that do not come out even, heads whose width is no power of two, values of another width."""
    op = Attention(heads=3, causal=causal, scale=0.2)
    text = check(tmp_path, op, *qkv(2, 37, 53, 60, 60, 33), free=free)
    assert "attention_sum" not in text


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_shared_keys(tmp_path: Path, dtype: str) -> None:
    check(tmp_path, Attention(heads=4, kv_heads=2, causal=True, scale=0.25), *qkv(1, 20, 20, 64, 32, 32, dtype))


@pytest.mark.parametrize("shape", [(2, 4, 19, 23), (1, 1, 19, 23), (2, 1, 1, 23), (19, 23), (23,)])
def test_masks_that_broadcast(tmp_path: Path, shape: tuple[int, ...]) -> None:
    mask = bools(*shape)
    mask[..., 0] = True
    check(
        tmp_path, Attention(heads=4, scale=0.5), *qkv(2, 19, 23, 32, 32, 32), mask=mask, bias=normal(*shape), free="S"
    )


def test_a_query_that_sees_nothing_gives_0(tmp_path: Path) -> None:
    mask = bools(1, 1, 18, 24)
    mask[..., 3, :], mask[..., 17, :] = False, False
    check(tmp_path, Attention(heads=2, scale=0.5), *qkv(1, 18, 24, 16, 16, 16), mask=mask)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("start", [0, 255, 256, 400, 599])
def test_decoding_with_a_cache(tmp_path: Path, start: int, dtype: str) -> None:
    """One query, and of the cache only what is filled: parts of the keys are begun, full, or not looked at."""
    op = Attention(heads=4, kv_heads=2, causal=True, scale=0.3)
    q, k, v = qkv(2, 1, 600, 64, 32, 32, dtype)
    k[:, start + 1 :] = 9  # not seen
    assert "attention_sum" in check(tmp_path, op, q, k, v, start=np.array(start))


@pytest.mark.parametrize("queries", [1, 3, 16])
def test_few_queries_over_keys_of_any_number(tmp_path: Path, queries: int) -> None:
    op = Attention(heads=2, causal=True, scale=0.3)
    others = {"start": np.array(290), "bias": normal(2, queries, 310)}
    check(tmp_path, op, *qkv(2, queries, 310, 32, 32, 40), free="NS", **others)


def test_what_is_refused_is_decomposed(tmp_path: Path) -> None:
    for widths, dtype in (((1032, 1032, 1032), "float32"), ((8, 8, 8), "float64")):
        types = [TensorType(DType(dtype), (1, 2, width)) for width in widths]
        graph = graph_of(types, lambda build, *qkv: apply(build, Attention(heads=1), *qkv))
        assert BACKEND.claims(graph.nodes[0]) is not None
        names = [
            node.op.name
            for node in legal(program_of(entry_of(graph, ["q", "k", "v"])), BACKEND).entries["main"].graph.nodes
        ]
        assert "attention" not in names
