"""Specs as deep as one likes, in three kinds. A layer is one with weights, and its activation with it."""

from __future__ import annotations

_HEAD = "netwright: 1\nname: deep\n"


def linear(depth: int) -> str:
    """``depth`` linear layers, each followed by relu: two nodes a layer, all written out."""
    return _written("float[N, 16]", depth, ["{op: linear, path: layers.%d, features: 16}", "relu"])


def convolution(depth: int) -> str:
    """``depth`` convolutions, each followed by batch normalization and relu: three nodes a layer, all written out."""
    nodes = [
        "{op: conv2d, path: layers.%d.conv, filters: 8, kernel: 3, padding: 1, bias: false}",
        "{op: batch_norm, path: layers.%d.norm}",
        "relu",
    ]
    return _written("float[N, 8, 8, 8]", depth, nodes)


def repeated(depth: int) -> str:
    """The layers of `linear` as one block that is repeated."""
    return f"""{_HEAD}inputs: {{x: 'float[N, 16]'}}
blocks:
  layer:
    inputs: {{x: any}}
    graph:
      - {{op: linear, path: ., features: 16}}
      - relu
graph:
  - {{block: layer, path: layers.$i, repeat: {depth}}}
  - {{op: relu, name: last}}
outputs: {{y: last}}
"""


def _written(type: str, depth: int, nodes: list[str]) -> str:
    lines = [f"  - {node % layer if '%' in node else node}" for layer in range(depth) for node in nodes]
    lines.append("  - {op: relu, name: last}")
    return f"{_HEAD}inputs: {{x: '{type}'}}\ngraph:\n" + "\n".join(lines) + "\noutputs: {y: last}\n"


KINDS = {"linear": linear, "convolution": convolution, "repeated": repeated}
