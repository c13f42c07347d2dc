"""Rules 38 to 40: entries, state, what stands at the boundary."""

from __future__ import annotations

import numpy as np
import pytest

from .elaborating import net, program, said, spec, told

CACHE = spec("""
args: {depth: 2, context: 5}
parts: {lin: {op: linear, features: 3}}
inputs:
  x: float[N, 3]
graph:
  - {part: lin, name: h}
outputs: {y: h}
state:
  cache: {type: {k: 'float[N, context]', v: 'float[N, context]'}, count: depth, initial: 1}
  at: {type: 'int64[]', initial: 0}
  on: {type: 'bool[N]'}
entries:
  step:
    inputs:
      token: float[N]
    dims: {N: [1, 8]}
    graph:
      - {part: lin, name: h, in: 'token[:, null] + cache[0].k[:, :3]'}
      - {name: next, value: 'cache[1].v + token[:, null]'}
    outputs:
      y: h
      cache: [{k: 'cache[0].k', v: next}, {k: next, v: 'cache[1].v'}]
      at: at + 1
      both: [token, {on: on, n: at}]
  reset:
    inputs:
      token: float[N]
    dims: {N: [1, 8]}
    graph: [{name: z, value: token}]
    outputs: {cache: 0, at: 7, on: true, z: z}
dims: {N: [1, 8]}
""")


def test_entries_share_parameters_and_state() -> None:
    made = program(CACHE)
    assert list(made.entries) == ["main", "step", "reset"]
    assert list(made.parameters) == ["lin.weight", "lin.bias"]
    assert {name: (str(s.type), s.initial) for name, s in made.state.items()} == {
        "cache.0.k": ("float32[N, 5]", 1),
        "cache.0.v": ("float32[N, 5]", 1),
        "cache.1.k": ("float32[N, 5]", 1),
        "cache.1.v": ("float32[N, 5]", 1),
        "at": ("int64[]", 0),
        "on": ("bool[N]", False),
    }
    main, step, reset = made.entries.values()
    assert main.states == () and main.updates == ()
    assert step.states == ("cache.0.k", "cache.1.v", "at", "on")
    assert step.outputs == ("y", "both.0", "both.1.on", "both.1.n")
    assert step.updates == ("cache.0.k", "cache.0.v", "cache.1.k", "cache.1.v", "at")
    assert reset.states == () and reset.outputs == ("z",)
    assert reset.updates == ("cache.0.k", "cache.0.v", "cache.1.k", "cache.1.v", "at", "on")


def test_what_entries_compute() -> None:
    made = net(CACHE)
    weight, bias = made.values["lin.weight"], made.values["lin.bias"]
    token, k, v = np.array([1.0, -2]), np.arange(10.0).reshape(2, 5), np.ones((2, 5))
    states = {"cache.0.k": k, "cache.1.v": v, "at": np.int64(4), "on": np.array([True, False])}
    found = made("step", states, token=token)
    np.testing.assert_allclose(found["y"], (token[:, None] + k[:, :3]) @ weight.T + bias)
    np.testing.assert_allclose(found["cache.0.k"], k)
    np.testing.assert_allclose(found["cache.1.k"], v + token[:, None])
    assert found["at"] == 5 and found["both.1.n"] == 4
    cleared = made("reset", {}, token=token)
    assert (cleared["cache.1.v"] == 0).all() and cleared["cache.1.v"].shape == (2, 5)
    assert cleared["at"] == 7 and cleared["on"].tolist() == [True, True]


STATE = """
inputs:
  x: float[N, 3]
state: {state}
graph:
  - {{name: y, value: x}}
outputs: {outputs}
"""


@pytest.mark.parametrize(
    ("state", "outputs", "message"),
    [
        (
            "{s: {type: 'float[N, 3]'}}",
            "{s: 'x[:, :2]'}",
            "8:11 the output `s` sets a state: it is float32[N, 2], the state",
        ),
        (
            "{s: {type: 'float[N, 3]', range: [0, 1]}}",
            "{s: x}",
            "5:42 `range` is for whole numbers, `s` is float32[N, 3]",
        ),
        (
            "{s: {type: 'float[3]'}}",
            "{s: x}",
            "8:11 the output `s` sets a state: it is float32[N, 3], the state is float32[3]",
        ),
        (
            "{s: {type: 'int64[N, 3]'}}",
            "{s: x}",
            "8:11 the output `s` sets a state: it is float32[N, 3], the state is int64",
        ),
        (
            "{s: {type: 'float[N, 3]', count: 2}}",
            "{s: x}",
            "8:11 the output `s` sets a state: it is float32[N, 3], the",
        ),
        (
            "{s: {type: 'float[N, 3]', count: 2}}",
            "{s: [x]}",
            "8:11 the output `s` sets a state: it is a list of 1, the",
        ),
        (
            "{s: {type: {a: 'float[N, 3]'}}}",
            "{s: {b: x}}",
            "8:11 the output `s` sets a state: it is a record of b, the",
        ),
        ("{s: {type: 'float[N, 3]'}}", "{s: true}", "8:11 the number true is none of float32"),
        ("{s: {type: 'int64[]'}}", "{s: 0.5}", "8:11 the number 0.5 is none of int64"),
        ("{s: {type: 'int64[]', initial: 0.5}}", "{y: y}", "5:39 the number 0.5 is none of int64"),
        (
            "{s: {type: 'int64[]', initial: x}}",
            "{y: y}",
            "5:39 the first value of a state is static; this is float32[N, 3]",
        ),
        ("{s: {type: 'int64[]', initial: [1]}}", "{y: y}", "5:39 a state begins with a number, not a list of 1"),
        ("{s: {type: any}}", "{y: y}", "5:19 an input of a model has a type with dims: `float[N, 3]`"),
        ("{s: {type: 'float[N, ...]'}}", "{y: y}", "5:19 `float[N, ...]` leaves dims open with `...`"),
        ("{s: {type: 'float[2000000, 2000000]'}}", "{y: y}", "5:19 float32[2000000, 2000000] needs 2^40 bytes or more"),
        ("{s: {type: 'float[A * B]'}}", "{y: y}", "5:26 the size of A cannot be told from `A * B`"),
        ("{s: {type: 'float[N]', count: -1}}", "{y: y}", "5:38 `count` lies from 0 to 10000, this is -1"),
        ("{x: {type: 'float[N]'}}", "{y: y}", "4:3 the name `x` is taken: it is defined in line 5 already"),
    ],
)
def test_state_that_is_mistaken(state: str, outputs: str, message: str) -> None:
    found = said(spec(STATE.format(state=state, outputs=outputs)))
    assert found[0].startswith(message), found


def test_state_whose_sizes_must_be_equal_is_guarded() -> None:
    made = program(spec(STATE.format(state="{s: {type: 'float[M, 3]'}}", outputs="{s: x}")))
    entry = made.entries["main"]
    first = entry.guards[0]
    assert (str(first.left), str(first.right), str(first.loc)) == ("N", "M", "m.yaml:8:11")
    assert str(entry.graph.outputs[0].type) == "float32[M, 3]"


def test_state_has_one_range_of_sizes_for_all_entries() -> None:
    text = CACHE.replace("    dims: {N: [1, 8]}\n", "    dims: {N: [1, 9]}\n", 1)
    assert told(text) == [
        "11:10 the state `cache.0.k` is float32[N, 5] in one entry and float32[N, 5] in another"
        " | bound its symbols with the document's `dims`",
        "13:7 the state `on` is bool[N] in one entry and bool[N] in another"
        " | bound its symbols with the document's `dims`",
    ]
    # without `dims` of its own an entry has those of the document
    assert program(CACHE.replace("    dims: {N: [1, 8]}\n", ""))


def test_mistakes_of_all_entries_are_told() -> None:
    text = spec("""
    inputs:
      x: float[N]
    graph: [{name: y, value: x + a}]
    outputs: {y: y}
    entries:
      one:
        inputs:
          x: float[N]
        graph: [{name: y, value: tanh(x) + b}]
        outputs: {y: y}
      two:
        inputs:
          k: float[-1]
        graph: [{name: z, value: x + y}]
        outputs: {y: z}
    """)
    assert said(text) == [
        "5:30 the name `a` is not known here",
        "11:40 the name `b` is not known here",
        "15:16 a dim lies from 0 to 2^31 - 1, this is -1",
        "16:30 the name `x` is not known here",
        "16:34 the name `y` is not known here",
    ]


@pytest.mark.parametrize("name", ["main", "train_step"])
def test_names_that_no_entry_has(name: str) -> None:
    text = spec(
        f"inputs: {{x: 'float[N]'}}\ngraph: [{{name: y, value: x}}]\noutputs: {{y: y}}\nentries: {{{name}: {{graph: [], outputs: {{}}}}}}\n"
    )
    assert f"`{name}` is no name for an entry" in told(text)[0]


def test_lists_and_records_are_flattened_with_dots() -> None:
    made = program(
        spec("""
        inputs:
          p: {type: {a: 'float[N]', b: 'int64[]'}, count: 2}
          q: {type: {deep: {er: 'float[N]'}}}
        graph:
          - {name: y, value: '[p[1].a + q.deep.er, p[0]]'}
        outputs: {y: y, none: null, empty: []}
        """)
    )
    entry = made.entries["main"]
    assert [port.name for port in entry.inputs] == ["p.0.a", "p.0.b", "p.1.a", "p.1.b", "q.deep.er"]
    assert entry.outputs == ("y.0", "y.1.a", "y.1.b")


RANDOM = """
inputs:
  x: float[N, 3]
  seed: int64[]
graph:
  - {{op: random_normal, name: r, {given}shape: [N, 3]}}
  - {{name: y, value: x + r}}
outputs: {{y: y}}
"""


def test_random_numbers_take_a_seed_and_a_counter() -> None:
    made = net(spec(RANDOM.format(given="in: {seed: seed, step: 3}, ")))
    x = np.zeros((2, 3))
    once, again, other = (made(x=x, seed=seed)["y"] for seed in (1, 1, 2))
    assert (once == again).all() and (once != other).any()
    assert told(spec(RANDOM.format(given=""))) == ["7:5 there is no node before, and not exactly one input | say `in`"]
    assert told(spec(RANDOM.format(given="in: {}, "))) == ["7:5 random_normal: the operand `seed` is missing"]
