"""Rules 32 to 37: paths of parameters, ownership, parts, sub-models."""

from __future__ import annotations

import numpy as np
import pytest

from .elaborating import lowered, net, program, said, spec, told

X = np.arange(8.0).reshape(2, 4) - 3
LAYER = """blocks:
  layer:
    args: {features: 4}
    inputs: {x: any}
    graph:
      - {op: linear, name: fc, features: features}
      - {op: linear, path: 0, features: 4}
      - {op: linear, path: ., features: 4}
      - {op: linear, path: {weight: in_proj_weight, bias: deep.bias}, features: 4}
"""


def document(nodes: str, head: str = "", outputs: str = "{y: y}") -> str:
    lines = "".join(f"  {line}\n" for line in nodes.strip("\n").split("\n"))
    return spec(f"{head}inputs:\n  x: float[N, 4]\ngraph:\n{lines}outputs: {outputs}\n")


def paths(nodes: str, head: str = "") -> list[str]:
    found = program(document(nodes, head)).parameters
    return [path.removesuffix(".weight") for path in found if not path.endswith("bias")]


# ---- rule 32


def test_a_path_joins_those_of_the_calls_the_node_and_the_parameter() -> None:
    assert list(program(document("- {block: layer, name: y}", LAYER)).parameters) == [
        "y.fc.weight",
        "y.fc.bias",
        "y.0.weight",
        "y.0.bias",
        "y.weight",
        "y.bias",
        "y.in_proj_weight",
        "y.deep.bias",
    ]


@pytest.mark.parametrize(
    ("node", "wanted"),
    [
        ("{op: linear, name: y, features: 4}", ["y"]),
        ("{op: linear, name: y, path: a.b_c.7, features: 4}", ["a.b_c.7"]),
        ("{op: linear, name: y, path: 3, features: 4}", ["3"]),
        ("{op: linear, name: y, path: ., features: 4}", ["weight"]),
        ("{op: linear, name: y, repeat: 2, features: 4}", ["y.0", "y.1"]),
        ("{op: linear, name: y, path: h.$i.x, repeat: 2, features: 4}", ["h.0.x", "h.1.x"]),
        ("{op: linear, name: y, path: h$(2 * i + 1), repeat: 2, features: 4}", ["h1", "h3"]),
        (
            "{op: linear, name: y, path: {weight: w.$i, bias: b.$i}, repeat: 2, features: 4}",
            ["w.0", "b.0", "w.1", "b.1"],
        ),
        ("{op: linear, name: y, path: {weight: w}, features: 4}", ["w", "y.bias"]),
        ("{op: linear, name: y, path: layer/dense:0, features: 4}", ["layer/dense:0"]),
    ],
)
def test_the_path_of_a_node(node: str, wanted: list[str]) -> None:
    found = list(program(document(f"- {node}")).parameters)
    if "{weight" not in node and wanted != ["weight"]:
        wanted = [f"{path}.{name}" for path in wanted for name in ("weight", "bias")]
    elif wanted == ["weight"]:
        wanted = ["weight", "bias"]
    assert found == wanted


@pytest.mark.parametrize(
    "path",
    ["''", "a..b", ".a", "a.", "'a b'", "a*", "'a\\nb'", "$(-1).a b", "'é'", "\"__import__('os')\"", "..", "a.$$"],
)
def test_a_path_that_is_none(path: str) -> None:
    text = document(f"- {{op: linear, name: y, path: {path}, features: 4}}".replace("'a\\nb'", '"a\\nb"'))
    (found,) = told(text)
    assert found.startswith("6:33 ") and "is not a path of parameters" in found


def test_a_path_for_a_parameter_that_there_is_not() -> None:
    assert told(document("- {op: linear, name: y, path: {wieght: w}, features: 4}")) == [
        "6:5 `linear` has no parameter `wieght` to place | did you mean `weight`?"
    ]


def test_a_path_for_each_parameter_is_for_ops() -> None:
    text = document("- {block: layer, name: y, path: {weight: w}}", LAYER)
    assert told(text) == ["15:35 a block has one path, not one for each parameter"]
    head = "parts: {p: {op: linear, features: 4, path: {weight: a.w, bias: b.$(1 + 1)}}}\n"
    assert list(program(document("- {part: p, name: y}", head)).parameters) == ["a.w", "b.2"]


# ---- rule 33


def test_what_owns_parameters_has_a_name_or_a_path() -> None:
    text = document(
        "- {op: linear, features: 4}\n- {block: layer}\n- {block: layer, repeat: 2}\n- {name: y, value: x}", LAYER
    )
    assert [one.split(" ", 1)[1] for one in told(text)] == [
        "`linear` owns parameters, so the node needs a `name` or a `path`",
    ]
    text = document("- {block: layer}\n- {name: y, value: x}", LAYER)
    assert told(text) == ["15:5 `layer` owns parameters, so the node needs a `name` or a `path`"]
    assert program(
        document(
            "- {block: relu_block}\n- {op: tanh, name: y}", "blocks: {relu_block: {inputs: {x: any}, graph: [relu]}}\n"
        )
    )


TWO = "two nodes own the parameter"


@pytest.mark.parametrize(
    ("nodes", "head", "place", "message"),
    [
        (
            "- {op: linear, name: a, features: 4}\n- {op: linear, path: a, features: 3}\n- {name: y, value: x}",
            "",
            "7:5",
            f"{TWO} `a.weight`; the other one is at m.yaml:6:5",
        ),
        (
            "- {op: linear, path: ., features: 4}\n- {op: layer_norm, path: .}\n- {name: y, value: x}",
            "",
            "7:5",
            f"{TWO} `weight`; the other one is at m.yaml:6:5",
        ),
        (
            "- {block: layer, name: a}\n- {block: layer, path: a}\n- {name: y, value: x}",
            LAYER,
            "16:5",
            f"{TWO} `a.fc.weight`; the other one is at m.yaml:15:5",
        ),
        (
            "- {block: layer, path: a}\n- {op: linear, path: a.fc, features: 4}\n- {name: y, value: x}",
            LAYER,
            "16:5",
            f"{TWO} `a.fc.weight`; the other one is at m.yaml:15:5",
        ),
        (
            "- {block: layer, path: a, repeat: 3}\n- {name: y, value: x}",
            LAYER,
            "15:5",
            "every iteration owns the parameter `a.fc.weight`",
        ),
        (
            "- {op: linear, path: a, repeat: 3, features: 4}\n- {name: y, value: x}",
            "",
            "6:5",
            "every iteration owns the parameter `a.weight`",
        ),
        (
            "- {op: linear, path: p, features: 4}\n- {name: y, value: x + p}",
            "params: {p: {type: 'float[4]', path: p.weight}}\n",
            "7:5",
            f"{TWO} `p.weight`; the other one is at m.yaml:3:13",
        ),
        (
            "- {part: q, name: a}\n- {op: linear, path: q, features: 4}\n- {name: y, value: x}",
            "parts: {q: {op: linear, features: 4}}\n",
            "8:5",
            f"{TWO} `q.weight`; the other one is at m.yaml:7:5",
        ),
    ],
)
def test_two_owners_of_one_path_are_told_once(nodes: str, head: str, place: str, message: str) -> None:
    (found,) = said(document(nodes, head))
    at, rest = found.split(" ", 1)
    before, _, folder = rest.partition("at /")
    assert at == place
    assert (before + "at " + folder.rsplit("/", 1)[-1] if folder else before) == message


def test_parameters_that_nothing_uses_are_a_warning() -> None:
    made = lowered(
        document(
            """- {op: linear, name: dead, features: 3}
- {block: half, name: h, in: x}
- {name: y, value: h.used}
""",
            """blocks:
  half:
    inputs: {x: any}
    graph:
      - {op: linear, name: a, features: 4}
      - {op: linear, name: b, in: x, features: 4}
    outputs: {used: a}
""",
        )
    )
    assert list(made.program.parameters) == [
        "dead.weight",
        "dead.bias",
        "h.a.weight",
        "h.a.bias",
        "h.b.weight",
        "h.b.bias",
    ]
    assert [warning.rsplit("/", 1)[-1] for warning in made.warnings] == [
        "m.yaml:13:5: the parameter `dead.weight` is owned, but no output needs it",
        "m.yaml:13:5: the parameter `dead.bias` is owned, but no output needs it",
        "m.yaml:8:9: the parameter `h.b.weight` is owned, but no output needs it",
        "m.yaml:8:9: the parameter `h.b.bias` is owned, but no output needs it",
    ]


def test_a_part_that_nothing_calls() -> None:
    parts = "parts: {p: {op: linear, features: 4}, q: {block: layer}, r: {op: relu}}\n"
    found = told(document("- {part: p, name: y}", parts + LAYER))
    assert found == [
        "3:39 nothing calls the part `q` | call it or remove it",
        "3:58 nothing calls the part `r` | call it or remove it",
    ]
    # one that a condition leaves out may be called another time
    assert paths("- {part: p, name: y}\n- {part: q, when: false, in: x}\n- {part: r, in: x}", parts + LAYER) == ["p"]


# ---- rules 35 and 36


def test_all_calls_of_a_part_share_its_parameters() -> None:
    text = document(
        """- {part: lin, name: a}
- {part: lin, name: b}
- {block: inner, name: c}
- {part: norm, name: d}
- {name: y, value: c + d * lin.bias + lin.weight[0]}
""".replace("value: c + d * lin.bias + lin.weight[0]", "value: 'c + d * lin.bias + lin.weight[0]'"),
        """parts: {lin: {op: linear, features: 4, path: shared}, norm: {block: scaled, k: 3}}
blocks:
  inner:
    inputs: {x: any}
    graph:
      - {part: lin}
      - {part: norm, name: n}
      - {part: norm, in: n}
  scaled:
    args: {k: int}
    inputs: {x: any}
    params: {gain: 'float[4]'}
    graph: [{value: x * gain * k}]
""",
    )
    made = net(text)
    assert list(made.values) == ["shared.weight", "shared.bias", "norm.gain"]
    weight, bias, gain = made.values.values()
    h = X
    for _ in range(3):
        h = h @ weight.T + bias
    c = h * (gain * 3) ** 2
    np.testing.assert_allclose(made(x=X)["y"], c + c * gain * 3 * bias + weight[0])


def test_a_parameter_is_shared_as_an_operand() -> None:
    made = net(
        document(
            """- {op: linear, name: a, features: 4}
- {op: linear, name: y, in: {x: a, weight: a.weight}, features: 4, bias: false}
""",
        )
    )
    assert list(made.values) == ["a.weight", "a.bias"]
    weight, bias = made.values.values()
    np.testing.assert_allclose(made(x=X)["y"], (X @ weight.T + bias) @ weight.T)


@pytest.mark.parametrize(
    ("parts", "node", "message"),
    [
        ("{p: {op: linear, features: 4}}", "{part: q, name: y}", "there is no part `q`"),
        ("{p: {op: linear, features: 4}}", "{part: p, name: y, entry: more}", "`entry` is for sub-models; `p` is none"),
        ("{p: {op: linaer, features: 4}}", "{part: p, name: y}", "there is no op `linaer`"),
        ("{p: {op: linear}}", "{part: p, name: y}", "`linear` needs the field `features`"),
        ("{p: {op: linear, features: k}}", "{part: p, name: y}", "the name `k` is not known here"),
        ("{p: {op: linear, features: N}}", "{part: p, name: y}", "the name `N` is not known here"),
        (
            "{p: {op: linear, features: -1}}",
            "{part: p, name: y}",
            "`linear`: `features` is a whole number of 1 or more",
        ),
        ("{p: {block: nope}}", "{part: p, name: y}", "there is no block `nope`"),
        ("{p: {block: layer, fetures: 1}}", "{part: p, name: y}", "the block `layer` has no arg `fetures`"),
        (
            "{p: {block: layer, path: {weight: w}}}",
            "{part: p, name: y}",
            "a block has one path, not one for each",
        ),
        ("{p: {op: linear, path: 'a b', features: 4}}", "{part: p, name: y}", "`a b` is not a path of parameters"),
        ("{p: {model: nope.yaml}}", "{part: p, name: y}", "there is no file `nope.yaml`"),
        ("{p: {op: linear, features: 4}}", "{part: p, name: y, path: z}", "a part node has no key `path`"),
        ("{p: {op: linear, features: 4}}", "{part: p, name: y, features: 3}", "a part node has no key `features`"),
        ("{p: {op: linear, features: 4}}", "{name: y, value: p + x}", "`+` between"),
    ],
)
def test_parts_that_are_mistaken(parts: str, node: str, message: str) -> None:
    (found, *more) = said(document(f"- {node}", f"parts: {parts}\n{LAYER}"))
    assert found.split(" ", 1)[1].startswith(message), (found, more)
    assert not more


def test_calls_of_one_part_need_one_shape() -> None:
    text = document(
        "- {part: p, name: a}\n- {part: p, name: b, in: 'x[:, :3]'}\n- {name: y, value: a + b}",
        "parts: {p: {op: linear, features: 4}}\n",
    )
    assert said(text) == [
        "8:5 the parameter `p.weight` is float32[4, 4] in one call and float32[4, 3] in another",
    ]


# ---- rule 37

SUB = """netwright: 1
name: sub
args: {width: 4, depth: int}
variants: {deep: {depth: 3}}
inputs:
  a: float[M, K]
  more?: float[M, K]
dims: {M: [1, 8]}
graph:
  - {value: a}
  - {op: linear, name: l, path: l.$i, repeat: depth, features: width}
  - {op: tanh, name: pool}
  - {op: linear, name: head, features: 2}
  - {name: pair, value: '[pool, head]'}
outputs: {logits: head}
init: {'l.*.weight': ones}
entries:
  twice:
    inputs:
      b: float[M]
    graph: [{name: t, value: b * 2}]
    outputs: {b: t}
"""


def test_a_sub_model_gives_its_outputs() -> None:
    text = document(
        """- {part: sub, name: s}
- {part: sub, name: t, in: {a: x * 2}}
- {part: sub, name: u, entry: twice, in: 'x[:, 0]'}
- {name: y, value: 's.logits + t.logits + u.b[:, null]'}
""",
        "parts: {sub: {model: sub.yaml, depth: 1 + 1, path: inner.net}}\n",
    )
    made = net(text, {"sub.yaml": SUB})
    values = made.values
    assert [path for path in values if path.endswith("weight")] == [
        "inner.net.l.0.weight",
        "inner.net.l.1.weight",
        "inner.net.head.weight",
    ]
    assert made.program.parameters["inner.net.l.1.weight"].init == "ones"
    assert made.program.parameters["inner.net.head.weight"].init != "ones"

    def sub(x: np.ndarray) -> np.ndarray:
        for name in ("l.0", "l.1"):
            x = x @ values[f"inner.net.{name}.weight"].T + values[f"inner.net.{name}.bias"]
        return np.tanh(x) @ values["inner.net.head.weight"].T + values["inner.net.head.bias"]

    np.testing.assert_allclose(made(x=X)["y"], sub(X) + sub(2 * X) + 2 * X[:, :1])


def test_a_sub_model_with_outputs_of_its_nodes_drops_what_they_do_not_need() -> None:
    text = document(
        "- {part: sub, name: s}\n- {name: y, value: s.features + s.first}",
        "parts: {sub: {model: sub.yaml, variant: deep, outputs: {features: pool, first: pair.0}}}\n",
    )
    made = program(text, {"sub.yaml": SUB})
    assert [path for path in made.parameters if path.endswith("weight")] == [f"sub.l.{i}.weight" for i in range(3)]


def test_the_weights_of_a_sub_model() -> None:
    text = document(
        "- {part: sub, name: s}\n- {part: own, name: t, in: s.logits}\n- {name: y, value: t.logits}",
        """parts:
  sub: {model: sub.yaml, depth: 1, weights: sub/model.safetensors, outputs: {logits: pool}}
  own: {model: sub.yaml, depth: 1}
weights: {mine: []}
""",
    ).replace("in: s.logits}", "in: s.logits}")
    sub = SUB + "weights: {theirs: [{from: 'x.*', to: 'l.$1'}]}\n"
    made = lowered(text, {"sub.yaml": sub})
    assert [(s.prefix, s.file, list(s.layouts)) for s in made.sources] == [
        ("", None, ["mine"]),
        ("sub", "sub/model.safetensors", ["theirs"]),
        ("own", None, ["theirs"]),
    ]
    assert made.sources[1].whole is not None


@pytest.mark.parametrize(
    ("part", "node", "message"),
    [
        ("{model: sub.yaml}", "{part: s, name: y}", "the model `sub.yaml` needs the arg `depth` (int)"),
        ("{model: sub.yaml, depth: 1, dpeth: 2}", "{part: s, name: y}", "the model `sub.yaml` has no arg `dpeth`"),
        ("{model: sub.yaml, depth: 0.5}", "{part: s, name: y}", "the arg `depth` is int, not 0.5"),
        ("{model: sub.yaml, variant: dep}", "{part: s, name: y}", "`sub.yaml` has no variant `dep`"),
        (
            "{model: sub.yaml, depth: 1, outputs: {f: poll}}",
            "{part: s, name: y}",
            "the model `s` has no node called `poll`",
        ),
        (
            "{model: sub.yaml, depth: 1, outputs: {f: pair.2}}",
            "{part: s, name: y}",
            "`pair.2` of the model `s`: a list of 2",
        ),
        ("{model: sub.yaml, depth: 1}", "{part: s, name: y, entry: twic}", "the model has no entry `twic`"),
        ("{model: sub.yaml, depth: 1}", "{part: s, name: y, in: {b: x}}", "`s` has no input `b`"),
        (
            "{model: sub.yaml, depth: 1}",
            "{part: s, name: y, in: 'x[0]'}",
            "`s`: the input `a` is float[M, K], given is",
        ),
        ("{model: lib.yaml}", "{part: s, name: y}", "`lib.yaml` is a library, not a model"),
        ("{model: m.yaml}", "{part: s, name: y}", "the documents refer to each other in a circle: m.yaml -> m.yaml"),
        ("{model: ../sub.yaml}", "{part: s, name: y}", "the path `../sub.yaml` leads outside the folder of the spec"),
    ],
)
def test_sub_models_that_are_mistaken(part: str, node: str, message: str) -> None:
    files = {"sub.yaml": SUB, "lib.yaml": "netwright: 1\nblocks: {b: {graph: [{value: 1}]}}\n"}
    (found, *more) = said(document(f"- {node}", f"parts: {{s: {part}}}\n"), files)
    assert found.split(" ", 1)[1].startswith(message), (found, more)
    assert not more


def test_the_bounds_of_a_sub_model_hold_for_its_calls() -> None:
    head = "parts: {s: {model: sub.yaml, depth: 1}}\n"
    wide = spec(head + "inputs: {x: 'float[9, 4]'}\ngraph: [{part: s, name: y}]\noutputs: {y: y.logits}\n")
    assert told(wide, {"sub.yaml": SUB}) == ["5:9 `s`: M is 9 here; it lies from 1 to 8"]
    made = program(document("- {part: s, name: s1}\n- {name: y, value: s1.logits}", head), {"sub.yaml": SUB})
    assert [(str(g.left), str(g.right)) for g in made.entries["main"].guards] == [("min(8, N)", "N")]


def test_a_sub_model_has_no_state() -> None:
    sub = """netwright: 1
name: sub
inputs:
  a: float[N]
state: {at: {type: 'int64[]'}}
graph: [{name: b, value: a + at}]
outputs: {b: b, at: at + 1}
entries:
  plain:
    inputs:
      a: float[N]
    graph: [{name: b, value: a * 2}]
    outputs: {b: b}
"""
    head = "parts: {s: {model: sub.yaml}}\n"
    text = document("- {part: s, name: y, in: 'x[:, 0]'}", head, "{y: y.b}")
    (first, *_) = told(text, {"sub.yaml": sub})
    assert first == "sub.yaml:6:30 the name `at` is not known here | a part has no state: its model hands it in and out"
    made = program(document("- {part: s, name: y, entry: plain, in: 'x[:, 0]'}", head, "{y: y.b}"), {"sub.yaml": sub})
    assert not made.state


def test_mistakes_in_a_sub_model_have_its_place() -> None:
    sub = SUB.replace("features: 2}", "features: two}").replace("value: b * 2", "value: b * c")
    text = document(
        "- {part: s, name: a}\n- {part: t, name: y}",
        "parts: {s: {model: sub.yaml, depth: 1}, t: {model: sub.yaml, depth: 2}}\n",
        "{y: y.logits}",
    )
    assert said(text, {"sub.yaml": sub}) == [
        "sub.yaml:13:40 the name `two` is not known here",
        "sub.yaml:21:34 the name `c` is not known here",
    ]
