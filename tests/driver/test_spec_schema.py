"""The schema for editors takes what the reader takes, and knows the fields of every op."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from netwright.compiler.ops import OPS
from netwright.driver.schema import spec_schema
from netwright.spec.layers import LAYERS
from netwright.spec.reader import read_tree
from netwright.spec.tree import plain
from netwright.spec.zoo_index import ZOO


@cache
def validator() -> Draft202012Validator:
    schema = spec_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def problems(text: str) -> list[str]:
    return [error.message for error in validator().iter_errors(plain(read_tree(text, "t.yaml")))]


@pytest.mark.parametrize("path", sorted(ZOO.rglob("*.yaml")), ids=lambda path: path.stem)
def test_the_zoo_is_valid(path: Path) -> None:
    assert problems(path.read_text(encoding="utf-8")) == []


def node(text: str) -> list[str]:
    return problems(f"netwright: 1\ninputs: {{x: 'float[N, 3]'}}\ngraph:\n  - {text}\noutputs: {{y: y}}\n")


@pytest.mark.parametrize(
    "text",
    [
        "{op: conv2d, filters: 3, kernel: [3, k + 1], padding: same}",
        "{op: conv2d, filters: 2 * w, kernel: 3, padding: $mode, bias: false}",
        "{op: reduce_mean, axes: [-1], keep: true}",
        "{op: reduce_mean, axes: i}",
        "{op: cast, dtype: float}",
        "{op: cast, dtype: $kind}",
        "{op: softmax}",
        "softmax",
    ],
)
def test_accepted(text: str) -> None:
    assert node(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "{op: conv2d, filters: 3}",
        "{op: conv2d, filters: 0, kernel: 3}",
        "{op: conv2d, filters: 3, kernel: 3, kernal: 3}",
        "{op: conv2d, filters: 3, kernel: 3, bias: 1.5}",
        "{op: cast, dtype: flot}",
        "{op: softmx}",
        "softmx",
        "{op: scan}",
    ],
)
def test_refused(text: str) -> None:
    assert node(text) != []


def test_every_op_that_a_node_can_say_is_there() -> None:
    names = {
        choice for option in validator().schema["$defs"]["Node"]["else"]["anyOf"] for choice in option.get("enum", ())
    }
    assert set(LAYERS) <= names
    assert set(OPS) - names == {"call", "scan", "while", "cond", "constant", "fused"}
