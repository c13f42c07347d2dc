"""Rules 14 to 18: types and how symbols are bound, counts, ranges, numbers that fill, params, constants."""

from __future__ import annotations

import numpy as np
import pytest

from netwright.compiler.ir import Port

from .elaborating import labels, lowered, mistakes, net, program, spec, told


def called(inputs: str, given: str, body: str = "x") -> str:
    """A block with these inputs, called with these operands on images [N, 3, 4*R, 6]."""
    return spec(f"""
    args: {{width: 6}}
    blocks:
      b:
        inputs: {inputs}
        graph:
          - name: y
            value: {body}
    inputs:
      x: float[N, 3, 4 * R, 6]
      k: int64[N]
      v: float[N, 6]
    graph:
      - {{op: split, name: both, in: v, parts: 2, axis: 1}}
      - block: b
        name: y
        in: {given}
    outputs: {{y: y}}
    """)


CALL = "17:5"


@pytest.mark.parametrize(
    ("inputs", "given", "body", "wanted"),
    [
        ("{x: any}", "x", "x", "float32[N, 3, 4*R, 6]"),
        ("{x: 'float[N, C, H, W]'}", "x", "x + C + H + W + N", "float32[N, 3, 4*R, 6]"),
        ("{x: 'any[N, C, H, W]'}", "x", "x", "float32[N, 3, 4*R, 6]"),
        ("{x: 'float32[A, 3, B, width]'}", "x", "x", "float32[N, 3, 4*R, 6]"),
        ("{x: 'float[N, 3, 2 * H, 2 * (W - 1)]'}", "x", "'x[:, :, :H, :W]'", "float32[N, 3, 2*R, 4]"),
        ("{x: 'float[N, 3, 4 * Q, Q + 1]'}", "x", "x", "float32[N, 3, 4*R, 6]"),
        ("{x: 'float[N, ...]'}", "x", "x", "float32[N, 3, 4*R, 6]"),
        ("{x: 'float[..., W]'}", "x", "x * W", "float32[N, 3, 4*R, 6]"),
        ("{x: 'float[N, ..., W]'}", "x", "x * W", "float32[N, 3, 4*R, 6]"),
        ("{x: 'float[...]'}", "x", "x", "float32[N, 3, 4*R, 6]"),
        ("{x: 'float[N, C, ..., H, W]'}", "x", "x", "float32[N, 3, 4*R, 6]"),
        ("{v: 'float[A, B]', x: 'float[A, 3, H, B]'}", "[v, x]", "v + A + B + H", "float32[N, 6]"),
        ("{k: 'int64[N]', v: 'float[N, W]'}", "{v: v, k: k}", "'v + k[:, null]'", "float32[N, 6]"),
        ("{v: {type: {a: 'float[N, W]', b: any}}}", "{v: {a: v, b: k}}", "'v.a + v.b[:, null]'", "float32[N, 6]"),
        ("{v: {type: 'float[N, W]', count: 2}}", "both", "'v[0] + v[1] + W'", "float32[N, 3]"),
        ("{v: {type: 'float[N, W]', count: width // 3}}", "['v', 'v + 1']", "'v[0] + v[1] + W'", "float32[N, 6]"),
        ("{v: {type: {a: 'float[N, W]'}, count: 2}}", "{v: [{a: v}, {a: v}]}", "'v[0].a + v[1].a'", "float32[N, 6]"),
        ("{v: any, m?: any}", "v", "'v if m == null else v + m'", "float32[N, 6]"),
        ("{v: any, m?: 'float[M]'}", "{v: v}", "'v if m == null else v + M'", "float32[N, 6]"),
    ],
)
def test_what_an_input_takes(inputs: str, given: str, body: str, wanted: str) -> None:
    made = program(called(inputs, given, body))
    assert str(made.entries["main"].graph.outputs[0].type) == wanted


@pytest.mark.parametrize(
    ("inputs", "given", "message"),
    [
        ("{x: 'float[N, C]'}", "x", "is float[N, C], given is float32[N, 3, 4*R, 6]: the number of axes differs"),
        ("{x: 'float[N, ..., A, B, C, D]'}", "x", "the number of axes differs"),
        ("{x: 'float[]'}", "x", "the number of axes differs"),
        ("{x: 'int64[N, ...]'}", "x", "is int64[N, ...], not float32[N, 3, 4*R, 6]"),
        ("{v: 'int64[N, W]'}", "v", "is int64[N, W], not float32[N, 6] | cast it: int64(x)"),
        ("{k: 'float[N]'}", "k", "is float[N], not int64[N] | cast it: float(x)"),
        ("{x: 'float[N, 4, H, W]'}", "x", "is float[N, 4, H, W], given is float32[N, 3, 4*R, 6]: 3 is not 4"),
        ("{x: 'float[N, C, H, width + 1]'}", "x", "given is float32[N, 3, 4*R, 6]: 6 is not width + 1, which is 7"),
        ("{x: 'float[N, C, H, C]'}", "x", "given is float32[N, 3, 4*R, 6]: 6 is not C, which is 3"),
        ("{x: 'float[N, C, 4 * H, 4 * W]'}", "x", "given is float32[N, 3, 4*R, 6]: 6 is not 4 * W for a whole W"),
        ("{x: 'float[N, C, A * B, W]'}", "x", "the symbols of `A * B` cannot be told from it"),
        ("{x: 'float[N, C, A // 2, W]'}", "x", "the symbols of `A // 2` cannot be told from it"),
        ("{v: {type: {a: any}}}", "v", "is a record of a, not float32[N, 6]"),
        ("{v: {type: {a: any, b: any}}}", "{v: {a: v}}", "is a record of a, b, not of a"),
        ("{v: {type: {a: 'int64[N]'}}}", "{v: {a: v}}", "`b`: the input `v.a` is int64[N], not float32[N, 6]"),
        ("{v: {type: any, count: 3}}", "both", "is a list of 3, not a list of 2"),
        ("{v: {type: any, count: 3}}", "v", "is a list of 3, not float32[N, 6]"),
        ("{v: {type: 'int64[N]', count: 2}}", "both", "`b`: the input `v[0]` is int64[N], not float32[N, 3]"),
        ("{v: 'float[N, W]'}", "both", "is float[N, W], not a list of 2"),
        ("{v: 'float[N, W]'}", "\"'abc'\"", "is float[N, W], not 'abc'"),
        ("{v: any, w: any}", "v", "`b`: the input `w` is missing | in: {w: ...}"),
        ("{v: any}", "[v, v]", "`b` takes 1 inputs (v), 2 are given"),
        ("{v: any}", "{w: v}", "`b` has no input `w` | its inputs: v"),
    ],
)
def test_what_an_input_refuses(inputs: str, given: str, message: str) -> None:
    (found,) = told(called(inputs, given, "1"))
    place, rest = found.split(" ", 1)
    assert place in (CALL, "16:5", "15:5"), found
    assert message in rest, found


def test_both_shapes_and_the_chain_of_calls_are_told() -> None:
    text = spec("""
    blocks:
      inner:
        inputs:
          x: float[N, 3]
        graph:
          - relu
      outer:
        inputs: {x: any}
        graph:
          - {block: inner, name: a}
          - {block: inner, name: b, in: x}
    inputs:
      x: float[N, 4]
    graph:
      - {block: outer, name: y}
      - {block: outer, name: z, in: x}
    outputs: {y: y}
    """)
    found = mistakes(text)
    assert [f"{one.span.start_line} {one.message}" for one in found] == [
        "12 `inner`: the input `x` is float[N, 3], given is float32[N, 4]: 4 is not 3",
        "13 `inner`: the input `x` is float[N, 3], given is float32[N, 4]: 4 is not 3",
    ]
    assert [(label, span.start_line) for label, span in found[0].chain] == [("outer", 17)]
    assert "in block outer called from" in found[0].render()


def test_a_guard_binds_what_cannot_be_decided() -> None:
    made = program(
        spec("""
        blocks:
          b:
            inputs:
              x: float[8 * R, R]
            graph: [{value: x}]
        inputs:
          x: float[N, M]
        graph:
          - {block: b, name: y}
        outputs: {y: y}
        """)
    )
    assert [(str(g.left), str(g.right)) for g in made.entries["main"].guards] == [
        ("N", "8*((N)//8)"),
        ("M", "((N)//8)"),
    ]


# ---- rule 15: inputs of a model


def ports(text: str, given: tuple[str, ...] = ()) -> dict[str, Port]:
    return {port.name: port for port in program(text, given=frozenset(given)).entries["main"].inputs}


def test_inputs_of_a_model_are_ports() -> None:
    found = ports(
        spec("""
        args: {rows: 10, depth: 2}
        inputs:
          ids: {type: 'int64[N, T]', range: [0, rows - 1], doc: words}
          mask?: bool[N, T]
          cache: {type: {k: 'float[N, rows, 4]', v: 'float[N, rows, 4]'}, count: depth}
          image: float[N, 3, 32 * R, 8]
        dims: {T: [1, rows], R: [2, 4]}
        graph:
          - {name: y, value: float(ids) + reduce_sum(cache[0].k) + reduce_sum(image)}
        outputs: {y: y}
        """).replace("float(ids) + reduce_sum(cache[0].k) + reduce_sum(image)", "'float(ids) + 1'")
    )
    assert {name: str(port.type) for name, port in found.items()} == {
        "ids": "int64[N, T]",
        "cache.0.k": "float32[N, 10, 4]",
        "cache.0.v": "float32[N, 10, 4]",
        "cache.1.k": "float32[N, 10, 4]",
        "cache.1.v": "float32[N, 10, 4]",
        "image": "float32[N, 3, 32*R, 8]",
    }
    assert found["ids"].range == (0, 9) and found["ids"].doc == "words"
    assert str(found["ids"].loc) == "m.yaml:5:8 (ids)"


def test_symbols_have_the_ranges_of_dims() -> None:
    made = program(
        spec("""
        args: {most: 7}
        inputs:
          x: float[N, 2 * T]
        dims: {T: [2, most], N: [0, 3]}
        graph: [{name: y, value: x}]
        outputs: {y: y}
        """)
    )
    assert [(s.name, s.low, s.high) for s in made.entries["main"].symbols] == [("N", 0, 3), ("T", 2, 7)]


def test_an_optional_input_is_there_when_it_will_be_given() -> None:
    text = spec("""
    inputs:
      x: float[N]
      more?: float[M]
    graph:
      - {name: y, value: 'x if more == null else x + reduce_sum(more) * M'}
    outputs: {y: y}
    """)
    assert list(ports(text)) == ["x"]
    assert list(ports(text, ("more",))) == ["x", "more"]
    x = np.ones(3)
    np.testing.assert_array_equal(net(text, given=frozenset({"more"}))(x=x, more=np.ones(4))["y"], x + 16)
    assert told(text, given=frozenset({"mor"})) == ["0:0 there is no optional input `mor` | did you mean `more`?"]
    assert told(text, given=frozenset({"x"})) == ["0:0 there is no optional input `x` | optional inputs: more"]


def test_a_symbol_of_an_input_that_is_not_given_has_no_value() -> None:
    text = spec("""
    inputs:
      x: float[N]
      more?: float[M]
    graph:
      - {name: y, value: x * M}
    outputs: {y: y}
    """)
    assert told(text) == ["7:26 the name `M` is not known here | an input that is given binds a symbol"]
    assert program(text, given=frozenset({"more"}))


def test_a_request_fixes_sizes() -> None:
    text = spec("""
    inputs:
      x: float[N, T]
    dims: {T: [1, 8]}
    graph: [{name: y, value: 'x * 2 if T == 4 else x'}]
    outputs: {y: y}
    """)
    made = program(text, dims={"T": 4})
    assert str(made.entries["main"].inputs[0].type) == "float32[N, 4]"
    assert told(text, dims={"T": 9}) == ["0:0 T is 9; it must lie from 1 to 8"]
    assert told(text, dims={"T": 4, "S": 1}) == ["0:0 no input has the dimension `S` | dimensions: N, T"]


MODEL = "graph: [{name: y, value: 1}]\noutputs: {y: y}\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("inputs: {x: any}\n", "3:13 an input of a model has a type with dims: `float[N, 3]`"),
        ("inputs: {x: 'any[N]'}\n", "3:13 `any` is no dtype of a tensor that has to be made"),
        ("inputs: {x: 'float[N, ...]'}\n", "3:13 `float[N, ...]` leaves dims open with `...`; here they must be known"),
        ("inputs: {x: 'float[N, 0.5]'}\n", "3:23 a dim is a whole number, not 0.5"),
        ("inputs: {x: 'float[N, -1]'}\n", "3:23 a dim lies from 0 to 2^31 - 1, this is -1"),
        ("inputs: {x: 'float[N, size]'}\n", "3:23 the name `size` is not known here"),
        ("inputs: {x: 'float[N, 2147483648]'}\n", "3:23 a dim lies from 0 to 2^31 - 1, this is 2147483648"),
        ("inputs: {x: 'float[1000000, 2000000]'}\n", "3:13 float32[1000000, 2000000] needs 2^40 bytes or more"),
        ("inputs: {x: 'float[A * B]'}\n", "3:20 the size of A cannot be told from `A * B`"),
        ("inputs: {x: 'float[A // 2]'}\n", "3:20 the size of A cannot be told from `A // 2`"),
        ("inputs: {x: 'float[N]'}\ndims: {M: [1, 2]}\n", "4:8 no input has the dimension M | dimensions: N"),
        ("inputs: {x: 'float[N]'}\ndims: {N: [3, 2]}\n", "4:12 the range of N is empty: 3 to 2"),
        ("inputs: {x: 'float[N]'}\ndims: {N: [-1, 2]}\n", "4:12 the range of N is empty: -1 to 2"),
        ("inputs: {x: 'float[N]'}\ndims: {N: [1, 3000000000]}\n", "4:15 a dim is at most 2^31 - 1, this is 3000000000"),
        ("inputs: {x: 'float[N]'}\ndims: {N: [1, 0.5]}\n", "4:15 a whole number stands here, not 0.5"),
        ("inputs: {x: {type: 'int64[N]', range: [3, 2]}}\n", "3:40 the range of `x` is empty: 3 to 2"),
        ("inputs: {x: {type: 'int64[N]', range: [0, N]}}\n", "3:43 a whole number stands here, not the size N"),
        ("inputs: {x: {type: 'float[N]', range: [0, 1]}}\n", "3:40 `range` is for whole numbers, `x` is float32[N]"),
        ("inputs: {x: {type: 'uint8[N]', range: [256, 300]}}\n", "3:40 no uint8 lies in the range of `x`: 256 to 300"),
        ("inputs: {x: {type: 'float[N]', count: 0.5}}\n", "3:39 a whole number stands here, not 0.5"),
        (
            "inputs: {x: {type: 'float[N]', count: 1000000000}}\n",
            "3:39 `count` lies from 0 to 10000, this is 1000000000",
        ),
        (
            "inputs: {x: {type: 'int64[]', from: {default: 0.5}}}\n",
            "3:47 the default of `x`: the number 0.5 is none of int64",
        ),
    ],
)
def test_inputs_of_a_model_that_are_mistaken(body: str, message: str) -> None:
    assert any(one.startswith(message) for one in told(spec(body + MODEL))), told(spec(body + MODEL))


def test_all_mistakes_of_inputs_are_told_together() -> None:
    text = spec("inputs:\n  a: any\n  b: float[-1]\n  c: float[A // 2]\n  d: float[N]\n" + MODEL)
    assert [one.split()[0] for one in told(text)] == ["4:6", "5:12"]


# ---- rule 16: numbers that fill


def test_a_number_fills_an_input() -> None:
    run = net(
        spec("""
        blocks:
          b:
            inputs:
              x: float[N, 2]
              h: float[N, K]
              k: int64[N]
              done: bool[]
              c: {type: {a: 'float[2]', b: 'int32[N]'}, count: 2}
              s: any
            params: {w: 'float[K, 2]'}
            graph:
              - {name: y, value: 'where(done, x, x + h @ w + k[:, null] + c[1].a + c[0].b[:, null] + s)'}
        inputs:
          x: float[N, 2]
          h: float[N, 3]
        graph:
          - {block: b, name: p, in: {x: x, h: h, k: 2, done: false, c: 5, s: 0.5}}
          - {block: b, name: q, in: {x: x, h: h, k: N, done: true, c: [1, {a: 2, b: 3}], s: 1}}
        outputs: {p: p, q: q}
        """)
    )
    x, h = np.arange(4.0).reshape(2, 2), np.ones((2, 3))
    found = run(x=x, h=h)
    np.testing.assert_allclose(found["p"], x + h @ run.values["p.w"] + 2 + 5 + 5 + 0.5)
    np.testing.assert_allclose(found["q"], x)


@pytest.mark.parametrize(
    ("type", "number", "message"),
    [
        ("int64[N]", "0.5", "the number 0.5 is none of int64"),
        ("uint8[N]", "-1", "the number -1 is none of uint8"),
        ("int8[]", "200", "the number 200 is none of int8"),
        ("bool[N]", "1", "the number 1 is none of bool"),
        ("float[N]", "true", "the number true is none of float32"),
        ("int64[]", "inf", "the number inf is none of int64"),
        ("any[N]", "1", "`any` is no dtype of a tensor that has to be made"),
        ("float[N, ...]", "1", "`float[N, ...]` leaves dims open with `...`; here they must be known"),
        ("float[M]", "1", "the name `M` is not known here"),
    ],
)
def test_a_number_that_does_not_fit(type: str, number: str, message: str) -> None:
    text = spec(f"""
    blocks:
      b:
        inputs: {{x: 'float[N]', z: '{type}'}}
        graph: [{{value: x}}]
    inputs:
      x: float[N]
    graph:
      - {{block: b, name: y, in: {{x: x, z: {number}}}}}
    outputs: {{y: y}}
    """)
    (found,) = told(text)
    assert found.split(" ", 1)[1].startswith(message)


# ---- rule 18: params and constants


def test_params() -> None:
    run = net(
        spec("""
        args: {width: 3, gate: false}
        params:
          token: float[1, width]
          place: {type: 'float[2, width]', path: encoder.position, init: {normal: 0.02}, trainable: false}
          extra: {type: 'float[width]', when: gate}
          more: {type: 'float[width]', when: not gate, init: ones}
          whole: {type: 'int32[width]'}
        inputs:
          x: float[N, 2, 3]
        graph:
          - {name: y, value: 'x + token + place + more + whole if extra == null else x'}
        outputs: {y: y}
        """)
    )
    parameters = run.program.parameters
    assert {path: (str(p.type), p.init, p.trainable) for path, p in parameters.items()} == {
        "token": ("float32[1, 3]", "zeros", True),
        "encoder.position": ("float32[2, 3]", {"normal": 0.02}, False),
        "more": ("float32[3]", "ones", True),
        "whole": ("int32[3]", "zeros", True),
    }
    assert str(parameters["encoder.position"].loc) == "m.yaml:6:10 (encoder.position)"
    values = {**run.values, "whole": np.array([1, 2, 3], np.int32)}
    x = np.zeros((1, 2, 3))
    found = type(run)(run.program, values)(x=x)["y"]
    wanted = values["token"] + values["encoder.position"] + values["more"] + values["whole"]
    np.testing.assert_allclose(found, wanted[None])


def test_constants() -> None:
    run = net(
        spec("""
        let: {third: [1, 2, 3]}
        constants:
          a: {type: 'float[2, 2]', value: [[1, 0.5], ['-1', 2 ** 3]]}
          b: {type: 'int32[3]', value: third}
          c: {type: 'bool[2]', value: [true, false]}
          d: {type: 'float[]', value: inf}
        inputs:
          x: float[N]
        graph:
          - {name: y, value: x + reduce_sum(a)}
        outputs: {y: y, b: b, c: c, d: d}
        """)
    )
    found = run(x=np.zeros(1))
    assert found["y"].tolist() == [8.5]
    assert found["b"].tolist() == [1, 2, 3] and found["b"].dtype == np.int32
    assert found["c"].tolist() == [True, False]
    assert found["d"] == np.inf


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("params: {p: 'float[N]'}", "3:13 the shape of a parameter is known when the spec is read, this is float32[N]"),
        ("params: {p: any}", "3:13 a tensor type stands here: dtype[dims]"),
        ("params: {p: {type: 'float[3]', path: 'a b'}}", "3:38 `a b` is not a path of parameters"),
        (
            "params: {p: {type: 'float[3]', init: {normal: 'x'}}}",
            "3:47 the number of an initializer is static; this is",
        ),
        ("params: {p: {type: 'float[3]', init: {uniform: -1}}}", "3:48 `uniform` takes a number of 0 or more, not -1"),
        ("params: {p: {type: 'float[3]', when: 1}}", "3:38 a condition is true or false, not 1"),
        (
            "params: {p: {type: 'float[3]', trainable: x}}",
            "3:43 a condition is static; this is float32[N], found at run",
        ),
        ("params: {p: 'float[2000000, 2000000]'}", "3:13 float32[2000000, 2000000] needs 2^40 bytes or more"),
        ("constants: {c: {type: 'float[2]', value: [1, 2, 3]}}", "3:42 the constant `c` is float32[2], its value has"),
        ("constants: {c: {type: 'float[2, 2]', value: [[1, 2], [3]]}}", "3:45 not an array of float32"),
        (
            "constants: {c: {type: 'float[2]', value: 1}}",
            "3:42 the constant `c` is float32[2], its value has the shape []",
        ),
        ("constants: {c: {type: 'int32[2]', value: [1, 0.5]}}", "3:42 the number 0.5 is none of int32"),
        ("constants: {c: {type: 'uint8[2]', value: [1, 256]}}", "3:42 the number 256 is none of uint8"),
        ("constants: {c: {type: 'bool[1]', value: [1]}}", "3:41 the number 1 is none of bool"),
        (
            "constants: {c: {type: 'float[1]', value: [x]}}",
            "3:43 the constant `c` is static; this is float32[N], found",
        ),
        ("constants: {c: {type: 'float[1]', value: [\"'a'\"]}}", "3:42 the constant `c` holds 'a', which is no number"),
        ("constants: {c: {type: 'float[1]', value: {a: 1}}}", "3:42 the constant `c` holds a record of a, which is no"),
        (
            "constants: {c: {type: 'float[N]', value: [1]}}",
            "3:42 the constant `c` is float32[N], its value has the shape",
        ),
    ],
)
def test_params_and_constants_that_are_mistaken(body: str, message: str) -> None:
    text = spec(f"{body}\ninputs:\n  x: float[N]\ngraph: [{{name: y, value: x}}]\noutputs: {{y: y}}\n")
    (found,) = told(text)
    assert found.startswith(message), found


def test_the_dtype_of_params() -> None:
    made = program(
        spec("""
        precision: {params: bfloat16, compute: float32}
        params: {a: 'float[3]', b: 'float16[3]'}
        parts: {shared: {op: linear, features: 3, bias: false}}
        inputs:
          x: float[N, 3]
        graph:
          - {op: linear, name: l, features: 3}
          - {part: shared, name: s}
          - {op: linear, name: t, in: {x: s, weight: shared.weight}, features: 3, bias: false}
          - {name: y, value: t + a + l.bias + float(b)}
        outputs: {y: y, b: b}
        """)
    )
    assert {path: p.type.dtype.value for path, p in made.parameters.items()} == {
        "a": "bfloat16",
        "b": "float16",
        "l.weight": "bfloat16",
        "l.bias": "bfloat16",
        "shared.weight": "bfloat16",
    }
    assert [str(value.type) for value in made.entries["main"].graph.outputs] == ["float32[N, 3]", "float16[3]"]


def test_labels_of_declared_values() -> None:
    made = program(
        spec("""
        constants: {c: {type: 'float[1]', value: [2]}}
        params: {p: {type: 'float16[1]'}}
        inputs:
          x: float[N]
        graph: [{name: y, value: x + c + float(p)}]
        outputs: {y: y}
        """)
    )
    assert labels(made) == ["c", "y"]


def test_usual_sizes_are_kept_for_reports() -> None:
    text = spec("""
    args: {context: 8}
    inputs:
      x: float[N, T]
    dims: {T: [1, context]}
    usual: {T: 2 * context}
    graph: [relu]
    outputs: {y: x}
    """)
    made = lowered(text)
    assert made.usual == {"T": 16}, "a report takes the nearest size that is allowed"
    assert [(s.name, s.low, s.high) for s in made.program.entries["main"].symbols] == [("N", 1, 2**31 - 1), ("T", 1, 8)]


@pytest.mark.parametrize(
    ("usual", "message"),
    [
        ("{S: 4}", "5:9 no input has the dimension S | dimensions: N, T"),
        ("{Nn: 4}", "5:9 no input has the dimension Nn | did you mean `N`?"),
        ("{t: 4}", "5:9 "),
        ("{T: 0.5}", "5:12 a whole number stands here, not 0.5"),
        ("{T: -1}", "5:12 a size lies from 0 to 2^31 - 1, this is -1"),
        ("{T: depth}", "5:12 the name `depth` is not known here"),
        ("{T: x}", "5:12 the name `x` is not known here"),
        ("[4]", "5:8 a mapping belongs here, not a list"),
    ],
)
def test_usual_sizes_that_are_mistaken(usual: str, message: str) -> None:
    text = spec(f"inputs:\n  x: float[N, T]\nusual: {usual}\ngraph: [relu]\noutputs: {{y: x}}\n")
    found = told(text)
    assert len(found) == 1 and found[0].startswith(message), found
