"""Args that name a part: a library's block calls what its caller shares."""

from __future__ import annotations

import numpy as np
import pytest

from .elaborating import library, net, program, said, spec

X = np.arange(6.0).reshape(2, 3) - 2
TWICE = library("""
blocks:
  twice:
    args: {each: part, never: false}
    inputs: {x: any}
    graph:
      - {part: $each, name: once}
      - {part: $each, name: again, when: not never}
""")
CALLER = """
include: {lib: lib.yaml}
parts:
  turn: {op: linear, features: 3}
  deep: {block: pair}
blocks:
  pair:
    inputs: {x: any}
    graph: [{part: turn}, {op: linear, name: own, features: 3}, tanh]
inputs:
  x: float[N, 3]
graph:
  - {block: lib.twice, name: y, each: EACH}
  - {part: deep, name: z}
outputs: {y: y, z: z}
"""


@pytest.mark.parametrize("each", ["turn", "deep"])
def test_the_part_is_shared(each: str) -> None:
    """The library's calls own nothing: the parameters are those of the part, wherever it is called."""
    text, files = spec(CALLER.replace("EACH", each)), {"lib.yaml": TWICE}
    made = program(text, files)
    assert sorted(made.parameters) == ["deep.own.bias", "deep.own.weight", "turn.bias", "turn.weight"]
    run = net(text, files)
    paths = ("turn.weight", "turn.bias", "deep.own.weight", "deep.own.bias")
    w, b, v, c = (np.asarray(run.values[path]) for path in paths)

    def turn(x: np.ndarray) -> np.ndarray:
        return x @ w.T + b

    def deep(x: np.ndarray) -> np.ndarray:
        return np.tanh(turn(x) @ v.T + c)

    call = turn if each == "turn" else deep
    y = call(call(X))
    got = run(x=X)
    np.testing.assert_allclose(got["y"], y, rtol=1e-6)
    np.testing.assert_allclose(got["z"], deep(y), rtol=1e-6)


def test_a_part_that_a_false_condition_leaves_out_is_called() -> None:
    lib = TWICE.replace("{part: $each, name: once}", "{part: $each, name: once, when: not never}")
    text = spec("""
    include: {lib: lib.yaml}
    parts: {turn: {op: linear, features: 3}}
    inputs:
      x: float[N, 3]
    graph:
      - {block: lib.twice, name: y, each: turn, never: true}
    outputs: {y: y}
    """)
    assert not program(text, {"lib.yaml": lib}).parameters


def test_handed_on() -> None:
    """From block to block, and as an arg of a document."""
    text = spec("""
    include: {lib: lib.yaml}
    args: {which: {type: part, default: turn}}
    parts: {turn: {op: linear, features: 3}, other: {op: linear, features: 3, bias: false}}
    blocks:
      outer:
        args: {inner: part}
        inputs: {x: any}
        graph: [{block: lib.twice, each: $inner}]
    inputs:
      x: float[N, 3]
    graph:
      - {block: outer, name: y, inner: $which}
      - {part: other, name: z}
      - {part: turn, name: u}
    outputs: {y: y, z: z, u: u}
    """)
    run = net(text, {"lib.yaml": TWICE}, args={"which": "other"})
    w = np.asarray(run.values["other.weight"])
    np.testing.assert_allclose(run(x=X)["y"], X @ w.T @ w.T, rtol=1e-6)


@pytest.mark.parametrize(
    ("each", "message"),
    [
        ("trun", "there is no part `trun`"),
        ("pair", "there is no part `pair`"),
        ("relu", "there is no part `relu`"),
        ("3", "there is no part `3`"),
    ],
)
def test_names_of_parts_that_there_are_not(each: str, message: str) -> None:
    found = said(spec(CALLER.replace("EACH", each)), {"lib.yaml": TWICE})
    assert any(message in one for one in found), found


def test_a_library_has_no_parts_of_its_own() -> None:
    lib = TWICE.replace("each: part", "each: {type: part, default: turn}")
    found = said(spec(CALLER.replace(", each: EACH", "")), {"lib.yaml": lib})
    assert any("there is no part `turn`" in one for one in found), found
