"""Windows over pictures of sizes that are not known, with what torch says of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as tf

from netwright.compiler.ir import Graph
from netwright.compiler.ops import OPS
from netwright.compiler.ops.samples import tensor_type

from .pulling import applied, pulled_back

WINDOWS: dict[str, tuple[str, dict[str, Any], Callable[..., torch.Tensor]]] = {
    "conv": ("conv", {"stride": (2, 3), "padding": ((1, 1), (0, 0))}, lambda x, w: tf.conv2d(x, w, None, (2, 3), (1, 0))),
    "conv_dilated": ("conv", {"stride": (3, 1), "window_dilation": (2, 1)}, lambda x, w: tf.conv2d(x, w, None, (3, 1), 0, (2, 1))),
    "conv_groups": ("conv", {"stride": (2, 2), "groups": 2}, lambda x, w: tf.conv2d(x, w, None, 2, 0, 1, 2)),
    "max_pool2d": ("max_pool2d", {"kernel": 3, "stride": 2, "padding": 1}, lambda x: tf.max_pool2d(x, 3, 2, 1)),
    "max_pool2d_ceil": ("max_pool2d", {"kernel": 3, "stride": 2, "ceil": True}, lambda x: tf.max_pool2d(x, 3, 2, ceil_mode=True)),
    "avg_pool2d": ("avg_pool2d", {"kernel": 3, "stride": 2}, lambda x: tf.avg_pool2d(x, 3, 2)),
    "avg_pool2d_ceil": (
        "avg_pool2d",
        {"kernel": 2, "stride": 2, "ceil": True},
        lambda x: tf.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False),
    ),
    "upsample": ("upsample2d", {"scale": 2, "mode": "bilinear"}, lambda x: tf.interpolate(x, scale_factor=2.0, mode="bilinear")),
    "mean": ("adaptive_avg_pool2d", {"size": 1}, lambda x: tf.adaptive_avg_pool2d(x, 1)),
}  # fmt: skip
"""Each an op, its fields, and torch's function."""


def of_pictures(name: str) -> Graph:
    """From pictures ``[N, 4, H, W]``, weights for a convolution, and a gradient to the gradients of the former."""
    op, fields, _ = WINDOWS[name]
    texts = ["float32[N, 4, H, W]"]
    if op == "conv":
        texts.append("float32[6, 2, 3, 2]" if "groups" in fields else "float32[6, 4, 3, 2]")
    return pulled_back(applied(OPS[op](**fields), [tensor_type(text) for text in texts]), range(len(texts)))
