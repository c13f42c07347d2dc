"""Rules 24 to 27: the chain, operands, conditions, and what a node gives."""

from __future__ import annotations

import numpy as np
import pytest

from netwright.spec.layers import LAYERS
from netwright.spec.layers.base import Layer
from netwright.spec.model import RESERVED_KEYS

from .elaborating import net, program, said, spec, told

X = np.arange(8.0).reshape(2, 4) - 3


def run(nodes: str, head: str = "", outputs: str = "{y: y}") -> dict[str, np.ndarray]:
    return net(document(nodes, head, outputs))(x=X)


def document(nodes: str, head: str = "", outputs: str = "{y: y}") -> str:
    lines = "".join(f"  {line}\n" for line in nodes.strip().split("\n"))
    return spec(f"{head}inputs:\n  x: float[N, 4]\ngraph:\n{lines}outputs: {outputs}\n")


# ---- rule 24: the chain


def test_a_node_takes_the_node_before_it() -> None:
    found = run(
        """- tanh
- {op: max, in: [x, 0]}
- {name: half, value: x / 2}
- {op: leaky_relu, slope: 0.5}
- {op: softmax, name: y}
"""
    )
    h = np.where(X / 2 > 0, X / 2, X / 4)
    np.testing.assert_allclose(found["y"], np.exp(h) / np.exp(h).sum(-1, keepdims=True))


def test_the_first_node_takes_the_only_input() -> None:
    np.testing.assert_allclose(run("- {op: tanh, name: y}")["y"], np.tanh(X))
    two = spec("inputs: {x: 'float[N]', z: 'float[N]'}\ngraph: [{op: tanh, name: y}]\noutputs: {y: y}\n")
    assert told(two) == ["4:9 there is no node before, and not exactly one input | say `in`"]
    none = spec("graph: [{op: tanh, name: y}]\noutputs: {y: y}\n")
    assert told(none) == ["3:9 there is no node before, and not exactly one input | say `in`"]
    optional = spec("inputs: {'x?': 'float[N]'}\ngraph: [{op: tanh, name: y}]\noutputs: {y: y}\n")
    assert told(optional) == ["4:9 tanh: the operand `x` is null"]
    assert program(optional, given=frozenset({"x"}))


def test_the_chain_goes_into_blocks_and_parts() -> None:
    head = """parts: {lin: {op: linear, features: 4}, both: {block: twice}}
blocks:
  twice:
    inputs: {x: any, more?: any}
    graph: [{value: x * 2}]
"""
    text = document("- {block: twice}\n- {part: both}\n- {part: lin}\n- {op: tanh, name: y}", head)
    made = net(text)
    h = X * 4 @ made.values["lin.weight"].T + made.values["lin.bias"]
    np.testing.assert_allclose(made(x=X)["y"], np.tanh(h))


def test_the_chain_gives_the_first_operand_only() -> None:
    assert told(document("- {op: add, name: y}")) == ["6:5 add: the operand `y` is missing"]
    head = "blocks: {b: {inputs: {p: any, q: any}, graph: [{value: p + q}]}}\n"
    assert told(document("- {block: b, name: y}", head)) == ["7:5 `b`: the input `q` is missing | in: {q: ...}"]


def test_ops_and_blocks_without_operands_do_not_chain() -> None:
    found = run(
        """- tanh
- {op: iota, name: k, length: 4, dtype: float}
- {block: c, name: c}
- {name: y, value: x + k + c}
""",
        "blocks: {c: {graph: [{op: full, shape: [], fill: 3}]}}\n",
    )
    np.testing.assert_allclose(found["y"], X + np.arange(4) + 3)
    assert told(document("- {op: iota, name: y, length: 4, in: x}")) == [
        "6:5 iota: 1 operands are given, it takes 0: none"
    ]


# ---- operands


@pytest.mark.parametrize("given", ["[x, w]", "{x: x, y: w}", "{y: w, x: x}", "['x', 'w + 0']", "{x: x, y: '[w][0]'}"])
def test_operands_by_order_and_by_name(given: str) -> None:
    found = run(f"- {{name: w, value: x * 2}}\n- {{op: sub, name: y, in: {given}}}")
    np.testing.assert_allclose(found["y"], -X)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("{op: sub, name: y, in: [x, x, x]}", "sub: 3 operands are given, it takes 2: x, y"),
        ("{op: sub, name: y, in: {x: x, z: x}}", "`sub` has no operand `z` | its operands: x, y"),
        ("{op: sub, name: y, in: {x: x}}", "sub: the operand `y` is missing"),
        ("{op: sub, name: y, in: [x]}", "sub: the operand `y` is missing"),
        ("{op: tanh, name: y, in: [x, x]}", "tanh: 2 operands are given, it takes 1: x"),
        (
            "{op: linear, name: y, in: {x: x, wieght: x}, features: 2}",
            "`linear` has no operand `wieght` | did you mean",
        ),
        (
            "{op: linear, name: y, in: {x: x, weight: 'x[:, :3]'}, features: 2}",
            "linear: `weight` is float32[2, 4], given is",
        ),
        (
            "{op: linear, name: y, in: {x: x, bias: x}, features: 4, bias: false}",
            "linear: it has no parameter `bias` with these fields",
        ),
        (
            "{op: concat, name: y, in: [x, [x]], axis: 0}",
            "concat: a tensor is needed, this is a list of 1; take an item",
        ),
        ("{op: concat, name: y, in: x, axis: 0}", "concat: the operand `xs` is a list, not float32[N, 4]"),
        (
            "{op: concat, name: y, in: [x, 'x[:, :2]'], axis: 0}",
            "concat of float32[N, 4] and float32[N, 2] along axis 0: 4 and 2 differ",
        ),
        ("{op: softmax, name: y, in: x, axis: 2}", "softmax: axis 2 of a tensor with 2 axes"),
        ("{op: embedding, name: y, in: x, rows: 3, features: 2}", "embedding: indices are int32 or int64, not float32"),
        (
            "{op: conv2d, name: y, in: x, filters: 3, kernel: 3}",
            "conv2d: x must have 4 axes, [N, C, H, W]; it is float32",
        ),
        ("{op: tanh, name: y, in: {}}", "tanh: the operand `x` is missing"),
        ("{op: tanh, name: y, in: []}", "tanh: the operand `x` is missing"),
        (
            "{op: reshape, name: y, in: x, shape: [N, 5]}",
            "reshape of float32[N, 4] to float32[N, 5]: the numbers of elements: 4*N and",
        ),
        ("{op: cast, name: y, in: x, dtype: int63}", "`int63` is none of the words here, and no name that is known"),
        ("{op: scan, name: y, in: x, length: 3}", "there is no op `scan`"),
        ("{op: constant, name: y, in: x}", "there is no op `constant`"),
    ],
)
def test_operands_that_do_not_fit(node: str, message: str) -> None:
    (found,) = told(document(f"- {node}"))
    assert found.split(" ", 1)[1].startswith(message), found
    assert found.startswith("6:")


def test_one_mistake_is_told_once_however_many_calls_meet_it() -> None:
    text = spec("""
    blocks:
      bad:
        inputs:
          x: float[N, C]
        graph:
          - {op: linear, name: l, features: 3}
          - {name: h, value: l + x}
          - {op: tanh, name: t}
          - {name: y, value: t + h}
    inputs:
      x: float[N, 4]
    graph:
      - {block: bad, name: a}
      - {block: bad, name: b, in: x}
      - {block: bad, name: c, in: x, repeat: 5}
      - {name: y, value: a + b}
    outputs: {y: y}
    """)
    assert said(text) == ["9:26 add: the shapes [N, 3] and [N, 4] do not go together (3 against 4)"]


# ---- rule 25: lists


def test_an_op_that_takes_a_list() -> None:
    found = run(
        """- {op: split, name: parts, parts: 2, axis: 1}
- {op: concat, name: a, in: parts, axis: 1}
- {op: concat, name: b, in: ['parts[1]', 'parts[0]'], axis: 1}
- {op: concat, name: c, in: 'parts[::-1] + [x]', axis: 1}
- {op: concat, name: d, in: {xs: parts}, axis: 1}
- {op: split, in: x, parts: 4, axis: 1}
- {op: stack, name: e, axis: 0}
""",
        outputs="{a: a, b: b, c: c, d: d, e: e}",
    )
    swapped = np.concatenate([X[:, 2:], X[:, :2]], 1)
    np.testing.assert_array_equal(found["a"], X)
    np.testing.assert_array_equal(found["b"], swapped)
    np.testing.assert_array_equal(found["c"], np.concatenate([swapped, X], 1))
    np.testing.assert_array_equal(found["d"], X)
    np.testing.assert_array_equal(found["e"], X.T[:, :, None])


# ---- rule 26: when, else, training


@pytest.mark.parametrize("on", [True, False])
def test_a_node_that_may_be_left_out(on: bool) -> None:
    made = net(
        document(
            """- tanh
- {op: linear, name: l, when: on, features: 4}
- {op: relu, name: r}
- {op: linear, name: m, when: on, else: r * 2, features: 4}
- {op: square, name: s}
- {op: linear, name: n, when: on, in: x, features: 4}
- {name: y, value: 's if n == null else s + n'}
""",
            f"args: {{on: {str(on).lower()}}}\n",
            "{y: y, l: l, m: m, n: n}",
        )
    )
    found = made(x=X)

    def linear(name: str, h: np.ndarray) -> np.ndarray:
        return h @ made.values[f"{name}.weight"].T + made.values[f"{name}.bias"]

    if on:
        r = np.maximum(linear("l", np.tanh(X)), 0)
        np.testing.assert_allclose(found["y"], linear("m", r) ** 2 + linear("n", X))
        assert list(found) == ["y", "l", "m", "n"]
    else:
        assert made.values == {}
        np.testing.assert_allclose(found["y"], (np.maximum(np.tanh(X), 0) * 2) ** 2)
        assert list(found) == ["y", "m"]


@pytest.mark.parametrize("on", ["true", "false"])
def test_what_follows_a_node_that_may_be_left_out_and_names_its_operands(on: str) -> None:
    head = f"args: {{on: {on}}}\nblocks: {{b: {{inputs: {{x: any}}, graph: [{{value: x}}]}}}}\n"
    message = "the node before may be left out and names its operands, so nobody can tell what comes next | say `in`"
    for node in ("{op: relu, when: on, in: x}", "{block: b, when: on, carry: {x: x}, repeat: 1}"):
        assert told(document(f"- {node}\n- {{op: tanh, name: y}}", head)) == [f"9:5 {message}"]
        assert told(document(f"- {node}\n- {{block: b, name: y}}", head)) == [f"9:5 {message}"]
        run(f"- {node}\n- {{op: tanh, name: y, in: x}}", head)
        run(f"- {node}\n- {{name: y, value: x}}", head)
    run("- {op: relu, when: on, else: x, in: x}\n- {op: tanh, name: y}", head)


def test_an_unpacked_node_that_is_left_out() -> None:
    found = run(
        """- {op: split, name: [a, b], when: false, parts: 2, axis: 1}
- {op: split, name: [c, d], when: false, else: '[x, x * 2]', in: x, parts: 2, axis: 1}
- {name: y, value: 'c + d if a == null and b == null else x'}
"""
    )
    np.testing.assert_array_equal(found["y"], 3 * X)


def test_training_is_false_in_the_program_itself() -> None:
    found = run("- {op: dropout, when: training}\n- {name: y, value: x if not training else x * 0}")
    np.testing.assert_array_equal(found["y"], X)


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("1", "a condition is true or false, not 1"),
        ("x", "a condition is static; this is float32[N, 4], found at run time only"),
        ("x > 0", "a condition is static; this is bool[N, 4], found at run time only"),
        ("N > 3", "whether N > 3 depends on the sizes found at run time"),
        ("null", "a number or a static formula"),
    ],
)
def test_conditions_that_are_none(when: str, message: str) -> None:
    (found,) = told(document(f"- {{op: relu, name: y, when: {when}}}"))
    assert found.split(" ", 1)[1].startswith(message)


def test_else_without_when() -> None:
    assert "6:32 `else` stands without `when`" in said(document("- {op: relu, name: y, in: x, else: x}"))


# ---- rule 27, and `compute`


def test_static_values_stay_static_until_a_tensor_is_needed() -> None:
    found = run(
        """- {name: n, value: 2 + 1}
- {name: sizes, value: '[n, 4]'}
- {op: full, name: f, shape: sizes, fill: n}
- {op: leaky_relu, name: r, in: x, slope: n}
- {name: y, value: 'r + n if n == 3 else r'}
""",
        outputs="{y: y, n: n, f: f, half: 0.5, on: true, size: N, both: [1, {a: N + 1}]}",
    )
    np.testing.assert_allclose(found["y"], np.where(X > 0, X, 3 * X) + 3)
    assert found["n"] == 3 and found["n"].dtype == np.int64 and found["n"].shape == ()
    assert found["f"].shape == (3, 4)
    assert found["half"] == 0.5 and found["on"] == np.True_ and found["size"] == 2
    assert found["both.0"] == 1 and found["both.1.a"] == 3


def test_a_text_is_no_output() -> None:
    assert told(document("- {name: y, value: x}", outputs="{y: y, t: [x, \"'abc'\"]}")) == [
        "7:17 the output `t.1` is a text, not a tensor"
    ]


def test_compute_says_in_which_dtype_an_op_computes() -> None:
    text = document(
        """- {op: linear, name: l, features: 3, compute: float64}
- {op: softmax, name: s, compute: float16}
- {op: top_k, name: y, k: 2, compute: $wide}
""",
        "args: {wide: {type: text, default: float64}}\n",
        "{v: y.values, k: y.indices, w: l.weight}",
    )
    made = program(text)
    main = made.entries["main"]
    assert [str(v.type) for v in main.graph.outputs] == ["float32[N, 2]", "int64[N, 2]", "float32[3, 4]"]
    computed = {node.op.name: str(node.inputs[0].type.dtype) for node in main.graph.nodes if node.op.name != "cast"}
    assert computed["dot"] == "float64" and computed["softmax"] == "float16" and computed["top_k"] == "float64"
    for word, hint in (("int8", "float16, bfloat16, float32, float64"), ("float46", "did you mean `float64`?")):
        assert told(document(f"- {{op: relu, name: y, compute: {word}}}")) == [
            f"6:34 `compute` is a float dtype, not `{word}` | {hint}"
        ]


def test_compute_is_for_ops() -> None:
    head = "blocks: {b: {inputs: {x: any}, graph: [{value: x}]}, c: {args: {f: op}, inputs: {x: any}, "
    head += "graph: [{op: $f, compute: float64}]}}\n"
    assert told(document("- {block: c, name: y, f: b}", head)) == ["3:117 `compute` is for ops, this is a block"]


def test_layers_that_stay_in_float32() -> None:
    made = program(
        document(
            "- {op: layer_norm, name: n}\n- {op: linear, name: l, features: 4}\n- {op: tanh, name: y}",
            "precision: {params: bfloat16, compute: bfloat16, keep_float32: [layer_norm, tanh]}\n",
        )
    )
    nodes = {node.op.name: str(node.inputs[0].type.dtype) for node in made.entries["main"].graph.nodes}
    assert nodes["normalize_layer"] == "float32" and nodes["dot"] == "bfloat16"
    assert {str(p.type.dtype) for p in made.parameters.values()} == {"bfloat16"}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_no_field_or_operand_of_a_layer_bears_a_reserved_key(layer: type[Layer]) -> None:
    operands = {operand.rstrip("?*") for operand in layer.operands}
    assert not RESERVED_KEYS & {*layer.model_fields, *operands, *layer.owned}
