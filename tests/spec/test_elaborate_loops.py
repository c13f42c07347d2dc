"""Rules 28 to 31: `repeat` and `scan`, each row of their table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .elaborating import Net, net, program, said, spec, told

X = np.arange(8.0).reshape(2, 4) - 3


def document(nodes: str, head: str = "", outputs: str = "{y: y}", inputs: str = "{x: 'float[N, 4]'}") -> str:
    lines = "".join(f"  {line}\n" for line in nodes.strip("\n").split("\n"))
    return spec(f"{head}inputs: {inputs}\ngraph:\n{lines}outputs: {outputs}\n")


def run(nodes: str, head: str = "", outputs: str = "{y: y}") -> dict[str, Any]:
    return net(document(nodes, head, outputs))(x=X)


BLOCKS = """blocks:
  plain:
    args: {k: 1}
    inputs: {x: any, z?: any}
    graph: [{value: 'x + k if z == null else x * k + z'}]
  record:
    args: {k: 1}
    inputs: {x: any, z?: any}
    graph: [{name: h, value: x + k}]
    outputs: {x: 'h if z == null else h + z', seen: h, both: [h, {k: h * 2}]}
  push:
    inputs: {x: any, skips: any}
    graph: [{name: h, value: x * 2}]
    outputs: {x: h, skips: 'skips + [h]'}
  pop:
    inputs: {x: any, skips: any}
    graph: [{name: h, value: 'x + skips[-1]'}]
    outputs: {x: h, skips: 'skips[:-1]'}
  layer:
    args: {features: int}
    inputs: {x: any}
    graph:
      - {op: linear, path: ., features: features}
      - tanh
  give:
    args: {k: int}
    graph: [{op: full, shape: [2], fill: k}]
"""


# ---- repeat


def test_a_repeated_op_that_chains_hands_its_value_on() -> None:
    text = document(
        "- {op: linear, name: l, repeat: 3, features: 4}\n- {op: leaky_relu, name: y, repeat: 2, slope: i + 2}"
    )
    made = net(text)
    assert list(made.values) == [f"l.{i}.{name}" for i in range(3) for name in ("weight", "bias")]
    h = X
    for i in range(3):
        h = h @ made.values[f"l.{i}.weight"].T + made.values[f"l.{i}.bias"]
    for i in range(2):
        h = np.where(h > 0, h, h * (i + 2))
    np.testing.assert_allclose(made(x=X)["y"], h)


def test_each_iteration_has_shapes_and_paths_of_its_own() -> None:
    text = document(
        "- {op: linear, path: enc.$(2 * i).w, repeat: len(widths), features: 'widths[i]'}\n- {op: tanh, name: y}",
        "let: {widths: [3, 5, 2]}\n",
    )
    made = net(text)
    shapes = {path: value.shape for path, value in made.values.items() if path.endswith("weight")}
    assert shapes == {"enc.0.w.weight": (3, 4), "enc.2.w.weight": (5, 3), "enc.4.w.weight": (2, 5)}


def test_a_repeated_op_with_operands_gives_a_list() -> None:
    found = run(
        """- {op: leaky_relu, name: l, repeat: 3, in: x * i, slope: i + 0.5}
- {op: add, name: s, repeat: 2, in: ['l[i]', 'l[i + 1]']}
- {op: full, name: f, repeat: 2, shape: [i + 1], fill: i}
- {name: y, value: 's[0] + s[1]'}
""",
        outputs="{y: y, l: l, f: f}",
    )
    leaky = [np.where(X * i > 0, X * i, X * i * (i + 0.5)) for i in range(3)]
    np.testing.assert_allclose(found["y"], leaky[0] + 2 * leaky[1] + leaky[2])
    assert [found[f"f.{i}"].tolist() for i in range(2)] == [[0], [1, 1]]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_repeated_block_that_chains_carries_its_first_input(count: int) -> None:
    found = run(f"- tanh\n- {{block: plain, name: y, repeat: {count}, k: i * 10}}", BLOCKS)
    np.testing.assert_allclose(found["y"], np.tanh(X) + 10 * sum(range(count)))


def test_what_stays_the_same_and_what_is_new() -> None:
    found = run(
        """- {name: z, value: x * 2}
- {block: plain, name: y, repeat: 3, carry: {x: x}, in: {z: z * i}, k: i + 1}
""",
        BLOCKS,
    )
    h = X
    for i in range(3):
        h = h * (i + 1) + 2 * X * i
    np.testing.assert_allclose(found["y"], h)


@pytest.mark.parametrize("count", [0, 2])
def test_a_record_gives_the_last_of_what_is_carried_and_lists_of_the_rest(count: int) -> None:
    made = net(
        document(
            f"- {{block: record, name: r, repeat: {count}, carry: {{x: x * 3}}, in: {{z: x}}, k: i}}",
            BLOCKS,
            "{x: r.x, seen: r.seen, both: r.both}",
        )
    )
    found = made(x=X)
    h, seen = X * 3, []
    for i in range(count):
        seen.append(h + i)
        h = h + i + X
    np.testing.assert_allclose(found["x"], h)
    for i in range(count):
        np.testing.assert_allclose(found[f"seen.{i}"], seen[i])
        np.testing.assert_allclose(found[f"both.{i}.0"], seen[i])
        np.testing.assert_allclose(found[f"both.{i}.1.k"], seen[i] * 2)
    assert len(found) == 1 + 3 * count


def test_a_chained_record_carries_its_first_input_too() -> None:
    found = run("- {block: record, name: r, repeat: 2}\n- {name: y, value: 'r.x + r.seen[0]'}", BLOCKS)
    np.testing.assert_allclose(found["y"], X + 2 + X + 1)


def test_without_carry_repeat_maps() -> None:
    found = run(
        """- {block: plain, name: p, repeat: 3, in: x + i, k: i}
- {block: record, name: r, repeat: 2, in: {x: 'p[i]'}, k: 1}
- {block: give, name: g, repeat: 2, k: i}
- {block: plain, name: none, repeat: 0, in: x, k: 'missing[i]'}
- {name: y, value: 'p[2] + r.x[1] + len(none)'}
""",
        "let: {missing: []}\n" + BLOCKS,
        "{y: y, g: g, none: none}",
    )
    np.testing.assert_allclose(found["y"], (X + 4) + (X + 2) + 1)
    assert found["g.1"].tolist() == [1, 1]
    assert [name for name in found if name.startswith("none")] == []


def test_carried_lists_grow_and_shrink() -> None:
    found = run(
        """- {block: push, name: down, repeat: 3, carry: {x: x, skips: [x]}}
- {block: pop, name: up, repeat: 4, carry: {x: down.x, skips: down.skips}}
- {name: y, value: up.x}
- {name: left, value: len(up.skips) + len(down.skips)}
""",
        BLOCKS,
        "{y: y, left: left}",
    )
    np.testing.assert_allclose(found["y"], 8 * X + 8 * X + 4 * X + 2 * X + X)
    assert found["left"] == 4


def test_a_repeated_part_shares_its_parameters() -> None:
    made = net(
        document(
            "- {part: lin, repeat: 3}\n- {part: both, name: y, repeat: 2}",
            "parts: {lin: {op: linear, features: 4}, both: {block: layer, features: 4}}\n" + BLOCKS,
        )
    )
    assert list(made.values) == ["lin.weight", "lin.bias", "both.weight", "both.bias"]
    h = X
    for _ in range(3):
        h = h @ made.values["lin.weight"].T + made.values["lin.bias"]
    for _ in range(2):
        h = np.tanh(h @ made.values["both.weight"].T + made.values["both.bias"])
    np.testing.assert_allclose(made(x=X)["y"], h)


def test_equal_iterations_share_one_function() -> None:
    made = program(document("- {block: layer, name: y, repeat: 50, features: 4}", BLOCKS))
    assert len(made.functions) == 1 and len(made.parameters) == 100
    made = program(document("- {block: plain, name: y, repeat: 5, k: i}", BLOCKS))
    assert len(made.functions) == 5


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("{block: plain, name: y, repeat: -1}", "`repeat` is 0 or more, not -1"),
        ("{block: plain, name: y, repeat: 0.5}", "`repeat` is a whole number, not 0.5"),
        ("{block: plain, name: y, repeat: true}", "`repeat` is a whole number, not true"),
        ("{block: plain, name: y, repeat: x}", "`repeat` is static; this is float32[N, 4], found at run time only"),
        ("{block: plain, name: y, repeat: 1000001}", "`repeat` is 1000000 at most, this is 1000001"),
        ("{block: plain, name: y, repeat: 2, carry: {x: x, z: x}}", "a block without `outputs` carries one input: its"),
        ("{block: plain, name: y, repeat: 2, carry: {w: x}}", "`plain` has no input `w`"),
        ("{block: plain, name: y, repeat: 2, carry: {x: x}, in: {x: x}}", "the input `x` is given twice"),
        ("{block: plain, name: y, repeat: 2, carry: {z: x}}", "`plain`: the input `x` is missing"),
        ("{block: plain, name: y, carry: {x: x}}", "`carry` needs `repeat` or `scan`"),
        (
            "{block: record, name: y, repeat: 2, carry: {z: x}, in: {x: x}}",
            "`z` is carried, but no output has this name",
        ),
        ("{block: give, name: y, repeat: 2, k: 1, in: x}", "`give` takes 0 inputs (none), 1 are given"),
        ("{block: plain, name: y, repeat: 2, path: a.$j}", "the name `j` is not known here"),
        ("{block: layer, name: y, path: a, repeat: 2, features: 4}", "every iteration owns the parameter `a.weight`"),
        ("{block: layer, name: y, repeat: 2, features: 'w[i]'}", "the index 1 is outside the list, which has 1 items"),
        ("{block: plain, name: y, repeat: 3, carry: {x: x}, in: {z: 'zs[i]'}}", "the index 1 is outside the list"),
    ],
)
def test_repeats_that_are_mistaken(node: str, message: str) -> None:
    (found,) = told(document(f"- {{name: zs, value: '[x]'}}\n- {{value: x}}\n- {node}", "let: {w: [4]}\n" + BLOCKS))
    assert found.split(" ", 1)[1].startswith(message), found


def test_an_op_carries_nothing() -> None:
    assert said(document("- {op: tanh, name: y, carry: {x: x}, repeat: 2}")) == ["5:25 an op node has no key `carry`"]


# ---- scan

CELLS = """blocks:
  add:
    inputs: {h: any, x: any}
    graph: [{value: h + x}]
  cell:
    args: {k: 1}
    inputs:
      state: float[N, W]
      x: float[N, W]
      gain?: any
    graph:
      - {op: linear, name: l, in: x, features: W}
      - {name: s, value: 'tanh(state + l) if gain == null else tanh(state + l) * gain'}
    outputs: {state: s, y: s * k, both: {a: s + 1, b: [x]}}
  sums:
    inputs: {total: 'float[N]', count: 'int64[]', x: any}
    graph: [{name: t, value: total + reduce_sum(x)}]
    outputs: {total: t, count: count + 1, seen: t}
  next:
    inputs: {token: 'int64[N]', at: 'int64[]', done: 'bool[N]'}
    graph:
      - {name: t, value: 'where(done, token, token + at)'}
      - {name: d, value: done or t > 5}
    outputs: {token: t, at: at + 1, done: d, tokens: t}
  pair:
    inputs: {h: any, q: any}
    graph: [{name: n, value: 'h + q.a * q.b'}]
    outputs: {h: n, y: n}
"""
S = np.random.default_rng(5).normal(size=(3, 5, 4))  # N, T, W
LENGTHS = np.array([5, 2, 0])


def scanned(node: str, outputs: str, inputs: str = "{x: 'float[N, T, 4]', lengths: 'int64[N]'}", head: str = "") -> Net:
    return net(document(f"- {node}", head + CELLS, outputs, inputs))


def linear(made: Net, name: str, x: np.ndarray) -> np.ndarray:
    return x @ made.values[f"{name}.weight"].T + made.values[f"{name}.bias"]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_scan_over_a_sequence(reverse: bool, lengths: bool, axis: int) -> None:
    more = f", reverse: {str(reverse).lower()}" if reverse else ""
    more += ", lengths: lengths" if lengths else ""
    x = "x" if axis == 1 else "transpose"
    made = net(
        document(
            f"""- {{op: transpose, name: transpose, in: x, axes: [1, 0, 2]}}
- {{block: cell, name: r, path: c, carry: {{state: 0}}, in: {{gain: x[:, 0]}}, scan: {{over: {{x: {x}}}, axis: {axis}{more}}}, k: 3}}
""".replace("gain: x[:, 0]", "gain: 'x[:, 0]'"),
            CELLS,
            "{state: r.state, y: r.y, a: r.both.a, b: r.both.b}",
            "{x: 'float[N, T, 4]', lengths: 'int64[N]'}",
        )
    )
    assert list(made.values) == ["c.l.weight", "c.l.bias"]
    found = made(x=S, lengths=LENGTHS)
    state, ys = np.zeros((3, 4)), np.zeros((3, 5, 4))
    last = LENGTHS if lengths else np.full(3, 5)
    for t in reversed(range(5)) if reverse else range(5):
        new = np.tanh(state + linear(made, "c.l", S[:, t])) * S[:, 0]
        alive = (t < last)[:, None]
        state = np.where(alive, new, state)
        ys[:, t] = np.where(alive, new, 0)
    alive = np.arange(5)[None, :, None] < last[:, None, None]
    place = (lambda a: a) if axis == 1 else (lambda a: a.transpose(1, 0, 2))
    np.testing.assert_allclose(found["state"], state)
    np.testing.assert_allclose(found["y"], place(ys * 3))
    np.testing.assert_allclose(found["a"], place(np.where(alive, ys + 1, 0)))
    np.testing.assert_allclose(found["b.0"], place(np.where(alive, S, 0)))


def test_a_block_without_outputs_carries_its_value() -> None:
    made = scanned("{block: add, name: y, carry: {h: 'x[:, 0] * 0'}, scan: {over: {x: x}, axis: 1}}", "{y: y}")
    np.testing.assert_allclose(made(x=S, lengths=LENGTHS)["y"], S.sum(1))


def test_a_scan_that_only_maps() -> None:
    head = "blocks: {b: {inputs: {x: any}, graph: [{value: x * 2}]}, c: {inputs: {x: any}, graph: [{name: z, value: x + 1}], outputs: {z: z}}}\n"
    made = net(
        document(
            "- {block: b, name: y, scan: {over: {x: x}, axis: 1}}\n- {block: c, name: w, scan: {over: {x: x}, axis: 2}}",
            head,
            "{y: y, w: w.z}",
            "{x: 'float[N, T, 4]'}",
        )
    )
    found = made(x=S)
    np.testing.assert_allclose(found["y"], S * 2)
    np.testing.assert_allclose(found["w"], S + 1)


def test_a_scan_over_records_and_lists() -> None:
    made = scanned(
        "{block: pair, name: r, carry: {h: 'x[:, 0] * 0'}, scan: {over: {q: {a: x, b: 'x + 1'}}, axis: 1}}",
        "{y: r.y, h: r.h}",
    )
    found = made(x=S, lengths=LENGTHS)
    np.testing.assert_allclose(found["y"], np.cumsum(S * (S + 1), 1))
    np.testing.assert_allclose(found["h"], np.sum(S * (S + 1), 1))


@pytest.mark.parametrize("steps", ["4", "T", "T - 1"])
def test_a_scan_of_so_many_steps(steps: str) -> None:
    made = net(
        document(
            f"- {{block: sums, name: r, carry: {{total: 0, count: 0}}, in: {{x: x}}, scan: {{steps: {steps}}}}}",
            "dims: {T: [2, 9]}\n" + CELLS,
            "{total: r.total, count: r.count, seen: r.seen}",
            "{x: 'float[N, T, 4]', z: 'float[N]'}",
        ).replace("total: 0", "total: z")
    )
    found = made(x=S, z=np.zeros(3))
    n = {"4": 4, "T": 5, "T - 1": 4}[steps]
    np.testing.assert_allclose(found["total"], np.full(3, n * S.sum()))
    assert found["count"] == n
    np.testing.assert_allclose(found["seen"], np.arange(1, n + 1)[:, None] * S.sum() * np.ones(3))


@pytest.mark.parametrize("start", [[0, 0, 0], [9, 9, 9], [0, 3, 9]])
def test_until_ends_a_scan_and_the_rest_repeats(start: list[int]) -> None:
    made = net(
        document(
            "- {block: next, name: r, carry: {token: k, at: 0, done: false}, scan: {steps: 6, axis: 1, until: all(done)}}",
            CELLS,
            "{tokens: r.tokens, at: r.at}",
            "{k: 'int64[N]'}",
        )
    )
    token, done, rows, at = np.array(start), np.zeros(3, bool), [], 0
    for _ in range(6):
        token = np.where(done, token, token + at)
        done = done | (token > 5)
        at += 1
        rows.append(token)
        if done.all():
            break
    rows += [rows[-1]] * (6 - len(rows))
    found = made(k=np.array(start))
    np.testing.assert_array_equal(found["tokens"], np.stack(rows, 1))
    assert found["at"] == at


def test_a_scan_within_a_scan() -> None:
    head = """blocks:
  add:
    inputs: {h: any, x: any}
    graph: [{value: h + x}]
  rows:
    inputs: {x: any, g: any}
    graph:
      - {block: add, name: s, carry: {h: g}, scan: {over: {x: x}, axis: 1}}
    outputs: {s: s}
"""
    node = "- {block: rows, name: r, in: {g: 'x[:, 0, 0]'}, scan: {over: {x: x}, axis: 1}}"
    made = net(document(node, head, "{y: r.s}", "{x: 'float[N, T, 4]'}"))
    np.testing.assert_allclose(made(x=S)["y"], S.sum(2) + S[:, :1, 0])


def test_what_is_stacked_has_room_for_the_axis() -> None:
    text = document(
        "- {block: sums, name: r, carry: {total: 'x[:, 0, 0]', count: 0}, scan: {over: {x: x}, axis: 2}}",
        CELLS,
        inputs="{x: 'float[N, T, 4]'}",
    )
    assert "`seen` is float32[N], which cannot be stacked along axis 2" in told(text)[0]


def test_a_number_that_a_scan_gives_is_stacked() -> None:
    head = "blocks: {b: {inputs: {x: any}, graph: [{name: z, value: x + 1}], outputs: {z: z, n: 2}}}\n"
    node = "- {block: b, name: r, scan: {over: {x: x}}}"
    made = net(document(node, head, "{n: r.n}", "{x: 'float[N, T, 4]'}"))
    np.testing.assert_array_equal(made(x=S)["n"], [2, 2, 2])


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("{block: add, name: y, carry: {h: 0}, scan: {axis: 1}}", "`scan` needs `over` or `steps`"),
        ("{block: add, name: y, carry: {h: x}, in: {x: x}, scan: {steps: 0}}", "`steps` is 1 or more, not 0"),
        ("{block: add, name: y, carry: {h: x}, in: {x: x}, scan: {steps: Z}}", "`steps` is 1 or more, not Z"),
        ("{block: add, name: y, carry: {h: x}, in: {x: x}, scan: {steps: 0.5}}", "`steps` is a whole number, not 0.5"),
        (
            "{block: add, name: y, carry: {h: x}, in: {x: x}, scan: {steps: 3000000000}}",
            "`steps` is 2147483647 at most",
        ),
        (
            "{block: add, name: y, carry: {h: x}, scan: {over: {x: x}, axis: 3}}",
            "`over` walks along axis 3, `x` is float32[N, T, 4]",
        ),
        ("{block: add, name: y, carry: {h: x}, scan: {over: {x: x}, axis: -1}}", "`axis` counts from 0, this is -1"),
        ("{block: add, name: y, carry: {h: x}, scan: {over: {x: 3}}}", "`over` walks along tensors, `x` is 3"),
        ("{block: add, name: y, carry: {h: x}, scan: {over: {w: x}}}", "`add` has no input `w`"),
        ("{block: add, name: y, carry: {w: x}, scan: {over: {x: x}}}", "`add` has no input `w`"),
        ("{block: add, name: y, carry: {h: x}, in: {x: x}, scan: {over: {x: x}}}", "the input `x` is given twice"),
        ("{block: add, name: y, carry: {x: x}, scan: {over: {x: x}}}", "the input `x` is given twice"),
        ("{block: add, name: y, scan: {over: {x: x}}}", "`add`: the input `h` is missing"),
        (
            "{block: add, name: y, carry: {h: 0}, scan: {over: {x: x}}}",
            "`h` is carried, so its type must not change: 0 becomes",
        ),
        (
            "{block: add, name: y, carry: {h: 'x[0, 0]'}, scan: {over: {x: x}, axis: 1}}",
            "`h` is carried, so its type must",
        ),
        (
            "{block: cell, name: y, carry: {x: 'x[:, 0]'}, in: {state: 'x[:, 0]'}, scan: {steps: 2}}",
            "`x` is carried, but no",
        ),
        (
            "{block: cell, carry: {state: 0}, scan: {over: {x: x}, axis: 1}}",
            "`cell` owns parameters, so the node needs",
        ),
        (
            "{block: add, name: y, carry: {h: 'x[:, 0]'}, scan: {over: {x: x}, axis: 1, lengths: x}}",
            "`lengths` is int64[N], not",
        ),
        (
            "{block: add, name: y, carry: {h: 'x[:, 0]'}, scan: {over: {x: x}, axis: 1, until: h > 0}}",
            "`until` is one bool, not",
        ),
        (
            "{block: add, name: y, carry: {h: 'x[:, 0]'}, scan: {over: {x: x}, axis: 1, until: all(x > 0)}}",
            "the name `x` is not",
        ),
        (
            "{block: sums, name: y, carry: {total: 'x[:, 0, 0]', count: 0}, scan: {over: {x: x}, axis: 1, lengths: lengths}}",
            "with `lengths` `count` needs an axis, it is int64[]",
        ),
        (
            "{block: add, name: y, repeat: 2, carry: {h: x}, scan: {over: {x: x}}}",
            "`repeat` and `scan` stand on one node",
        ),
        ("{block: add, name: y, carry: {h: x}, scan: {over: {x: x}, axis: x}}", "`axis` is static"),
        (
            "{block: add, name: y, carry: {h: 'x[:, 0]'}, scan: {over: {x: x}, steps: 3, until: 1}}",
            "`until` is one bool, not 1",
        ),
    ],
)
def test_scans_that_are_mistaken(node: str, message: str) -> None:
    text = document(
        f"- {{value: x}}\n- {node}",
        "dims: {Z: [0, 4]}\n" + CELLS,
        "{y: x}",
        "{x: 'float[N, T, 4]', lengths: 'int64[N]', z: 'int64[Z]'}",
    )
    found = told(text)
    assert found[0].split(" ", 1)[1].startswith(message), found
    assert len(found) == 1


def test_a_mistake_within_a_loop_shows_the_chain() -> None:
    text = document(
        "- {block: bad, name: y, carry: {h: 'x[:, 0]'}, scan: {over: {x: x}, axis: 1}}",
        "blocks: {bad: {inputs: {h: any, x: any}, graph: [{value: 'h + x[:, :3]'}]}}\n",
        inputs="{x: 'float[N, T, 4]'}",
    )
    from .elaborating import mistakes

    (one,) = mistakes(text)
    assert one.message == "add: the shapes [N, 4] and [N, 3] do not go together (4 against 3)"
    assert [label for label, _ in one.chain] == ["bad"]
