"""What stands around an anchor in its kernel: results of other dtypes, operands in other orders, shared operands."""

from __future__ import annotations

import pytest

from netwright.compiler.ir import DType
from netwright.compiler.ops import functional as fn
from netwright.compiler.ops.elementwise import Compare
from netwright.compiler.ops.samples import types
from netwright.compiler.ops.tensor import apply

from .interpreting import agrees, kernels

pytestmark = pytest.mark.usefixtures("interpreter")


def matmul(x, w):
    return fn.dot(x, w, ((x.rank - 1,), (0,)))


def several_dtypes(build, x, w):
    y = matmul(x, w)
    return [apply(build, Compare(direction="gt"), y, y * 0.5), y.cast(DType.INT32), y * 2.0]


def residual_is_the_operand(build, x, w):
    return matmul(x, w) + x


def turned_residual(build, x, w, rest):
    return matmul(x, w) + fn.transpose(rest, (1, 0))


def scaled_by_batch(build, x, w, scale):
    return matmul(x, w) * fn.along(scale, 3, 0)


def chosen(build, x, w, mask):
    return fn.where(mask, matmul(x, w), -1.0)


def scaled_by_image_and_channel(build, x, w, scale):
    y = fn.conv(x, w, padding=((1, 1), (1, 1)))
    return y * fn.broadcast(scale, y.shape, (0, 1))


def scores(build, q, k):
    return fn.dot(q, k, ((3,), (3,)), ((0, 2), (0, 2))) * 0.125


SIZES = {"N": 2, "T": 7, "S": 5}


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (several_dtypes, ("float32[9, 40]", "float32[40, 33]")),
        (residual_is_the_operand, ("float32[20, 20]", "float32[20, 20]")),
        (turned_residual, ("float32[9, 40]", "float32[40, 33]", "float32[33, 9]")),
        (scaled_by_batch, ("float32[3, 5, 40]", "float32[40, 33]", "float32[3]")),
        (chosen, ("float32[9, 40]", "float32[40, 33]", "bool[9, 33]")),
        (scaled_by_image_and_channel, ("float32[2, 20, 7, 6]", "float32[12, 20, 3, 3]", "float32[2, 12]")),
        (scores, ("float32[N, T, 4, 8]", "float32[N, S, 4, 8]")),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_one_kernel(tmp_path, make, given):
    assert len(kernels(make, types(*given))) == 1
    agrees(make, types(*given), tmp_path, **SIZES)


def test_one_product_feeds_another(tmp_path):
    def make(build, x, w, v):
        hidden = fn.maximum(matmul(x, w), 0.0)
        return [matmul(hidden, v) + hidden, fn.transpose(hidden, (1, 0))]

    agrees(make, types("float32[9, 40]", "float32[40, 33]", "float32[33, 33]"), tmp_path)


def test_a_convolution_is_seen_larger(tmp_path):
    def make(build, x, w):
        y = fn.broadcast(fn.conv(x, w), (2, 6, 5, 2, 4, 2), (0, 1, 2, 4))
        return y.reshape(2, 6, 10, 8) + 1.0

    agrees(make, types("float32[2, 20, 7, 6]", "float32[6, 20, 3, 3]"), tmp_path)
