"""Fused regions as functions of a tile: every size of tile, any number of threads, memory taken over where it may be."""

from __future__ import annotations

import multiprocessing
import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.backends import registry
from netwright.backends.numpy.emit import emit
from netwright.backends.numpy.kernels import tiles
from netwright.backends.numpy.lower import fused
from netwright.backends.numpy.runtime import import_checked
from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import Builder, DType, Program, TensorType, symbol
from netwright.compiler.ops import functional as fn
from netwright.compiler.ops.activation_smooth import Gelu
from netwright.compiler.ops.channels_last import ConvChannelsLast
from netwright.compiler.ops.elementwise import Erf, Exp, Sigmoid, Tanh
from netwright.compiler.ops.tensor import Tensor, apply

from .programs import entry_of, graph_of, legal, program_of
from .random_graphs import COLUMNS, TYPE, Maker

BACKEND = registry.get("numpy")
GENERATOR = np.random.default_rng(0)
N, H, W, T = (symbol(name) for name in "NHWT")


def normal(*shape: int) -> np.ndarray:
    return GENERATOR.standard_normal(shape).astype(np.float32)


def tiny(axes: tuple[int, ...], row: int, most: int) -> tuple[int, ...]:
    """Tiles of a few elements."""
    return tiles_of(axes, row, min(most, 5 * row))


tiles_of = tiles.tile_sizes


def module(program: Program, folder: Path, cores: int = 3) -> Any:
    """The emitted module, with tiny tiles and many threads."""
    path = folder / "model.py"
    path.write_text(emit(program))
    made = import_checked(path)
    made.tile_sizes = tiny
    made.workers_for = lambda count, elements: max(1, min(cores, count))
    made.last_tile = lambda batch, depth, rows, row, filters: (1, min(2, rows))
    made.many_tiles = lambda batch, rows, columns: True
    made.winograd_tile = lambda batch, widest, down, across: (min(2, batch), down) if batch > 1 else (1, 1)
    return made


@pytest.fixture(autouse=True)
def every_region_is_tiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "SMALL", 0)


# ---- random graphs


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_graphs_in_tiles(tmp_path_factory: Any, data: Any) -> None:
    draw = data.draw

    def make(build: Builder, a: Tensor, b: Tensor) -> list[Tensor]:
        values = Maker(build, [a, b], draw, 1).grow(draw(st.integers(2, 14)))
        return [values[draw(st.integers(0, len(values) - 1))] for _ in range(draw(st.integers(1, 3)))]

    graph = graph_of([TYPE, TYPE], make)
    program = legal(program_of(entry_of(graph, ["a", "b"])), BACKEND)
    made = module(program, tmp_path_factory.mktemp("model"))
    for rows in (13, 1, 6):
        arrays = [GENERATOR.uniform(-1, 1, (rows, COLUMNS)).astype(np.float32) for _ in range(2)]
        net = made.connect(())
        for _ in range(2):
            for found, wanted in zip(
                net(a=arrays[0], b=arrays[1]).values(), evaluate(graph, arrays, {"R": rows}), strict=True
            ):
                np.testing.assert_allclose(found, wanted, 1e-4, 1e-5)


# ---- regions of every kind


def chain(build: Builder, x: Tensor, y: Tensor, bias: Tensor) -> list[Tensor]:
    a = x * 2 + bias
    b = apply(build, Sigmoid(), a) * y
    return [fn.where(b > 0.1, b, a), apply(build, Exp(), -b)]


def softmax(build: Builder, x: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    scores = x + bias
    raised = apply(build, Exp(), scores - fn.reduce_max(scores, -1, keep=True))
    return raised / fn.reduce_sum(raised, -1, keep=True) * y


def layer_norm(build: Builder, x: Tensor, y: Tensor, bias: Tensor) -> list[Tensor]:
    total = x + y
    centred = total - fn.mean(total, -1, keep=True)
    spread = fn.mean(centred * centred, -1, keep=True) + 1e-5
    return [centred / apply(build, Exp(), spread * 0.1) * bias, total]


def group_norm(build: Builder, x: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    grouped = x.reshape(*x.shape[:2], 2, 4)
    centred = grouped - fn.mean(grouped, (1, 3), keep=True)
    return (centred + 1).reshape(*x.shape) * y + bias


def heads(build: Builder, x: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    turned = fn.transpose((x + bias).reshape(*x.shape[:2], 2, 4), (0, 2, 1, 3))
    return apply(build, Tanh(), turned) * fn.transpose(y.reshape(*x.shape[:2], 2, 4), (0, 2, 1, 3))


def flattened(build: Builder, x: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    return apply(build, Erf(), x.reshape(x.shape[0] * x.shape[1], 8) + bias) * y.reshape(x.shape[0] * x.shape[1], 8)


def cell(build: Builder, x: Tensor, y: Tensor, bias: Tensor) -> list[Tensor]:
    state = apply(build, Sigmoid(), x) * y + apply(build, Sigmoid(), y) * apply(build, Tanh(), bias + x)
    shown = apply(build, Sigmoid(), x * y) * apply(build, Tanh(), state)
    flag = x > 0.3
    return [fn.where(flag, shown, 0.0), fn.where(flag, shown, x), fn.where(flag, state, y)]


def twice(build: Builder, x: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    kept = apply(build, Tanh(), fn.cumulative_sum(x, 1))
    return kept.reshape(*x.shape) * fn.reverse(kept, (2,)) + kept * y + bias


@pytest.mark.parametrize("make", [chain, softmax, layer_norm, group_norm, heads, flattened, cell, twice])
@pytest.mark.parametrize("sizes", [(1, 1), (1, 7), (3, 5), (6, 2)])
def test_regions(make: Any, sizes: tuple[int, int], tmp_path: Path) -> None:
    types = [TensorType(DType.FLOAT32, shape) for shape in ((N, T, 8), (N, T, 8), (8,))]
    graph = graph_of(types, make)
    program = legal(program_of(entry_of(graph, ["x", "y", "bias"])), BACKEND)
    assert "run_tiles(" in emit(program)
    arrays = [normal(*sizes, 8), normal(*sizes, 8), normal(8)]
    wanted = evaluate(graph, arrays, dict(zip("NT", sizes, strict=True)))
    given = dict(zip(("x", "y", "bias"), arrays, strict=True))
    first = module(program, tmp_path, 1).connect(())(**given).values()
    again = module(program, tmp_path, 4).connect(())
    for found, other, right in zip(first, again(**given).values(), wanted, strict=True):
        np.testing.assert_allclose(found, right, 1e-5, 1e-6)
        np.testing.assert_array_equal(found, other)


def test_what_is_no_number_stays_where_it_is(tmp_path: Path) -> None:
    type = TensorType(DType.FLOAT32, (N, T, 8))
    graph = graph_of([type, type, TensorType(DType.FLOAT32, (8,))], chain)
    net = module(legal(program_of(entry_of(graph, ["x", "y", "bias"])), BACKEND), tmp_path).connect(())
    x = normal(2, 9, 8)
    x[0, 3, 5], x[1, 8, 7], x[1, 0, 0] = np.nan, np.inf, -np.inf
    arrays = [x, normal(2, 9, 8), normal(8)]
    wanted = evaluate(graph, arrays, {"N": 2, "T": 9})
    for found, right in zip(net(x=x, y=arrays[1], bias=arrays[2]).values(), wanted, strict=True):
        np.testing.assert_allclose(found, right, 1e-5, 1e-6)


# ---- behind anchors


def picture(kernel: int, behind: Any, filters: int = 8) -> Any:
    """A convolution of [N, H, W, 8], and what is behind it."""

    def make(build: Builder, x: Tensor, other: Tensor, w: Tensor, bias: Tensor) -> Any:
        side = (kernel // 2,) * 2
        made = apply(build, ConvChannelsLast(padding=(side, side)), apply(build, Tanh(), x), w)
        return behind(build, made, apply(build, Tanh(), other), bias)

    return make


def residual(build: Builder, made: Tensor, other: Tensor, bias: Tensor) -> Tensor:
    return fn.maximum(made + bias + other, 0)


def activated(build: Builder, made: Tensor, other: Tensor, bias: Tensor) -> Tensor:
    total = made + bias
    return total * apply(build, Sigmoid(), total)


def both(build: Builder, made: Tensor, other: Tensor, bias: Tensor) -> list[Tensor]:
    return [fn.maximum(made + bias, 0), made * other, other * 2]


def split_heads(build: Builder, made: Tensor, other: Tensor, bias: Tensor) -> Tensor:
    return (made + bias).reshape(*made.shape[:3], 2, 4) * 2


@pytest.mark.parametrize("behind", [residual, activated, both, split_heads])
@pytest.mark.parametrize(("kernel", "sizes"), [(1, (2, 5, 3)), (3, (1, 9, 6)), (3, (3, 4, 5)), (5, (2, 6, 7))])
def test_convolutions_finish_their_tiles(
    behind: Any, kernel: int, sizes: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(
        "netwright.backends.numpy.lower.channels_last.winograd_saves", lambda op, window, *_: window == (3, 3)
    )
    shapes = [(N, H, W, 8), (N, H, W, 8), (kernel, kernel, 8, 8), (8,)]
    graph = graph_of([TensorType(DType.FLOAT32, shape) for shape in shapes], picture(kernel, behind))
    program = legal(program_of(entry_of(graph, ["x", "other"], ["w", "bias"])), BACKEND)
    assert "Finish(tile_" in emit(program)
    arrays = [normal(*sizes, 8), normal(*sizes, 8), normal(kernel, kernel, 8, 8) * 0.1, normal(8)]
    wanted = evaluate(graph, arrays, dict(zip("NHW", sizes, strict=True)))
    net = module(program, tmp_path).connect(tuple(arrays[2:]))
    for _ in range(2):
        for found, right in zip(net(x=arrays[0], other=arrays[1]).values(), wanted, strict=True):
            np.testing.assert_allclose(found, right, 1e-5, 1e-5)


def test_a_convolution_that_is_added_to_its_own_input(tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, w: Tensor) -> Tensor:
        for _ in range(3):
            x = x + apply(build, ConvChannelsLast(padding=((1, 1), (1, 1))), x, w)
        return fn.maximum(x, 0)

    types = [TensorType(DType.FLOAT32, shape) for shape in ((N, H, W, 4), (3, 3, 4, 4))]
    graph = graph_of(types, make)
    net = module(legal(program_of(entry_of(graph, ["x"], ["w"])), BACKEND), tmp_path)
    arrays = [normal(2, 7, 5, 4), normal(3, 3, 4, 4) * 0.2]
    (wanted,) = evaluate(graph, arrays, {"N": 2, "H": 7, "W": 5})
    np.testing.assert_allclose(net.connect((arrays[1],))(x=arrays[0])["y0"], wanted, 1e-5, 1e-5)


@pytest.mark.parametrize("shape", [(1, 5, 5, 4), (3, 1, 5, 4), (N, 1, 1, 4), (N, H, 1, 4)])
def test_axes_of_one_element(shape: Any, tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, w: Tensor) -> Tensor:
        made = apply(build, ConvChannelsLast(padding=((1, 1), (1, 1))), x, w)
        return apply(build, Sigmoid(), made).reshape(*(size for size in made.shape if size != 1))

    types = [TensorType(DType.FLOAT32, each) for each in (shape, (3, 3, 4, 4))]
    graph = graph_of(types, make)
    made = module(legal(program_of(entry_of(graph, ["x"], ["w"])), BACKEND), tmp_path)
    arrays = [normal(*(size if isinstance(size, int) else 5 for size in shape)), normal(3, 3, 4, 4)]
    (wanted,) = evaluate(graph, arrays, {"N": 5, "H": 5})
    np.testing.assert_allclose(made.connect((arrays[1],))(x=arrays[0])["y0"], wanted, 1e-5, 1e-6)


@pytest.mark.parametrize("sizes", [(1, 1), (2, 7), (5, 3)])
def test_products_finish_their_blocks(sizes: tuple[int, int], tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, w: Tensor, u: Tensor, bias: Tensor, other: Tensor) -> Tensor:
        for _ in range(2):
            hidden = apply(build, Gelu(), fn.dot(x, w, ((2,), (0,))) + bias)
            x = fn.dot(hidden, u, ((2,), (1,))) + other + x
        return x

    shapes = [(N, T, 8), (8, 24), (8, 24), (24,), (8,)]
    graph = graph_of([TensorType(DType.FLOAT32, shape) for shape in shapes], make)
    program = legal(program_of(entry_of(graph, ["x"], ["w", "u", "bias", "other"])), BACKEND)
    assert "finished_matmul(" in emit(program)
    arrays = [normal(*sizes, 8), normal(8, 24) * 0.3, normal(8, 24) * 0.3, normal(24), normal(8)]
    (wanted,) = evaluate(graph, arrays, dict(zip("NT", sizes, strict=True)))
    made = module(program, tmp_path)
    made.product_tile = lambda columns, *axes: (*tiny(axes, 1, 3), 5)
    np.testing.assert_allclose(made.connect(tuple(arrays[1:]))(x=arrays[0])["y0"], wanted, 1e-5, 1e-5)


@pytest.mark.parametrize("sizes", [(1, 1), (2, 7), (5, 3)])
def test_products_with_features_first_finish_blocks_of_features(sizes: tuple[int, int], tmp_path: Path) -> None:
    def make(build: Builder, x: Tensor, w: Tensor, u: Tensor, bias: Tensor, other: Tensor) -> Tensor:
        for _ in range(2):
            hidden = apply(build, Gelu(), fn.dot(w, x, ((0,), (0,))) + bias[:, None, None])
            x = fn.dot(u, hidden, ((1,), (0,))) + other[:, None, None] + x
        return x

    shapes = [(8, N, T), (8, 24), (8, 24), (24,), (8,)]
    graph = graph_of([TensorType(DType.FLOAT32, shape) for shape in shapes], make)
    program = legal(program_of(entry_of(graph, ["x"], ["w", "u", "bias", "other"])), BACKEND)
    assert re.search(r"product_rows\(\w+, 8\)", emit(program))
    arrays = [normal(8, *sizes), normal(8, 24) * 0.3, normal(8, 24) * 0.3, normal(24), normal(8)]
    (wanted,) = evaluate(graph, arrays, dict(zip("NT", sizes, strict=True)))
    made = module(program, tmp_path)
    made.product_rows = lambda columns, *axes: tiny(axes, 1, 3)
    np.testing.assert_allclose(made.connect(tuple(arrays[1:]))(x=arrays[0])["y0"], wanted, 1e-5, 1e-5)


# ---- threads


def counted(size: int, rows: int = 4) -> tuple[tiles.Tiles, np.ndarray]:
    cut = tiles.Tiles((size,), 100_000 // rows, None, ())
    return cut, np.zeros(size)


def test_each_tile_is_worked_on_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "available_cores", lambda: 4)
    cut, seen = counted(40)
    assert cut.workers == 4

    def kernel(tile: Any, sizes: Any, arrays: Any, scratch: Any, kept: Any) -> None:
        arrays[0][slice(*tile[0])] += 1

    for _ in range(20):
        tiles.run_tiles(kernel, cut, None, (seen,), ())
    assert (seen == 20).all()


def test_kernels_in_kernels_and_many_callers_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "available_cores", lambda: 3)
    cut, _ = counted(12)

    def inner(tile: Any, sizes: Any, arrays: Any, scratch: Any, kept: Any) -> None:
        arrays[0][tile[0][0]] += 1

    def outer(tile: Any, sizes: Any, arrays: Any, scratch: Any, kept: Any) -> None:
        seen = np.zeros(12)
        tiles.run_tiles(inner, cut, None, (seen,), ())
        arrays[0][tile[0][0]] = seen.sum()

    results = [np.zeros(12) for _ in range(6)]
    callers = [threading.Thread(target=tiles.run_tiles, args=(outer, cut, None, (each,), ())) for each in results]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
        assert not caller.is_alive()
    assert all((each[[tile[0][0] for tile in cut.tiles]] == len(cut.tiles)).all() for each in results)


def test_what_a_tile_raises_is_raised_and_nobody_works_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "available_cores", lambda: 4)
    cut, _ = counted(40)
    working: list[Any] = []

    def kernel(tile: Any, sizes: Any, arrays: Any, scratch: Any, kept: Any) -> None:
        working.append(tile)
        if tile == cut.tiles[2]:
            raise FloatingPointError("a fault")
        time.sleep(0.01)
        working.remove(tile)

    with pytest.raises(FloatingPointError, match="a fault"):
        tiles.run_tiles(kernel, cut, None, (), ())
    assert working == [cut.tiles[2]]


def test_threads_ignore_what_the_caller_ignores(recwarn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "available_cores", lambda: 4)
    cut, _ = counted(40)

    def kernel(tile: Any, sizes: Any, arrays: Any, scratch: Any, kept: Any) -> None:
        np.divide(np.zeros(3), 0)

    with np.errstate(all="ignore"):
        tiles.run_tiles(kernel, cut, None, (), ())
    assert not recwarn.list


def forked(queue: Any) -> None:
    cut, seen = counted(40)

    def kernel(tile: Any, sizes: Any, arrays: Any, scratch: Any, kept: Any) -> None:
        arrays[0][slice(*tile[0])] += 1

    tiles.run_tiles(kernel, cut, None, (seen,), ())
    queue.put((seen == 1).all())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_process_that_is_forked_off_has_its_own_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "available_cores", lambda: 3)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    forked(queue)
    assert queue.get(timeout=30)
    child = context.Process(target=forked, args=(queue,))
    child.start()
    assert queue.get(timeout=30)
    child.join(30)
    assert child.exitcode == 0


def test_small_work_starts_no_threads() -> None:
    for axes, row in (((1, 3), 1000), ((100,), 100), ((2,), 1)):
        cut = tiles.Tiles(axes, row, None, ())
        assert (len(cut.tiles), cut.workers) == (1, 1)


def test_scratch_memory_is_an_eighth_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "available_cores", lambda: 8)
    for rows in (10, 1000, 100_000):
        cut = tiles.Tiles((rows,), 1000, lambda sizes, tile: [(0, 1, np.float32, (tile[0], 1000))] * 3, ())
        assert cut.room <= max(rows * 1000 * 4 // 8 * 1.02, 3 * 65536 + 4096)
        assert sum(stop - start for ((start, stop),) in cut.tiles) == rows
