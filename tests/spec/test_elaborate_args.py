"""Rules 19 to 23: args, let, variants, blocks, libraries."""

from __future__ import annotations

import numpy as np
import pytest

from .elaborating import mistakes, net, program, said, spec, told

X = np.arange(6.0).reshape(2, 3) - 2


def test_args_of_a_document() -> None:
    text = spec("""
    args:
      gain: 2
      shift: 0.5
      on: true
      sizes: [1, [2, 3]]
      must: int
      share: {type: float, default: 1, min: 0, max: 1}
      word: {type: text, default: deep, choices: [deep, wide]}
      many: {type: int, default: 3, choices: [3, 5]}
      set: {type: record, default: {a: 1, b: gain}}
      act: {type: op, default: tanh}
    inputs:
      x: float[N, 3]
    graph:
      - {op: $act, name: h}
      - {name: y, value: h * gain + shift + must + share + len(sizes) + (many if on else 0) + set.a}
    outputs: {y: y}
    """).replace("b: gain", "b: 2")
    run = net(text, args={"must": "7"})
    np.testing.assert_allclose(run(x=X)["y"], np.tanh(X) * 2 + 0.5 + 7 + 1 + 2 + 3 + 1)
    run = net(text, args={"must": "1 + 6", "gain": "-1", "shift": "2", "on": "false", "act": "relu", "sizes": "[]"})
    np.testing.assert_allclose(run(x=X)["y"], np.maximum(X, 0) * -1 + 2 + 7 + 1 + 0 + 0 + 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "0:0 the model `m.yaml` needs the arg `must` (int) | must: ..."),
        ({"must": "1", "gian": "2"}, "0:0 the model `m.yaml` has no arg `gian` | did you mean `gain`?"),
        ({"must": "0.5"}, "1:8 the arg `must` is int, not 0.5"),
        ({"must": "true"}, "1:8 the arg `must` is int, not true"),
        ({"must": "[1]"}, "1:8 the arg `must` is int, not [1]"),
        ({"must": "{a: 1}"}, "1:8 the arg `must` is int, not a record of a"),
        ({"must": "nope"}, "1:8 the name `nope` is not known here"),
        ({"must": "1", "on": "1"}, "1:8 the arg `on` is bool, not 1"),
        ({"must": "1", "share": "-1"}, "1:8 the arg `share` is at least 0, not -1.0"),
        ({"must": "1", "share": "1.5"}, "1:8 the arg `share` is at most 1, not 1.5"),
        ({"must": "1", "share": "true"}, "1:8 the arg `share` is float, not true"),
        ({"must": "1", "word": "dep"}, "1:8 the arg `word` is one of deep, wide, not dep | did you mean `deep`?"),
        ({"must": "1", "many": "4"}, "1:8 the arg `many` is one of 3, 5, not 4"),
        ({"must": "1", "sizes": "3"}, "1:8 the arg `sizes` is list, not 3"),
        (
            {"must": "1", "act": "tahn"},
            "1:8 the arg `act` names the op `tahn`, which there is not | did you mean `tanh`?",
        ),
        ({"must": "1", "cell": "lstm"}, "1:8 the arg `cell` names the block `lstm`, which there is not | blocks: gru"),
        ({"must": "1", "kind": "[1]"}, "1:8 text belongs here, not a list"),
    ],
)
def test_args_of_a_document_that_do_not_fit(given: dict[str, str], message: str) -> None:
    text = spec("""
    args:
      gain: 2
      on: true
      sizes: [1, [2, 3]]
      must: int
      share: {type: float, default: 1, min: 0, max: 1}
      word: {type: text, default: deep, choices: [deep, wide]}
      kind: {type: text, default: any}
      many: {type: int, default: 3, choices: [3, 5]}
      act: {type: op, default: tanh}
      cell: {type: block, default: gru}
    blocks:
      gru: {inputs: {x: any}, graph: [{value: x}]}
    inputs:
      x: float[N, 3]
    graph: [{name: y, value: x}]
    outputs: {y: y}
    """)
    (one,) = mistakes(text, args=given)
    hint = f" | {one.hint}" if one.hint else ""
    assert f"{one.span.start_line}:{one.span.start_column} {one.message}{hint}" == message


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ("{type: int, default: 0.5}", "3:32 the arg `a` is int, not 0.5"),
        ("{type: int, default: 9, max: 8}", "3:32 the arg `a` is at most 8, not 9"),
        ("{type: list, default: [1], min: 1}", "3:43 `min` and `max` are numbers, for args of type int or float"),
        ("{type: int, default: 1, min: \"'a'\"}", "3:40 `min` and `max` are numbers, for args of type int or float"),
        ("{type: text, default: a, choices: [b]}", "3:33 the arg `a` is one of b, not a"),
        ("{type: op, default: nope}", "3:31 the arg `a` names the op `nope`, which there is not"),
        ("{type: int, default: y}", "3:32 the name `y` is not known here"),
    ],
)
def test_a_default_that_does_not_fit(declaration: str, message: str) -> None:
    text = spec(
        f"args: {{a: {declaration}}}\ninputs:\n  x: float[N]\ngraph: [{{name: y, value: x}}]\noutputs: {{y: y}}\n"
    )
    assert said(text) == [message]


def test_let_goes_in_order() -> None:
    run = net(
        spec("""
        args: {depth: 3}
        let:
          widths: [8, '8 * depth', depth ** 2]
          most: max(widths)
          table: {a: most, b: [most + 1]}
        inputs:
          x: float[N]
        graph: [{name: y, value: 'x + table.b[0] + widths[1]'}]
        outputs: {y: y}
        """)
    )
    assert run(x=np.zeros(1))["y"] == [25 + 24]
    text = spec("let: {a: b, b: 1}\ninputs:\n  x: float[N]\ngraph: [{name: y, value: x * a}]\noutputs: {y: y}\n")
    assert said(text) == ["3:10 the name `b` is not known here"]


def test_let_of_a_block_uses_the_symbols_of_its_inputs() -> None:
    text = spec("""
    blocks:
      b:
        args: {factor: 2}
        inputs:
          x: float[N, C]
        let: {wide: factor * C, project: wide != 6}
        graph:
          - {op: linear, name: l, when: project, else: x, features: wide}
          - {value: l + wide + N - N}
    inputs:
      x: float[N, 3]
    graph:
      - {block: b, name: h}
      - {block: b, name: y, in: x, factor: 3}
    outputs: {h: h, y: y}
    """)
    run = net(text)
    found = run(x=X)
    np.testing.assert_allclose(found["h"], X + 6)
    np.testing.assert_allclose(found["y"], X @ run.values["y.l.weight"].T + run.values["y.l.bias"] + 9)


@pytest.mark.parametrize(
    ("let", "message"),
    [
        ("{a: x}", "7:14 a value here is static; this is float32[N, 3], found at run time only"),
        ("{a: M}", "7:14 the name `M` is not known here"),
        ("{a: 1, b: later}", "7:20 the name `later` is not known here"),
        ("{a: 1 // 0}", "7:14 division by zero"),
        ("{a: N > 1}", "7:14 whether N > 1 depends on the sizes found at run time"),
    ],
)
def test_let_of_a_block_that_is_mistaken(let: str, message: str) -> None:
    text = spec(f"""
    blocks:
      b:
        inputs:
          x: float[N, C]
        let: {let}
        graph:
          - {{name: later, value: x}}
    inputs:
      x: float[N, 3]
    graph:
      - {{block: b, name: y}}
    outputs: {{y: y}}
    """)
    (found,) = told(text)
    assert found.replace(
        "later` is not known here | it is defined further down", "later` is not known here"
    ).startswith(message.replace("a static value is static", "a static value is static")), found


def test_variants() -> None:
    text = spec("""
    args: {depth: int, width: 4, act: {type: op, default: tanh}}
    variants:
      small: {depth: 1}
      large: {depth: 3, width: 2 ** 3, act: relu}
    inputs:
      x: float[N, width]
    graph:
      - {op: linear, path: l.$i, repeat: depth, features: width}
      - {op: $act, name: y}
    outputs: {y: y}
    """)
    assert len(program(text, variant="small").parameters) == 2
    large = program(text, variant="large")
    assert {str(p.type) for p in large.parameters.values()} == {"float32[8, 8]", "float32[8]"}
    # what is asked for goes before the variant
    assert len(program(text, variant="large", args={"depth": "2"}).parameters) == 4
    assert told(text) == ["0:0 the model `m.yaml` needs the arg `depth` (int) | depth: ..."]
    assert told(text, variant="huge") == ["0:0 `m.yaml` has no variant `huge` | variants: small, large"]
    assert told(text, variant="larg") == ["0:0 `m.yaml` has no variant `larg` | did you mean `large`?"]


def test_mistakes_in_variants_are_found_whichever_is_chosen() -> None:
    text = spec("""
    args: {depth: 1}
    variants:
      a: {detph: 1}
      b: {depth: widht}
    inputs:
      x: float[N]
    graph: [{name: y, value: x}]
    outputs: {y: y}
    """)
    assert said(text) == [
        "5:7 there is no arg `detph`",
        "6:14 the name `widht` is not known here",
    ]
