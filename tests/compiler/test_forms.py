"""Forms: what a reshape, a transpose or a sum makes of how a tensor is stored."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir import Builder, DType, TensorType, Value, symbol
from netwright.compiler.layout.coarsen import common_runs
from netwright.compiler.layout.form import Form, to_form, to_natural

N, H, W = symbol("N"), symbol("H"), symbol("W")


def stored(array: np.ndarray, form: Form) -> np.ndarray:
    """A natural array in a form, by the nodes that convert it; and back, which must give the same."""
    build = Builder()
    x = Value(TensorType(DType.of(array), array.shape))
    inside = to_form(build, x, form)
    back = Value(x.type)
    to_natural(build, inside, form, back)
    found, again = evaluate(build.graph([x], [inside, back]), [array])
    np.testing.assert_array_equal(again, array)
    assert found.shape == form.stored
    return found


def random_shape(draw: random.Random, elements: int) -> tuple[int, ...]:
    sizes = []
    while elements > 1:
        size = draw.choice([size for size in range(2, elements + 1) if elements % size == 0])
        sizes.append(size)
        elements //= size
    for _ in range(draw.randrange(3)):
        sizes.insert(draw.randrange(len(sizes) + 1), 1)
    return tuple(sizes)


@pytest.mark.parametrize("seed", range(200))
def test_a_reshape_leaves_what_is_stored(seed: int) -> None:
    draw = random.Random(seed)
    shape = random_shape(draw, draw.choice([12, 24, 36, 64]))
    array = np.arange(math.prod(shape)).reshape(shape)
    form = Form.permuted(shape, draw.sample(range(len(shape)), len(shape)))
    for _ in range(3):
        other = random_shape(draw, array.size)
        after = form.reshaped(other)
        if after is None:
            continue
        assert after.shape == other
        before, array = stored(array, form), array.reshape(other)
        np.testing.assert_array_equal(stored(array, after).ravel(), before.ravel())
        form = after


@pytest.mark.parametrize("seed", range(50))
def test_a_transpose_leaves_what_is_stored(seed: int) -> None:
    draw = random.Random(seed)
    shape = random_shape(draw, 48)
    axes = draw.sample(range(len(shape)), len(shape))
    form = Form.permuted(shape, draw.sample(range(len(shape)), len(shape)))
    array = np.arange(48).reshape(shape)
    np.testing.assert_array_equal(stored(array, form), stored(array.transpose(axes), form.renamed(axes)))


def test_groups_of_channels_are_a_cut_of_the_last_axis() -> None:
    last = Form.permuted((N, 12, H, W), (0, 2, 3, 1))
    groups = last.reshaped((N, 4, 3 * H * W))
    assert groups is not None
    assert groups.stored == (N, H * W, 4, 3)
    assert groups.with_ones([2]).stored == (N, 4, 1)
    assert groups.without([2]).stored == (N, 4)
    assert groups.reshaped((N, 12, H, W)) == last


def test_what_a_reshape_cannot_follow() -> None:
    assert Form.permuted((6, 4), (1, 0)).reshaped((4, 6)) is None
    assert Form.permuted((H, W), (1, 0)).reshaped((W, H)) is None


def test_pixels_as_rows_are_stored_as_they_are() -> None:
    form = Form.permuted((N, 8, H, W), (0, 2, 3, 1)).reshaped((N, 8, H * W))
    assert form is not None
    assert form.renamed((0, 2, 1)).is_natural
    assert not form.is_free
    assert Form.permuted((N, 8, 1, 1), (0, 2, 3, 1)).is_free


def test_common_runs() -> None:
    assert common_runs((N, H * W, 12), (N, H * W, 4, 3)) == ((0, 1), (1, 2), (2, 4))
    assert common_runs((N, H, W, 12), (N, H * W, 4, 3)) == ((0, 1), (1, 2), (2, 4))
    assert common_runs((6, 4), (4, 6)) == ((0, 2),)
