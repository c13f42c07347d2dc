"""Rules 41 to 43 and sections 11 and 12: weights, first values, precision, sharding, training."""

from __future__ import annotations

import pytest

from .elaborating import lowered, program, said, spec, told

NET = """inputs:
  x: float[N, 4]
graph:
  - {op: linear, name: a, features: 6}
  - {op: relu, name: r}
  - {op: linear, name: y, features: 2}
outputs: {y: y}
"""


def with_net(section: str) -> str:
    """The network in lines 3 to 9, the section from line 10 on."""
    return spec(NET + section)


# ---- weights


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("{a: [{from: 'x.*', to: '$2'}]}", "10:15 `$2`: there is no match $2, `from` has 1"),
        ("{a: [{from: x, to: '$'}]}", "10:15 `$`: after `$` stands the number of a match"),
        ("{a: [{from: [x.*, y], to: z, concat: 0}]}", "10:15 `x.*` and `y` join, so they need the same number"),
        ("{a: [{from: [x, y], concat: 0}]}", "10:15 several keys join into one parameter, which `to` must name"),
        ("{a: [{from: 'a**b'}]}", "10:22 `a**b` is not a path: `**` stands alone between dots"),
        ("{a: [{from: x, to: 'b**'}]}", "10:29 `b**` is not a path: `**` stands alone between dots"),
    ],
)
def test_rules_of_weights_are_found_by_check(rules: str, message: str) -> None:
    found = said(with_net(f"weights: {rules}\n"))
    assert [one.split(" (")[0].startswith(message) for one in found] == [True], found


def test_all_rules_are_looked_at() -> None:
    text = with_net("weights:\n  a: [{from: x, to: '$1'}, {from: y, to: '$2'}]\n  b: [{from: z, to: '$3'}]\n")
    assert [one.split()[0] for one in said(text)] == ["11:7", "11:28", "12:7"]


def test_layouts_that_name_parameters_which_there_are_not_are_warnings() -> None:
    made = lowered(
        with_net(
            """weights:
  right: [{from: head.weight, to: y.weight}, {from: 'x.*', to: 'a.$1'}]
  wrong: [{from: head.weight, to: z.weight}]
  flat: {header: 4, sequence: [a, y], each: [weight, bias]}
  short: {header: 4, sequence: [a], each: [weight, bias]}
"""
        )
    )
    assert [warning.rsplit("/", 1)[-1] for warning in made.warnings] == [
        "m.yaml:12:35: the layout wrong maps to `z.weight`, and no parameter has this path",
        "m.yaml:14:10: layout short: the sequence leaves out `y.weight`, `y.bias`",
    ]


# ---- init


def test_the_first_pattern_that_matches_wins() -> None:
    section = (
        "init: {a.weight: {normal: 0.5}, '**.bias': zeros, 'a.*': ones, '**': {uniform: 2 * half}}\nlet: {half: 0.5}\n"
    )
    made = program(with_net(section))
    assert {path: p.init for path, p in made.parameters.items()} == {
        "a.weight": {"normal": 0.5},
        "a.bias": "zeros",
        "y.weight": {"uniform": 1.0},
        "y.bias": "zeros",
    }


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("{'a**b': zeros}", "10:8 `a**b` is not a path: `**` stands alone between dots"),
        ("{'a..b': zeros}", "10:8 `a..b` is not a path"),
        ("{a.weight: {normal: x}}", "10:27 the name `x` is not known here"),
        ("{a.weight: {normal: -1}}", "10:27 `normal` takes a number of 0 or more, not -1"),
        ("{a.weight: {normal: inf}}", "10:27 an initializer takes a finite number, not inf"),
        ("{a.weight: {normal: true}}", "10:27 an initializer takes a finite number, not true"),
        ("{a.weight: normal}", "10:18 `normal` needs a number"),
        ("{a.weight: {zeros: 1}}", "10:19 `zeros` is not an initializer with a number"),
    ],
)
def test_first_values_that_are_mistaken(init: str, message: str) -> None:
    (found,) = said(with_net(f"init: {init}\n"))
    assert found.startswith(message), found


def test_a_pattern_that_nothing_matches_is_a_warning() -> None:
    (warning,) = lowered(with_net("init: {'b.*': zeros}\n")).warnings
    assert warning.endswith("m.yaml:10:8: no parameter matches `b.*`")


# ---- precision


def test_precision() -> None:
    made = lowered(with_net("precision: {params: bfloat16, compute: float16, keep_float32: [relu, layer_norm]}\n"))
    assert (made.storage.value, made.compute.value, made.keep_float32) == (
        "bfloat16",
        "float16",
        ("relu", "layer_norm"),
    )
    main = made.program.entries["main"]
    assert str(main.inputs[0].type) == "float16[N, 4]" and str(main.graph.outputs[0].type) == "float16[N, 2]"
    assert {p.type.dtype.value for p in made.program.parameters.values()} == {"bfloat16"}
    made = lowered(with_net("precision: {compute: bfloat16}\n"))
    assert (made.storage.value, made.compute.value) == ("bfloat16", "bfloat16")
    made = lowered(with_net("precision: {params: bfloat16, compute: float16}\n"), dtype="float64")
    assert (made.storage.value, made.compute.value) == ("float64", "float64")


@pytest.mark.parametrize(
    ("precision", "message"),
    [
        ("{compute: float46}", "10:22 `float46` is no float dtype | did you mean `float64`?"),
        ("{params: int8}", "10:21 `int8` is no float dtype | float16, bfloat16, float32, float64"),
        ("{params: $x}", "10:21 a dtype is written out here | float16, bfloat16, float32, float64"),
        ("{keep_float32: [layernorm]}", "10:28 there is no op `layernorm` | did you mean `layer_norm`?"),
        ("{keep: []}", "10:13 `precision` has no key `keep`"),
    ],
)
def test_precision_that_is_mistaken(precision: str, message: str) -> None:
    assert told(with_net(f"precision: {precision}\n"))[0].startswith(message)
    assert told(with_net(""), dtype="float46") == ["0:0 `float46` is no float dtype | did you mean `float64`?"]


# ---- sharding


def test_sharding() -> None:
    section = """
    sharding:
      mesh: {data: 4, model: 2}
      params: {'*.weight': [model, null], a.bias: [model]}
      values: {x: [data, null], r: [data, model], y: [data, null]}
    """
    assert program(with_net("\n".join(line[4:] for line in section.strip("\n").split("\n")) + "\n"))


@pytest.mark.parametrize(
    ("sharding", "message"),
    [
        ("{mesh: {data: 0}}", "10:25 the mesh axis `data` has 0 chips; it has 1 to 1048576"),
        ("{mesh: {data: 0.5}}", "10:25 a whole number belongs here, not 0.5"),
        ("{mesh: {data: N}}", "10:25 the name `N` is not known here"),
        ("{mesh: {data: 2}, params: {b.weight: [data, null]}}", "10:38 no parameter matches `b.weight`"),
        (
            "{mesh: {data: 2}, params: {'a**': [data, null]}}",
            "10:38 `a**` is not a path: `**` stands alone between dots",
        ),
        ("{mesh: {data: 2}, params: {a.weight: [dat, null]}}", "10:49 the mesh has no axis `dat`"),
        ("{mesh: {data: 2}, params: {a.weight: [data]}}", "10:48 `a.weight` has 2 axes, 1 are placed"),
        ("{mesh: {data: 2}, params: {a.bias: [data, null]}}", "10:46 `a.bias` has 1 axis, 2 are placed"),
        ("{mesh: {data: 2}, params: {a.weight: [data, data]}}", "10:55 the mesh axis `data` stands twice"),
        (
            "{mesh: {data: 5}, params: {a.weight: [data, null]}}",
            "10:38 `a.weight`: 6 is not divisible by the 5 chips of",
        ),
        ("{mesh: {data: 2}, values: {z: [data, null]}}", "10:38 no value has a label like `z`"),
        ("{mesh: {data: 2}, values: {r: [data]}}", "10:41 `r` has 2 axes, 1 are placed"),
    ],
)
def test_sharding_that_is_mistaken(sharding: str, message: str) -> None:
    found = said(with_net(f"sharding: {sharding}\n"))
    message = message.replace("belongs here", "stands here") if found[0].endswith("stands here, not 0.5") else message
    assert [one.startswith(message) for one in found] == [True], found


# ---- training


def trained(**keys: str) -> str:
    given = {
        "inputs": "{target: 'float[N, 2]'}",
        "loss": "reduce_mean((y - target) ** 2)",
        "optimizer": "{kind: sgd}",
        "rate": "0.1",
        **keys,
    }
    lines = "".join(f"  {key}: {value}\n" for key, value in given.items() if value)
    return with_net(f"training:\n{lines}")


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {
            "let": "{weight: 2 * 3}",
            "graph": "[{name: error, value: y - target}]",
            "loss": "weight * reduce_mean(error ** 2)",
        },
        {
            "metrics": "{worst: reduce_max(abs(y - target))}",
            "stop": "{monitor: worst, patience: 3, restore_best: true}",
        },
        {"stop": "{monitor: loss}", "batch": "32", "epochs": "2 + 1", "shuffle": "false", "clip": "1.0"},
        {"regularize": "[{l2: 1.0e-4, params: '**.weight'}, {max_norm: 3}]", "freeze": "[a.**]", "updates": "['y.*']"},
        {"optimizer": "{kind: adam, beta1: 0.9, beta2: 0.99, eps: 1.0e-8, weight_decay: 0}"},
        {"optimizer": "{kind: sgd, momentum: 0.9, nesterov: true}"},
        {"rate": "{kind: cosine, start: 0.1, end: 0, epochs: 10, warmup: 1}"},
        {"graph": "[{op: dropout, name: d, in: r, rate: 0.5}, {op: bernoulli, name: b, in: sigmoid(y)}]"},
        {"graph": "[{op: random_normal, name: z, in: {}, shape: [N, 2]}]", "loss": "reduce_mean((y - z) ** 2)"},
        {
            "inputs": "{target: 'float[N, 2]', more: 'float[M]'}",
            "loss": "reduce_mean(y - target) + reduce_sum(more) * M",
        },
        {"loss": "", "optimizer": "", "rule": "{y.bias: y.bias + 0.1 * reduce_sum(target)}"},
    ],
)
def test_training(keys: dict[str, str]) -> None:
    made = program(trained(**keys))
    assert list(made.entries) == ["main"] and next(iter(made.parameters)) == "a.weight"


def test_the_main_graph_of_training() -> None:
    text = spec("""
    inputs:
      x: float[N, 4]
    graph:
      - {op: linear, name: y, features: 2}
      - {op: linear, name: aux, when: training, in: x, features: 2}
    outputs: {y: y}
    training:
      loss: (reduce_mean(aux ** 2) if training else 0) + reduce_mean(y)
      optimizer: {kind: sgd}
      freeze: [aux.*]
    """)
    assert list(program(text).parameters) == ["y.weight", "y.bias"]
    clash, _ = said(text.replace("features: 2}\noutputs", "features: 2, path: y}\noutputs"))
    assert clash.startswith("7:5 two nodes own the parameter `y.weight`; the other one is at ")
    assert said(text.replace("in: x, features: 2}\noutputs", "in: x, features: 0}\noutputs")) == [
        "7:62 `linear`: `features` is a whole number of 1 or more, not 0"
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"loss": "y"}, "the loss is one float, not float32[N, 2]"),
        ({"loss": "reduce_sum(arg_max(y))"}, "the loss is one float, not int64[]"),
        ({"loss": "1.0"}, "the loss is one float, not 1.0"),
        ({"loss": "reduce_mean(yy)"}, "the name `yy` is not known here"),
        ({"loss": "reduce_mean(y - target[:, :1, 0])"}, "3 indices for float32[N, 2]"),
        ({"metrics": "{m: y}"}, "the metric `m` is one float, not float32[N, 2]"),
        ({"metrics": "{m: reduce_max(z)}"}, "the name `z` is not known here"),
        ({"stop": "{monitor: wrost}", "metrics": "{worst: reduce_max(y)}"}, "nothing measures `wrost`"),
        ({"stop": "{monitor: loss, patience: 0}"}, "`patience` is a whole number of 1 or more, not 0"),
        ({"batch": "0"}, "`batch` is a whole number of 1 or more, not 0"),
        ({"batch": "N"}, "`batch` is a whole number of 1 or more, not the size N"),
        ({"epochs": "1.5"}, "`epochs` is a whole number of 1 or more, not 1.5"),
        ({"shuffle": "1"}, "`shuffle` is true or false, not 1"),
        ({"clip": "-1"}, "`clip` is a number of 0 or more, not -1"),
        ({"rate": "-0.1"}, "`rate` is a number above 0, not -0.1"),
        ({"rate": "y"}, "`rate` is static; this is float32[N, 2], found at run time only"),
        ({"rate": "{kind: step, start: 0.1, every: 0, factor: 0.5}"}, "`every` is a whole number of 1 or more, not 0"),
        ({"optimizer": "{kind: sgd, momentum: 1}"}, "`momentum` is a number from 0 to below 1, not 1"),
        ({"optimizer": "{kind: sgd, nesterov: 1}"}, "`nesterov` is true or false, not 1"),
        ({"optimizer": "{kind: adam, eps: rate}"}, "the name `rate` is not known here"),
        ({"regularize": "[{l2: -1}]"}, "`l2` is a number of 0 or more, not -1"),
        ({"regularize": "[{l2: 1, params: 'b.*'}]"}, "`regularize`: no parameter matches `b.*`"),
        ({"regularize": "[{l2: 1, params: 'b**'}]"}, "`b**` is not a path"),
        ({"freeze": "[b.*]"}, "`freeze`: no parameter matches `b.*`"),
        ({"updates": "[b.*]"}, "`updates`: no parameter matches `b.*`"),
        ({"let": "{w: x}"}, "a value here is static; this is float32[N, 4], found at run time only"),
        ({"graph": "[{op: linaer, name: z}]"}, "there is no op `linaer`"),
        ({"graph": "[{op: linear, name: z, in: x}]"}, "`linear` needs the field `features`"),
        ({"graph": "[{name: y, value: x}]", "loss": "reduce_mean(target)"}, "the name `y` is taken"),
        ({"inputs": "{x: 'float[N]', target: 'float[N, 2]'}"}, "the name `x` is taken"),
        ({"inputs": "{target: any}", "loss": "reduce_mean(y)"}, "an input of a model has a type with dims"),
        (
            {"loss": "", "optimizer": "", "rule": "{y.bias: y.bias + target}"},
            "the next value of `y.bias` is float32[2], not",
        ),
        ({"loss": "", "optimizer": "", "rule": "{y.gain: y.bias}"}, "`y.gain` is no parameter of a node"),
        ({"loss": "", "optimizer": "", "rule": "{z.bias: y.bias}"}, "`z.bias` is no parameter of a node"),
    ],
)
def test_training_that_is_mistaken(keys: dict[str, str], message: str) -> None:
    (found, *more) = said(trained(**keys))
    assert found.split(" ", 1)[1].startswith(message), (found, more)
    assert not more
    assert int(found.split(":")[0]) > 10


def test_all_mistakes_of_training_are_told() -> None:
    text = trained(
        let="{w: x}",
        loss="w * y",
        metrics="{m: y, n: reduce_max(y)}",
        batch="0",
        regularize="[{l1: -1}]",
        freeze="[b.*]",
        stop="{monitor: k}",
    )
    assert [one.split(":")[0] for one in said(text)] == ["15", "16", "17", "18", "19", "20"]


PLAYERS = """
parts: {{gen: {{op: linear, features: 4}}, dis: {{op: linear, features: 1}}}}
inputs:
  x: float[N, 4]
graph: [{{part: gen, name: y}}]
outputs: {{y: y}}
training:
  inputs:
    real: float[N, 4]
  graph: [{{part: dis, name: on_real, in: real}}]
  players:
    one:
      updates: [gen.*]
      let: {{w: 2}}
      graph: [{{part: dis, name: fake, in: y}}]
      loss: {loss}
      optimizer: {{kind: sgd}}
      rate: 0.1
    two:
      updates: [{updates}]
      graph: [{{part: dis, name: fake, in: y}}]
      loss: reduce_mean(fake - on_real)
      optimizer: {{kind: adam}}
      rate: 0.1
      steps: {steps}
"""


def test_players() -> None:
    good = {"loss": "w * reduce_mean(fake)", "updates": "dis.*", "steps": "2"}
    assert list(program(spec(PLAYERS.format(**good))).parameters) == ["gen.weight", "gen.bias"]
    found = said(spec(PLAYERS.format(loss="fake * v", updates="dsi.*", steps="0")))
    assert [one.split(" ", 1)[1] for one in found] == [
        "the name `v` is not known here",
        "the player `two` updates: no parameter matches `dsi.*`",
        "`steps` is a whole number of 1 or more, not 0",
    ]
