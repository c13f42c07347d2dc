"""Blocks: what they give, their args, the names of libraries; and what nobody calls is checked."""

from __future__ import annotations

import numpy as np

from .elaborating import library, net, said, spec, told

X = np.arange(6.0).reshape(2, 3) - 2


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
