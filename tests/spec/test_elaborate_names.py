"""Rules 1 to 6: names and scopes, values, null, labels."""

from __future__ import annotations

import numpy as np
import pytest

from netwright.compiler.ir import Program

from .elaborating import labels, net, program, spec, told

TAKEN = "all names that a scope sees differ; nothing shadows"


def test_a_scope_sees_its_own_names_and_those_of_its_file() -> None:
    run = net(
        spec("""
        args: {gain: 3}
        let: {twice: 2 * gain}
        parts: {shift: {op: linear, features: 4}}
        blocks:
          b:
            args: {k: 5}
            let: {both: k + twice}
            inputs:
              x: float[N, C]
            constants:
              c: {type: 'float[2]', value: [1, 10]}
            params:
              p: float[4]
            graph:
              - {part: shift, in: x}
              - {name: h, value: 'x * both + p + C * gain + c[1]'}
        inputs:
          x: float[N, 4]
        graph:
          - {block: b, name: y, in: x}
        outputs: {y: y}
        """)
    )
    x = np.arange(8.0).reshape(2, 4)
    wanted = x * (5 + 6) + run.values["y.p"] + 4 * 3 + 10
    np.testing.assert_allclose(run(x=x)["y"], wanted)


def test_no_other_scope_is_seen() -> None:
    text = spec("""
    blocks:
      b:
        args: {k: 1}
        inputs:
          x: float[N, D]
        graph:
          - {name: inner, value: x + other + outer}
    inputs:
      x: float[N, 4]
      other: float[N]
    graph:
      - {name: outer, value: x}
      - {block: b, name: z, in: x}
      - {name: y, value: z + inner + k + D}
    outputs: {y: y}
    """)
    assert told(text) == [
        "9:34 the name `other` is not known here",
        "9:42 the name `outer` is not known here",
        "16:26 the name `inner` is not known here",
        "16:34 the name `k` is not known here",
        "16:38 the name `D` is not known here",
    ]


def test_a_name_that_is_not_known_is_told_once_for_each_scope() -> None:
    text = spec("""
    inputs:
      x: float[N]
    graph:
      - {op: tanh, in: z}
      - {name: y, value: x + z}
    outputs: {y: y, z: z}
    """)
    assert told(text) == ["6:20 the name `z` is not known here"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("args: {x: 1}\ninputs:\n  x: float[N]\ngraph: [{name: y, value: x}]\n", "5:3 x 3"),
        ("args: {x: 1}\nlet: {x: 2}\ninputs:\n  z: float[N]\ngraph: [{name: y, value: z}]\n", "4:7 x 3"),
        ("inputs:\n  x: float[N]\ngraph: [{name: x, value: 1}, {name: y, value: x}]\n", "5:16 x 4"),
        ("inputs:\n  x: float[N]\ngraph: [{name: y, value: x}, {name: y, value: x}]\n", "5:37 y 5"),
        ("inputs:\n  x: float[N]\ngraph: [{op: split, name: [y, x], parts: 2}]\n", "5:31 x 4"),
        ("inputs:\n  x: float[N]\nparams: {x: 'float[3]'}\ngraph: [{name: y, value: x}]\n", "5:10 x 4"),
        (
            "inputs:\n  x: float[N]\nconstants: {x: {type: 'float[]', value: 1}}\ngraph: [{name: y, value: x}]\n",
            "5:13 x 4",
        ),
        ("inputs:\n  x: float[N]\nstate: {x: {type: 'float[]'}}\ngraph: [{name: y, value: x}]\n", "4:3 x 5"),
        ("parts: {y: {op: linear, features: 1}}\ninputs:\n  x: float[N, 2]\ngraph: [{part: y, name: y}]\n", "6:25 y 3"),
    ],
)
def test_nothing_shadows(body: str, where: str) -> None:
    place, name, line = where.split()
    message = f"{place} the name `{name}` is taken: it is defined in line {line} already | {TAKEN}"
    assert message in told(spec(body + "outputs: {y: y}\n"))


def test_names_of_blocks_entries_and_training_clash_with_those_around_them() -> None:
    text = spec("""
    args: {a: 1}
    blocks:
      b:
        let: {a: 2}
        inputs: {x: any}
        graph: [{name: b, value: x}]
    inputs:
      x: float[N]
    graph:
      - {name: y, value: x}
    outputs: {y: y}
    entries:
      more:
        inputs:
          a: float[N]
        graph:
          - {name: y, value: a}
        outputs: {y: y}
    training:
      inputs:
        y: float[N]
      let: {loss: 1}
      graph:
        - {name: loss, value: x}
      loss: reduce_mean(x)
      optimizer: {kind: sgd}
    """)
    assert told(text) == [
        f"6:11 the name `a` is taken: it is defined in line 3 already | {TAKEN}",
        f"17:7 the name `a` is taken: it is defined in line 3 already | {TAKEN}",
        f"23:5 the name `y` is taken: it is defined in line 12 already | {TAKEN}",
        f"26:14 the name `loss` is taken: it is defined in line 24 already | {TAKEN}",
    ]


def test_a_node_is_seen_behind_itself_only() -> None:
    text = spec("""
    inputs:
      x: float[N]
    graph:
      - {name: a, value: b + x}
      - {name: b, value: b + x}
      - {name: y, value: x}
    outputs: {y: y}
    """)
    assert told(text) == [
        "6:22 the name `b` is not known here | it is defined further down",
        "7:22 the name `b` is not known here | it is defined further down",
    ]


def test_a_node_without_a_name_cannot_be_named() -> None:
    text = spec("""
    inputs:
      x: float[N]
    graph:
      - tanh
      - {name: y, value: tanh + 1}
    outputs: {y: y}
    """)
    assert told(text) == ["7:22 the name `tanh` is not known here"]


def test_i_is_known_where_something_is_repeated() -> None:
    text = spec("""
    inputs:
      x: float[N]
    graph:
      - {name: a, value: x * i}
      - {op: leaky_relu, name: b, slope: i + 0.5}
      - {op: leaky_relu, name: y, repeat: 2, slope: i + 0.5}
    outputs: {y: y}
    """)
    hint = "`i` counts the iterations of a node with `repeat`"
    assert told(text) == [f"6:26 the name `i` is not known here | {hint}"]


# ---- values


def test_fields_items_and_parameters_of_a_node() -> None:
    run = net(
        spec("""
        inputs:
          x: float[N, 4]
        graph:
          - {op: linear, name: l, features: 4}
          - {op: top_k, name: best, k: 2}
          - {op: split, name: parts, in: x, parts: 2, axis: 1}
          - {name: y, value: 'best.values + parts[0] + parts[-1] + l.weight[0, 0] + l.bias[1]'}
        outputs: {y: y, at: best.indices}
        """)
    )
    x = np.random.default_rng(1).normal(size=(3, 4))
    weight, bias = run.values["l.weight"], run.values["l.bias"]
    h = x @ weight.T + bias
    found = run(x=x)
    best = np.sort(h, axis=1)[:, ::-1][:, :2]
    np.testing.assert_allclose(found["y"], best + x[:, :2] + x[:, 2:] + weight[0, 0] + bias[1])
    np.testing.assert_array_equal(found["at"], np.argsort(-h, axis=1)[:, :2])


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("l.scale", "`.scale` of float32[N, 4]: it has no fields | its parameters are weight, bias"),
        ("x.weight", "`.weight` of float32[N, 4]: it has no fields"),
        ("best.value", "the record has no field `value` | its fields are values, indices"),
        ("parts[2]", "the index 2 is outside the list, which has 2 items"),
        ("parts.first", "`.first` of a list of 2"),
        ("best[0]", "an item of a record of values, indices"),
        ("best + 1", "`+` between a record of values, indices and an integer"),
        ("x + best", "`+` between a tensor and a record of values, indices; take a field, as in `.values`"),
        ("x + parts", "`+` between a tensor and a list of 2; take an item, as in `[0]`"),
        ("tanh(best)", "tanh: a tensor is needed, this is a record of values, indices; take a field, as in `.values`"),
        ("tanh(parts)", "tanh: a tensor is needed, this is a list of 2; take an item, as in `[0]`"),
        ("x + 'a'", "`+` between a tensor and 'a'"),
    ],
)
def test_what_a_value_does_not_have(formula: str, message: str) -> None:
    text = spec(f"""
    inputs:
      x: float[N, 4]
    graph:
      - {{op: linear, name: l, features: 4}}
      - {{op: top_k, name: best, k: 2}}
      - {{op: split, name: parts, in: x, parts: 2, axis: 1}}
      - name: y
        value: {formula}
    outputs: {{y: y}}
    """)
    (found,) = told(text)
    assert found.split(" ", 1)[1] == message
    assert found.startswith("10:")


def test_a_list_or_record_where_an_op_takes_a_tensor() -> None:
    text = spec("""
    inputs:
      x: float[N, 4]
    graph:
      - {op: top_k, k: 2}
      - tanh
      - {op: split, in: x, parts: 2, axis: 1}
      - {op: linear, name: l, features: 3}
      - {op: concat, in: x}
      - {name: y, value: x}
    outputs: {y: y}
    """)
    assert told(text) == [
        "7:5 tanh: a tensor is needed, this is a record of values, indices; take a field, as in `.values`",
        "9:5 linear: a tensor is needed, this is a list of 2; take an item, as in `[0]`",
        "10:5 concat: the operand `xs` is a list, not float32[N, 4]",
    ]


def test_names_unpack_a_list() -> None:
    run = net(
        spec("""
        inputs:
          x: float[N, 6]
        graph:
          - {op: split, name: [a, b, c], parts: 3, axis: 1}
          - {name: [d, e], value: '[a, c]'}
          - {name: y, value: b - d + e}
        outputs: {y: y}
        """)
    )
    x = np.arange(12.0).reshape(2, 6)
    np.testing.assert_array_equal(run(x=x)["y"], x[:, 2:4] - x[:, :2] + x[:, 4:])
    text = spec("""
    inputs:
      x: float[N, 6]
    graph:
      - {op: split, name: [a, b], parts: 3, axis: 1}
      - {op: tanh, name: [c], in: x}
      - {name: y, value: x}
    outputs: {y: y}
    """)
    assert told(text) == [
        "6:23 2 names unpack a list of 2, this is a list of 3",
        "7:22 1 name unpack a list of 1, this is float32[N, 6]",
    ]


# ---- null

OPTIONAL = """
blocks:
  add:
    inputs: {x: any, bias?: any}
    graph:
      - {name: y, value: 'x if bias == null else x + bias'}
inputs:
  x: float[N]
  bias?: float[N]
graph:
  - {block: add, name: shifted, in: {x: x, bias: bias}}
  - {op: linear, name: left, when: bias != null, in: 'shifted[:, null]', features: 2}
  - {name: y, value: 'shifted * 2 if left == null else left.field[0].any'}
outputs: {y: y, bias: bias, left: left}
"""


def test_null_goes_to_optional_inputs_and_outputs() -> None:
    run = net(spec(OPTIONAL.replace(" else left.field[0].any", " else shifted")))
    x = np.arange(3.0)
    found = run(x=x)
    assert list(found) == ["y"]
    np.testing.assert_array_equal(found["y"], 2 * x)
    given = net(spec(OPTIONAL.replace(" else left.field[0].any", " else shifted")), given=frozenset({"bias"}))
    found = given(x=x, bias=x + 1)
    assert list(found) == ["y", "bias", "left"]
    np.testing.assert_array_equal(found["y"], 2 * x + 1)
    np.testing.assert_array_equal(found["bias"], x + 1)


def test_fields_and_items_of_null_are_null() -> None:
    run = net(
        spec("""
        inputs:
          x: float[N]
          cache?: {type: {k: 'float[N]'}, count: 2}
        graph:
          - {name: y, value: 'x if cache[1].k == null else x + cache[1].k'}
        outputs: {y: y}
        """)
    )
    np.testing.assert_array_equal(run(x=np.ones(2))["y"], np.ones(2))


def test_null_is_given_to_optional_operands() -> None:
    run = net(
        spec("""
        inputs:
          x: float[N, 3]
          gain?: float[3]
        graph:
          - {op: linear, name: y, in: {x: x, bias: gain}, features: 2}
        outputs: {y: y}
        """)
    )
    assert list(run.values) == ["y.weight", "y.bias"]


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("{name: y, value: x + mask}", "`+` between a tensor and null"),
        ("{name: y, value: mask + 1}", "`+` between null and an integer"),
        ("{name: y, value: -mask}", "`-` before null"),
        ("{name: y, value: 'mask < 1'}", "`<` between null and an integer"),
        ("{name: y, value: x if mask else x}", "a condition is true or false, this is null"),
        ("{name: y, value: not mask}", "a condition is true or false, this is null"),
        ("{name: y, value: tanh(mask)}", "`tanh` takes tensors, not null"),
        ("{name: y, value: 'max(x, mask)'}", "max: the operand `y` is null"),
        ("{op: tanh, name: y, in: mask}", "tanh: the operand `x` is null"),
        ("{op: add, name: y, in: [x, mask]}", "add: the operand `y` is null"),
        ("{op: add, name: y, in: {x: x}}", "add: the operand `y` is missing"),
        ("{op: concat, name: y, in: [x, mask], axis: 0}", "concat: a tensor is needed, this is null"),
        ("{op: linear, name: y, in: mask, features: 1}", "linear: the operand `x` is null"),
        ("{block: b, name: y, in: mask}", "`b`: the input `x` is null"),
        ("{op: relu, name: y, in: x, repeat: mask}", "`repeat` is a whole number, not null"),
        ("{op: relu, name: y, in: x, when: mask}", "a condition is true or false, not null"),
        ("{op: leaky_relu, name: y, in: x, slope: mask}", "`leaky_relu`: `slope` is a finite number, not null"),
    ],
)
def test_any_other_use_of_null_is_a_mistake(node: str, message: str) -> None:
    text = spec(f"""
    blocks:
      b:
        inputs: {{x: any}}
        graph: [{{value: x}}]
    inputs:
      x: float[N]
      mask?: float[N]
    graph:
      - {node}
    outputs: {{y: y}}
    """)
    (found,) = told(text)
    assert found.split(" | ")[0].split(" ", 1)[1] == message


# ---- labels


def labelled() -> Program:
    return program(
        spec("""
        blocks:
          inner:
            inputs: {x: any}
            graph:
              - {op: linear, path: ., features: 4}
              - {name: y, value: tanh(x)}
          outer:
            inputs: {x: any}
            graph:
              - relu
              - {block: inner, name: stack, repeat: 2}
              - {block: inner, path: last}
          cell:
            inputs: {x: any, h: 'float[N, 4]'}
            graph:
              - {name: next, value: h + x}
            outputs: {h: next}
        inputs:
          x: float[N, 4]
        graph:
          - tanh
          - {block: outer, name: run}
          - {op: relu, name: r, repeat: 2}
          - {block: cell, name: loop, carry: {h: x}, scan: {over: {x: r}}}
        outputs: {y: loop.h * 2}
        """)
    )


def test_labels_are_chains_of_node_names() -> None:
    assert labels(labelled()) == [
        "#0",
        "run.#0",
        "run.stack.0.#0",
        "run.stack.0.y",
        "run.stack.1.#0",
        "run.stack.1.y",
        "run.#2.#0",
        "run.#2.y",
        "r.0",
        "r.1",
        "loop",
        "loop.next",
        "y",
    ]


def test_labels_survive_inlining() -> None:
    from netwright.compiler.passes.context import Context
    from netwright.compiler.passes.inline import inline

    flat = inline(labelled(), Context(target="reference", claims=lambda *_: None))
    found = [node.loc.label for node in flat.entries["main"].graph.nodes if node.loc is not None]
    assert "run.stack.1.y" in found and "run.#2.#0" in found
