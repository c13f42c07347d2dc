"""Equal blocks in a row as one loop: what is rolled computes the same, and what cannot be says why."""

from __future__ import annotations

import numpy as np
import pytest

from netwright.compiler.evaluate import evaluate, prepare_weights
from netwright.compiler.ir import Program
from netwright.compiler.ir.text import parse_program, print_program
from netwright.compiler.ir.verify import verify
from netwright.compiler.passes.context import Context
from netwright.compiler.passes.dce import dce
from netwright.compiler.passes.hoist import hoist
from netwright.compiler.passes.roll import roll
from netwright.compiler.placements import tensor_placements

DEPTH = 4
PARAMETERS = "\n".join(f'parameter "w{k}": float32[3, 3] init "xavier"' for k in range(DEPTH))
HEAD = f"""program "p"

sharding {{
  mesh "data" 3
{chr(10).join(f'  param "w{k}" [null, "data"]' for k in range(DEPTH))}
}}

{PARAMETERS}
parameter "s": float32[3] init "ones"

function "layer" [N] {{
  input %0: float32[N, 3]
  input %1: float32[3]
  input %2: float32[3, 3]
  %3 = dot(%0, %2) {{lhs_contract: [1], rhs_contract: [0]}} : float32[N, 3]
  %4 = broadcast(%1) {{shape: [N, 3], axes: [1]}} : float32[N, 3]
  %5 = mul(%3, %4) : float32[N, 3]
  %6 = tanh(%5) : float32[N, 3]
  output %6
  output %5
}}
"""
CALL = '{function: "layer", types: [float32[N, 3], float32[N, 3]]} : float32[N, 3], float32[N, 3]'


def chain(outputs: str = 'output "y" %13', name: str = "main", more: str = "") -> str:
    """An entry: four calls, the first of x, each of the results of the one before."""
    params = "\n".join(f'  param %{k + 2} "w{k}": float32[3, 3]' for k in range(DEPTH))
    calls = "\n".join(
        f"  %{7 + 2 * k}, %{8 + 2 * k} = call(%{5 + 2 * k if k else 0}, %1, %{k + 2}) {CALL}"
        f' @"m.yaml":{k + 1}:1 "stack.{k}"'
        for k in range(DEPTH)
    )
    head = f'entry "{name}" [N] {{\n  input %0 "x": float32[N, 3]\n  param %1 "s": float32[3]\n{params}\n'

    return f"\n{head}{calls}\n{more}  {outputs}\n}}\n"


def rolled(text: str, least: int = 2) -> tuple[Program, Context]:
    program = parse_program(text)
    verify(program)
    context = Context(roll=least)
    found = roll(program, context)
    verify(found, "roll")
    found = dce(hoist(found, context), context)
    verify(found, "hoist")
    return found, context


def same(text: str, found: Program) -> None:
    """Both programs give the same for random arrays."""
    program = parse_program(text)
    random = np.random.default_rng(0)
    weights = {
        path: random.normal(size=tuple(parameter.type.shape)).astype(np.float32)
        for path, parameter in program.parameters.items()
    }
    for name, entry in program.entries.items():
        results = []
        for one in (program, found):
            packed = {**weights, **prepare_weights(one, weights)}
            inputs = [np.full((2, 3), 0.5, np.float32), *(packed[path] for path in one.entries[name].params)]
            results.append(evaluate(one.entries[name].graph, inputs, {"N": 2}, one.functions))
        assert len(results[0]) == len(entry.outputs)
        for left, right in zip(*results, strict=True):
            np.testing.assert_allclose(left, right, 1e-6)


@pytest.mark.parametrize(
    "outputs",
    [
        'output "y" %13',
        'output "y" %14',
        'output "y" %13\n  output "z" %14',
        # Results of calls within are rows of a stack.
        'output "y" %9\n  output "z" %13\n  output "a" %7\n  output "b" %10\n  output "c" %14',
    ],
)
def test_a_chain_becomes_a_scan(outputs: str) -> None:
    text = HEAD + chain(outputs)
    found, context = rolled(text)
    shown = print_program(found, locs=False)
    entry = shown[shown.index("entry") :]
    assert entry.count("scan(") == 1 and entry.count("call(") == 1 and f"length: {DEPTH}" in entry
    assert found.packed == ("w0.packed",) and "concat" not in entry
    assert tensor_placements(found) == {"w0.packed": (None, None, "data")}
    assert [(event.kind, event.what) for event in context.log if event.pass_name == "roll"] == [
        ("rewritten", "4 calls of layer")
    ]
    assert '"stack"' in print_program(found) and '"stack.0"' not in print_program(found)
    same(text, found)


def test_chains_inside_functions_and_behind_each_other() -> None:
    """A function that holds a chain is inlined; a second chain reads what the first one gives."""
    inner = chain().replace('entry "main" [N]', 'function "model" [N]')
    for name in ("x", "s", *(f"w{k}" for k in range(DEPTH))):
        inner = inner.replace(f' "{name}": ', ": ")
    inner = inner.replace("param %", "input %").replace('output "y"', "output")
    types = '{function: "model", types: [float32[N, 3]]} : float32[N, 3]'
    params = "\n".join(f'  param %{k + 2} "w{k}": float32[3, 3]' for k in range(DEPTH))
    main = f"""
entry "main" [N] {{
  input %0 "x": float32[N, 3]
  param %1 "s": float32[3]
{params}
  %6 = call(%0, %1, %2, %3, %4, %5) {types}
  %7 = exp(%6) : float32[N, 3]
  %8 = call(%7, %1, %2, %3, %4, %5) {types}
  output "y" %8
}}
"""
    text = HEAD + inner + main
    found, _ = rolled(text)
    shown = print_program(found, locs=False)
    assert shown[shown.index("entry") :].count("scan(") == 2
    assert list(found.functions) == ["layer"] and found.packed == ("w0.packed",)
    same(text, found)


def test_fewer_blocks_than_asked_for_stay() -> None:
    text = HEAD + chain()
    program = parse_program(text)
    assert roll(program, Context(roll=DEPTH + 1)) is program
    assert roll(program, Context()) is program


def test_two_entries_share_the_stack() -> None:
    text = HEAD + chain() + chain(name="decode")
    found, _ = rolled(text)
    assert found.packed == ("w0.packed",)
    same(text, found)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            chain('output "y" %13\n  output "z" %3'),
            "w1 is read in another way too",
        ),
        (
            chain() + chain(name="decode").replace("call(%11, %1, %5)", "call(%11, %1, %4)"),
            "w0 is read in another way too",
        ),
        (
            chain(outputs='output "y" %13\n  output "z" %15').replace(
                "  %11, %12", "  %15 = exp(%9) : float32[N, 3]\n  %11, %12"
            ),
            "a result is needed before the end of the chain",
        ),
    ],
)
def test_chains_that_stay_say_why(text: str, why: str) -> None:
    found, context = rolled(HEAD + text)
    refused = [event for event in context.log if (event.pass_name, event.kind) == ("roll", "refused")]
    assert refused and refused[0].why == why, refused
    assert "scan" not in print_program(found)
    same(HEAD + text, found)
