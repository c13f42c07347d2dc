"""The JSON Schema agrees with the reader on what is plainly right and wrong."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from netwright.spec.reader import read_tree
from netwright.spec.schema import json_schema
from netwright.spec.tree import plain

OPS: dict[str, dict[str, Any]] = {
    "relu": {"type": "object", "properties": {}},
    "conv2d": {
        "type": "object",
        "properties": {"filters": {"$ref": "#/$defs/Number"}, "bias": {"type": ["boolean", "string"]}},
        "required": ["filters"],
        "$defs": {"Number": {"type": ["integer", "string"]}},
    },
}
HEAD = "netwright: 1\nname: t\n"


def messages(text: str, ops: dict[str, dict[str, Any]] | None = None) -> list[str]:
    schema = json_schema(ops)
    Draft202012Validator.check_schema(schema)
    found = Draft202012Validator(schema).iter_errors(plain(read_tree(text, "t.yaml")))
    return [error.message for error in found]


@pytest.mark.parametrize("ops", [None, OPS])
@pytest.mark.parametrize(
    "node",
    [
        "relu",
        "$act",
        "{op: relu, name: [a, b], in: [x, {k: null}], when: training, else: x, doc: why}",
        "{op: conv2d, filters: 2 * w, bias: false, path: {weight: a}, compute: float32}",
        "{op: $act, width: 3}",
        "{block: b, width: [1, {k: 2}], scan: {over: {x: x}, axis: 1}, carry: {h: 0}}",
        "{part: p, in: x, entry: decode}",
        "{value: x + 1, name: y}",
    ],
)
def test_accepted_nodes(node: str, ops: dict[str, dict[str, Any]] | None) -> None:
    assert messages(f"{HEAD}graph:\n  - {node}\noutputs: {{y: y}}\n", ops) == []


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("{op: relu, value: x}", "is valid under each of"),
        ("{name: x}", "is not valid under any of the given schemas"),
        ("{op: relu, carry: {x: y}}", "False schema does not allow"),
        ("{op: conv2d}", "'filters' is a required property"),
        ("{op: conv2d, filters: 1, bogus: 2}", "'bogus' was unexpected"),
        ("{op: conv2d, filters: []}", "[] is not of type 'integer', 'string'"),
        ("{op: convd, filters: 1}", "'convd' is not valid under any of the given schemas"),
        ("convd", "'convd' is not valid under any of the given schemas"),
        ("{value: x, width: 1}", "'width' was unexpected"),
    ],
)
def test_refused_nodes(node: str, message: str) -> None:
    assert any(message in one for one in messages(f"{HEAD}graph:\n  - {node}\noutputs: {{y: y}}\n", OPS))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("netwright: 1\ngraf: []\n", "'graf' was unexpected"),
        ("netwright: 1\ngraph: []\n", "'outputs' is a required property"),
        ("name: t\n", "'netwright' is a required property"),
        ("netwright: 1\nargs: {a: strong}\n", "is not valid under any"),
        ("netwright: 1\ninputs: {x: 'flot[N]'}\n", "is not valid under any"),
        ("netwright: 1\ntraining: {loss: x, optimizer: {kind: adm}}\n", "is not valid under any"),
        ("netwright: 1\ninit: {a: zero}\n", "is not valid under any"),
    ],
)
def test_refused_documents(text: str, message: str) -> None:
    assert any(message in one for one in messages(text))


def test_accepted_document() -> None:
    text = (
        HEAD + "args: {a: 1, b: int, c: {type: text, default: x}, d: [1]}\n"
        "inputs: {x: 'float[N, ...]', m?: {type: {k: any}, count: 2, range: [0, a - 1]}}\n"
        "params: {w: 'float[2]', v: {type: 'float[2]', init: {normal: 0.1}}}\n"
        "parts: {p: {op: conv2d, filters: 3}, q: {block: b, k: 1}, r: {model: zoo:m, depth: 1}}\n"
        "init: {'**': zeros}\nweights: {a: [], b: {header: 1, sequence: [0], each: [w]}}\n"
        "sharding: {mesh: {d: 2}, values: {x: [d, null]}}\n"
        "training: {loss: x, optimizer: {kind: adam}, rate: {kind: cosine, start: 1, epochs: 1}}\n"
        "graph: [relu]\noutputs: {y: x}\n"
    )
    assert messages(text, OPS) == []
