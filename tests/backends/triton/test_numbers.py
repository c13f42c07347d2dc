"""Arrays without memory, all one number or a count, at the edges of every kind of kernel."""

from __future__ import annotations

import pytest

from netwright.compiler.ops import functional as fn
from netwright.compiler.ops.reduce import CumulativeSum
from netwright.compiler.ops.samples import types
from netwright.compiler.ops.tensor import apply, full

from .interpreting import agrees

MAKES = {
    "window_sum": lambda x, f: fn.window_sum(f, (3, 2), (2, 1), ((1, 1), (0, 1))),
    "window_max": lambda x, f: fn.window_max(-f, (3, 2), (2, 1), ((1, 1), (0, 1)), (1, 1)),
    "running_sum": lambda x, f: [
        apply(x.build, CumulativeSum(axis=1, exclusive=exclusive, reverse=reverse), f)
        for exclusive in (False, True)
        for reverse in (False, True)
    ],
    "sum": lambda x, f: [fn.reduce_sum(f, 1), fn.reduce_max(-f, 1), fn.reduce_sum(f)],
    "order": lambda x, f: [fn.arg_max(-f, 1), *fn.top_k(-f, 2, 1)],
    "product": lambda x, f: [fn.dot(x, f, ((1,), (1,))), fn.dot(f, f, ((1,), (1,)))],
    "convolution": lambda x, f: fn.conv(
        f.reshape(1, 1, *f.shape), x[:2, :3].reshape(1, 1, 2, 3), padding=((1, 0), (1, 1))
    ),
    "pad": lambda x, f: [fn.pad(f, (1, 0), (0, 2)), fn.concat([x, f], 0), fn.pad(f, (1, 0), (0, 2), 3.0)],
}


@pytest.mark.parametrize("kind", ["number", "count"])
@pytest.mark.parametrize("name", MAKES)
def test_what_has_no_memory_has_edges(tmp_path, name, kind):
    def make(build, x):
        if kind == "number":
            return MAKES[name](x, full(build, x.shape, 1.5, x.dtype))
        return MAKES[name](x, fn.iota(build, x.shape[0] * x.shape[1], x.dtype).reshape(*x.shape))

    agrees(make, types("float32[H, W]"), tmp_path, H=5, W=6)
