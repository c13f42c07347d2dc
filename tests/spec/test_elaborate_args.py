"""Rules 19 to 23: args, let, variants, blocks, libraries."""

from __future__ import annotations

import numpy as np
import pytest

from .elaborating import library, mistakes, net, program, said, spec, told

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


# ---- blocks


def test_without_outputs_the_last_node_is_the_value_with_them_it_is_a_record() -> None:
    run = net(
        spec("""
        blocks:
          plain:
            inputs: {x: any}
            graph:
              - {name: a, value: x + 1}
              - {value: a * 2}
          one:
            inputs: {x: any}
            graph:
              - {name: a, value: x + 1}
              - {value: a * 2}
            outputs: {a: a}
          many:
            inputs: {x: any}
            graph: [{name: a, value: x + 1}]
            outputs: {a: a, b: [x, a], c: {d: a, n: null}}
        inputs:
          x: float[N, 3]
        graph:
          - {block: plain, name: p}
          - {block: one, name: o, in: x}
          - {block: many, name: m, in: x}
          - {name: y, value: 'p + o.a + m.b[1] + m.c.d'}
        outputs: {y: y, m: m}
        """)
    )
    found = run(x=X)
    np.testing.assert_allclose(found["y"], 2 * (X + 1) + 3 * (X + 1))
    assert list(found) == ["y", "m.a", "m.b.0", "m.b.1", "m.c.d"]


def test_a_block_without_a_value() -> None:
    text = spec("""
    args: {on: true}
    blocks:
      empty:
        inputs: {x: any}
        graph: []
      loose:
        inputs: {x: any}
        graph:
          - {op: tanh, when: on, in: x}
      fine:
        inputs: {x: any}
        graph: []
        outputs: {x: x}
    inputs:
      x: float[N, 3]
    graph:
      - {block: loose, name: h}
      - {block: fine, name: g, in: x}
      - {name: y, value: g.x}
    outputs: {y: y}
    """)
    assert told(text) == [
        "7:5 a block without nodes and `outputs` has no value",
        "11:9 the last node may be left out and names its operands, so the block has no value without it"
        " | give the node an `else`, or the block `outputs`",
    ]


def test_a_record_of_one_is_no_tensor() -> None:
    text = spec("""
    blocks:
      one:
        inputs: {x: any}
        graph: [{name: a, value: x + 1}]
        outputs: {a: a}
    inputs:
      x: float[N, 3]
    graph:
      - {block: one, name: o}
      - {op: tanh, name: y}
    outputs: {y: y}
    """)
    assert told(text) == ["12:5 tanh: a tensor is needed, this is a record of a; take a field, as in `.a`"]


def test_args_of_blocks() -> None:
    run = net(
        spec("""
        args: {outer: 5}
        blocks:
          b:
            args:
              k: int
              mode: {type: text, default: add}
              act: {type: op, default: relu}
              cell: {type: block, default: twice}
              sizes: [1, 2]
              own: {type: int, default: outer + 1}
            inputs: {x: any}
            graph:
              - {op: $act, name: h}
              - {block: $cell, name: c}
              - {name: y, value: 'c + k + own + sizes[0] if mode == "add" else c * k'}
          twice:
            inputs: {x: any}
            graph: [{value: x * 2}]
          thrice:
            inputs: {x: any}
            graph: [{value: x * 3}]
        inputs:
          x: float[N, 3]
        graph:
          - {block: b, name: p, k: 1}
          - {block: b, name: q, in: x, k: outer * 2, mode: mul, act: tanh, cell: thrice, sizes: [outer]}
          - {block: b, name: r, in: x, k: 1, act: twice}
        outputs: {p: p, q: q, r: r}
        """)
    )
    found = run(x=X)
    np.testing.assert_allclose(found["p"], 2 * np.maximum(X, 0) + 1 + 6 + 1)
    np.testing.assert_allclose(found["q"], np.tanh(X) * 3 * 10)
    np.testing.assert_allclose(found["r"], X * 4 + 8)


def test_args_of_blocks_that_do_not_fit() -> None:
    text = spec("""
    blocks:
      b:
        args: {k: int, cell: {type: block, default: b}, ratio: 0.5}
        inputs: {x: any}
        graph: [{value: x}]
    inputs:
      x: float[N, 3]
    graph:
      - {block: b, name: a}
      - {block: b, name: c, in: x, k: 0.5, rato: 1}
      - {block: b, name: d, in: x, k: x}
      - {block: b, name: e, in: x, k: 1, cell: bb, ratio: '[1]'}
      - {block: bb, name: f, in: x}
      - {block: tanh, name: g, in: x}
      - {op: b, name: y, in: x}
    outputs: {y: y}
    """)
    assert told(text) == [
        "11:5 the block `b` needs the arg `k` (int) | k: ...",
        "12:35 the arg `k` is int, not 0.5",
        "12:40 the block `b` has no arg `rato` | did you mean `ratio`?",
        "13:35 the arg `k` is static; this is float32[N, 3], found at run time only",
        "14:44 the arg `cell` names the block `bb`, which there is not | did you mean `b`?",
        "14:55 the arg `ratio` is float, not [1]",
        "15:13 there is no block `bb` | did you mean `b`?",
        "16:13 there is no block `tanh` | `tanh` is an op: write {op: tanh}",
        "17:10 `b` is a block, not an op | write {block: b}",
    ]


def test_an_arg_names_a_block_of_the_file_where_it_is_written() -> None:
    lib = library("""
    blocks:
      apply:
        args: {cell: {type: block, default: double}, act: op}
        inputs: {x: any}
        graph:
          - {block: $cell, name: c}
          - $act
      double:
        inputs: {x: any}
        graph: [{value: x * 2}]
    """)
    text = spec("""
    include: {lib: lib.yaml}
    blocks:
      double:
        inputs: {x: any}
        graph: [{value: x * 20}]
      through:
        args: {inner: block}
        inputs: {x: any}
        graph: [{block: lib.apply, cell: $inner, act: relu}]
    inputs:
      x: float[N, 3]
    graph:
      - {block: lib.apply, name: a, act: relu}
      - {block: lib.apply, name: b, in: x, cell: double, act: double}
      - {block: lib.apply, name: c, in: x, cell: lib.double, act: lib.double}
      - {block: through, name: d, in: x, inner: double}
    outputs: {a: a, b: b, c: c, d: d}
    """)
    found = net(text, {"lib.yaml": lib})(x=X)
    np.testing.assert_allclose(found["a"], np.maximum(2 * X, 0))
    np.testing.assert_allclose(found["b"], 400 * X)
    np.testing.assert_allclose(found["c"], 4 * X)
    np.testing.assert_allclose(found["d"], np.maximum(20 * X, 0))


def test_a_library_sees_only_itself() -> None:
    lib = library("""
    include: {more: more.yaml}
    blocks:
      a:
        inputs: {x: any}
        graph: [{block: b}]
      b:
        inputs: {x: any}
        graph: [{value: x + gain}]
      c:
        inputs: {x: any}
        graph: [{block: more.d, name: y}, {block: lib.a}, {block: d}]
    """)
    more = library("""
    blocks:
      d:
        inputs: {x: any}
        graph: [{value: x}]
    """)
    text = spec("""
    args: {gain: 1}
    include: {lib: lib.yaml}
    inputs:
      x: float[N, 3]
    graph:
      - {block: lib.a, name: y}
      - {block: lib.more.d, name: z}
      - {block: lib, name: u}
      - {block: lib.e, name: v}
    outputs: {y: y}
    """)
    assert said(text, {"lib.yaml": lib, "more.yaml": more}) == [
        "lib.yaml:9:25 the name `gain` is not known here",
        "lib.yaml:12:47 there is no block `lib.a`",
        "lib.yaml:12:63 there is no block `d`",
        "9:13 there is no block `lib.more.d`",
        "10:13 there is no block `lib`",
        "11:13 there is no block `lib.e`",
    ]


def test_blocks_that_nobody_calls_are_checked() -> None:
    text = spec("""
    blocks:
      b:
        args: {k: int, j: {type: text, default: a}}
        inputs: {x: 'float[N, width]'}
        let: {h: kk}
        params: {p: 'float[q]'}
        constants: {c: {type: 'float[1]', value: [r]}}
        graph:
          - {op: linaer, name: l, in: x, features: 3}
          - {op: linear, featurs: 3}
          - {op: linear, name: z, features: widht, path: p.$s}
          - {op: gelu, approximate: tahn}
          - {block: c, in: q}
          - {block: b, k: 3, jj: 4}
          - {block: b, k: foo, j: foo}
          - {part: zz}
          - {block: $k, carry: {x: v}, scan: {over: {x: w}, lengths: u}, any: word}
        outputs: {y: missing}
    inputs:
      x: float[N]
    graph: [{name: y, value: x}]
    outputs: {y: y}
    """)
    assert said(text) == [
        "6:27 the name `width` is not known here",
        "7:14 the name `kk` is not known here",
        "8:24 the name `q` is not known here",
        "9:47 the name `r` is not known here",
        "11:14 there is no op `linaer`",
        "12:9 `linear` needs the field `features`",
        "12:22 `linear` has no field `featurs`",
        "13:41 the name `widht` is not known here",
        "13:57 the name `s` is not known here",
        "14:33 `tahn` is none of the words here, and no name that is known",
        "15:17 there is no block `c`",
        "16:26 the block `b` has no arg `jj`",
        "17:23 the name `foo` is not known here",
        "18:16 there is no part `zz`",
        "19:32 the name `v` is not known here",
        "19:53 the name `w` is not known here",
        "19:66 the name `u` is not known here",
        "20:18 the name `missing` is not known here",
    ]


def test_nodes_that_are_left_out_are_checked() -> None:
    text = spec("""
    inputs:
      x: float[N]
    graph:
      - {op: linaer, name: a, when: false, in: x, features: 3}
      - {op: linear, name: b, when: false, in: x, features: widht}
      - {op: linear, name: c, when: false, in: xx, features: 2}
      - {name: y, value: x}
    outputs: {y: y}
    """)
    assert said(text) == [
        "6:10 there is no op `linaer`",
        "7:57 the name `widht` is not known here",
        "8:44 the name `xx` is not known here",
    ]
