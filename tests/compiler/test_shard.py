"""Shardings of programs: their text, the constraints that the pass makes of them, and where packed tensors lie."""

from __future__ import annotations

import numpy as np
import pytest

from netwright.compiler.evaluate import evaluate
from netwright.compiler.ir.text import TextError, parse_program, print_program
from netwright.compiler.ir.verify import verify
from netwright.compiler.passes.context import Context
from netwright.compiler.passes.dce import dce
from netwright.compiler.passes.hoist import hoist
from netwright.compiler.passes.shard import ShardError, shard
from netwright.compiler.placements import tensor_placements, value_placements

PROGRAM = """program "p"

sharding {
  mesh "data" 2
  mesh "model" 4
  param "w" ["model", null] @"m.yaml":3:5
  value "x" ["data", null]
  value "a.h" ["data", "model"] @"m.yaml":4:5
  value "loop" [null]
  value "y" ["data", null]
}

parameter "w": float32[8, 4] init "xavier"

function "inner" {
  input %0: float32[N, 8]
  %1 = tanh(%0) : float32[N, 8] @"m.yaml":9:1 "h"
  %2 = exp(%1) : float32[N, 8] @"m.yaml":9:1 "h"
  output %2
}

function "outer" {
  input %0: float32[N, 8]
  %1 = call(%0) {function: "inner", types: [float32[N, 8]]} : float32[N, 8]
  output %1
}

entry "main" [N] {
  input %0 "x": float32[N, 4]
  input %1 "z": float32[4]
  param %2 "w": float32[8, 4]
  %3 = dot(%0, %2) {lhs_contract: [1], rhs_contract: [1]} : float32[N, 8]
  %4 = call(%3) {function: "outer", types: [float32[N, 8]]} : float32[N, 8] @"m.yaml":6:1 "a"
  %5 = call(%4) {function: "outer", types: [float32[N, 8]]} : float32[N, 8] @"m.yaml":7:1 "b"
  %6 = scan(%1) {carries: 1, length: 3} : float32[4] @"m.yaml":8:1 "loop" {
    input %7: float32[4]
    %8 = exp(%7) : float32[4] @"m.yaml":8:1 "loop"
    output %8
  }
  output "y" %5
  output "s" %6
}
""".replace('function "inner" {', 'function "inner" [N] {').replace('function "outer" {', 'function "outer" [N] {')


def test_the_text_of_a_sharding_round_trips() -> None:
    program = parse_program(PROGRAM)
    assert print_program(program) == PROGRAM
    verify(program)
    assert program.sharding is not None
    assert (program.sharding.devices, str(program.sharding)) == (8, "data=2, model=4")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ('sharding { mesh "a" 2 mesh "a" 3 }', "the mesh axis 'a' stands here twice"),
        ('sharding { param "w" ["a"] param "w" ["a"] }', "the param 'w' stands here twice"),
        ('sharding { param "w" [3] }', "a list of mesh axes in quotes and nulls belongs here"),
        ('sharding { node "w" [null] }', "mesh, param or value belongs here, not node"),
        ('sharding { mesh "a" 1 } sharding { }', "a program has one sharding"),
    ],
)
def test_mistakes_in_the_text(section: str, message: str) -> None:
    with pytest.raises(TextError, match=message.replace("[", r"\[")):
        parse_program(f'program "p"\n{section}')


def test_constraints_stand_behind_the_values_that_labels_name() -> None:
    """Only the first call is spread inside: its function becomes two, and so does the one that calls it."""
    program = parse_program(PROGRAM)
    context = Context()
    found = shard(program, context)
    verify(found)
    text = print_program(found, locs=False)
    assert list(found.functions) == ["inner", "outer", "inner.2", "outer.2"]
    assert text.count("sharding_constraint") == 4
    assert "%3 = exp(%1) : float32[N, 8]" not in text
    inner = text[text.index('function "inner" ') : text.index('function "outer" ')]
    assert inner.index("exp") < inner.index('sharding_constraint(%2) {axes: ["data", "model"]}')
    assert '{function: "inner.2", types' in text
    assert 'sharding_constraint(%5) {axes: ["data", null]}' in text
    assert text.count("{axes: [null]}") == 2
    (guard,) = found.entries["main"].guards
    assert str(guard.left) == "N" and str(guard.right) == "2*((N)//2)"
    assert "x is spread over the 2 devices of data" in str(guard.loc)
    assert [event.what for event in context.log] == ["values spread over data=2, model=4: 4"]
    inputs = [np.ones((2, 4), "float32"), np.ones(4, "float32"), np.full((8, 4), 0.1, "float32")]
    runs = [evaluate(one.entries["main"].graph, inputs, {"N": 2}, one.functions) for one in (program, found)]
    for one, two in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, two)


def test_without_a_sharding_nothing_changes() -> None:
    text = PROGRAM[: PROGRAM.index("sharding")] + PROGRAM[PROGRAM.index("parameter") :]
    program = parse_program(text)
    assert shard(program, Context()) is program
    assert tensor_placements(program) == {} == value_placements(program)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"w" ["model", null]', '"w" ["modal", null]', "m.yaml:3:5: the mesh has no axis 'modal'"),
        ('"w" ["model", null]', '"w" ["model"]', "m.yaml:3:5: 'w' has 2 axes, 1 are placed"),
        ('"model" 4', '"model" 3', "m.yaml:3:5: 'w': 8 is not divisible by the 3 devices of 'model'"),
        ('param "w" ["model", null] @"m.yaml":3:5', "", "'a.h': 8 is not divisible by the 5 devices of 'model'"),
    ],
)
def test_shardings_that_do_not_fit(old: str, new: str, message: str) -> None:
    text = PROGRAM.replace(old, new)
    if not new:
        text = text.replace('"model" 4', '"model" 5')
    with pytest.raises(ShardError) as caught:
        shard(parse_program(text), Context())
    assert message in str(caught.value)


PACKED = """program "p"

sharding {
  mesh "data" 2
  mesh "model" 2
  param "w" ["model", null]
  param "v" [null, "data"]
  param "s" ["model"]
}

parameter "w": float32[8, 4] init "xavier"
parameter "v": float32[8, 4] init "xavier"
parameter "s": float32[4] init "ones"

entry "main" {
  input %0 "x": float32[8, 4]
  param %1 "w": float32[8, 4]
  param %2 "v": float32[8, 4]
  param %3 "s": float32[4]
  %4 = mul(%1, %2) : float32[8, 4]
  %5 = transpose(%4) {axes: [1, 0]} : float32[4, 8]
  %6 = exp(%3) : float32[4]
  %7 = reshape(%6) {shape: [2, 2]} : float32[2, 2]
  %8 = dot(%0, %5) {lhs_contract: [1], rhs_contract: [0]} : float32[8, 8]
  output "y" %8
  output "z" %7
}
"""


def test_packed_tensors_lie_as_what_they_are_made_of() -> None:
    program = dce(hoist(parse_program(PACKED), Context()), Context())
    product, reshaped = program.entries["main"].params
    assert tensor_placements(program) == {product: ("data", "model")}
    assert program.tensor_types()[reshaped].shape == (2, 2)
