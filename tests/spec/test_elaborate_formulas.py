"""Rules 7 to 13: formulas over tensors, sizes and static values, and how fields read them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .elaborating import Net, net, program, said, spec, told

X = np.arange(24.0).reshape(2, 3, 4) - 5
W = np.random.default_rng(3).normal(size=(4, 5))
K = np.array([[3, -7, 4], [5, 0, -1]])
ON = np.array([[True, False, True], [False, False, True]])

INPUTS = {"x": "float[N, T, 4]", "w": "float[4, 5]", "k": "int64[N, T]", "on": "bool[N, T]"}


def of(formula: str, extra: str = "") -> Net:
    inputs = "".join(f"  {name}: {type}\n" for name, type in INPUTS.items())
    return net(spec(f"{extra}inputs:\n{inputs}graph:\n  - name: y\n    value: {formula}\noutputs: {{y: y}}\n"))


def value(formula: str, extra: str = "") -> Any:
    return of(formula, extra)(x=X, w=W, k=K, on=ON)["y"]


def refused(formula: str, extra: str = "", shift: int = 0) -> tuple[int, str]:
    """The column within the formula, counted from 0, and the message with its hint."""
    inputs = "".join(f"  {name}: {type}\n" for name, type in INPUTS.items())
    text = spec(f"{extra}inputs:\n{inputs}graph:\n  - name: y\n    value: {formula}\noutputs: {{y: y}}\n")
    (found,) = told(text)
    place, message = found.split(" ", 1)
    line, column = map(int, place.split(":"))
    assert text.split("\n")[line - 1].startswith("    value: ")
    return column - 12, message


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        # operators, and how they bind
        ("x + 2 * x", X + 2 * X),
        ("-x ** 2", -(X**2)),
        ("(x + 1) @ w", (X + 1) @ W),
        ("x @ w / 2 - 1", X @ W / 2 - 1),
        ("2 - x / 4", 2 - X / 4),
        ("1 / (x + 100)", 1 / (X + 100)),
        ("2 ** x", 2.0**X),
        ("k / 2", K / 2),
        ("k // 2", K // 2),
        ("-7 // k[:, :1]", np.floor_divide(-7, K[:, :1])),
        ("k % 4", K % 4),
        ("x // 3", X // 3),
        ("x % 3", np.mod(X, 3)),
        ("x > 1 + 1", X > 2),
        ("not on or k == 0", ~ON | (K == 0)),
        ("on and not (k > 0)", ON & ~(K > 0)),
        ("true and on", ON),
        ("x if 1 < 2 else w", X),
        ("x[0] if false and N == 2 else x[1]", X[1]),
        # indices
        ("x[:, 0]", X[:, 0]),
        ("x[0]", X[0]),
        ("x[-1, :, -2]", X[-1, :, -2]),
        ("x[..., 1:]", X[..., 1:]),
        ("x[..., 1:3:2]", X[..., 1:3:2]),
        ("x[:, null, ..., 0]", X[:, None, ..., 0]),
        ("k[:, null]", K[:, None]),
        ("x[:, ::-1]", X[:, ::-1]),
        ("x[:, :-1]", X[:, :-1]),
        ("x[:, ::-2]", X[:, ::-2]),
        ("x[..., -3:-1]", X[..., -3:-1]),
        ("x[:, :, [1, 2, 3][1]]", X[:, :, 2]),
        # functions: any op that needs no field, dtypes as casts
        ("tanh(x) + relu(x) * sigmoid(x)", np.tanh(X) + np.maximum(X, 0) * sigmoid(X)),
        ("where(on, k, -k)", np.where(ON, K, -K)),
        ("where(on, 1, 0.5)", np.where(ON, 1, 0.5)),
        ("max(x, 0)", np.maximum(X, 0)),
        ("min(k, 2)", np.minimum(K, 2)),
        ("reduce_sum(x)", X.sum()),
        ("all(on)", ON.all()),
        ("any(on)", ON.any()),
        ("softmax(x)", np.exp(X) / np.exp(X).sum(-1, keepdims=True)),
        ("concat([x, x])", np.concatenate([X, X])),
        ("int64(x)", X.astype(int)),
        ("float(k)", K.astype(float)),
        ("float(on) + 1", ON + 1.0),
        ("int32(on)", ON.astype(int)),
        ("bool(k)", K != 0),
        # numbers beside tensors take their dtype; bool yields to int, int to float
        ("k + 2", K + 2),
        ("on + k", ON + K),
        ("k + x[..., 0]", K + X[..., 0]),
        ("on * x[..., 0]", ON * X[..., 0]),
        ("k + 2.0", K + 2),
        ("on + 1", ON + 1),
        # sizes are whole numbers
        ("x * T", X * 3),
        ("x / T", X / 3),
        ("x + N * T // 2", X + 3),
        ("x * float(T) / 2", X * 1.5),
        ("x + int64(T)", X + 3),
        ("sqrt(float(T)) * x", np.sqrt(3.0) * X),
        ("x[:, T - 1]", X[:, 2]),
        ("x[:, :T - 1]", X[:, :2]),
        ("x + max(T, 1) + min(N, 1)", X + 4),
        ("x + max([T, 0]) + sum([N, T, 1])", X + 9),
        ("x + ceil(T) + floor(T) + int(T) + abs(T)", X + 12),
        ("x + T ** 2 - T % 2", X + 8),
        # broadcasting
        ("x + k[..., null] * w[:, 0]", X + K[..., None] * W[:, 0]),
        ("k[:, :, null] + k[:, null, :]", K[:, :, None] + K[:, None, :]),
    ],
)
def test_values(formula: str, wanted: Any) -> None:
    found = value(formula)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert found.shape == np.shape(wanted)
    assert found.dtype.kind == np.asarray(wanted).dtype.kind


@pytest.mark.parametrize(
    ("formula", "column", "message"),
    [
        ("x + w", 0, "add: the shapes [N, T, 4] and [4, 5] do not go together (4 against 5)"),
        ("w @ w", 0, "matmul of float32[4, 5] and float32[4, 5]: the summed axes: 5 and 4 differ"),
        ("x + nothing", 4, "the name `nothing` is not known here"),
        ("x and x", 0, "`and` takes bools, not float32[N, T, 4]"),
        ("on or k", 6, "`or` takes bools, not int64[N, T]"),
        ("1 and on", 0, "a condition is true or false, this is an integer"),
        ("not k", 4, "`not` takes bools, not int64[N, T]"),
        ("k + 0.5", 0, "add: the number 0.5 stands beside int64; cast the tensor to a float first"),
        ("x if x > 0 else w", 5, "a condition is known when the spec is read, this is bool[N, T, 4] | for tensors"),
        ("x[:, :, 4]", 0, "index 4 is outside axis 2 of float32[N, T, 4]"),
        ("x[0, 0, 0, 0]", 0, "4 indices for float32[N, T, 4]"),
        ("x[..., ...]", 0, "an index has one ... at most"),
        ("x[k]", 2, "an index is static; by tensor: op gather"),
        ("x[0.5]", 2, "an index is a whole number, not 0.5"),
        ("x[1::-1]", 0, "a slice that steps backward takes the whole axis: x[::-1]"),
        ("tahn(x)", 0, "there is no function or op `tahn` | did you mean `tanh`?"),
        ("tanh(x, x)", 0, "tanh: 2 operands are given, it takes 1: x"),
        ("tanh()", 0, "`tanh` takes tensors, not nothing"),
        ("tanh(1)", 0, "`tanh` takes tensors, not an integer"),
        ("where(on, x)", 0, "where: the operand `y` is missing"),
        ("reshape(x)", 0, "`reshape` needs the field shape | write it as a node: {op: reshape, shape: ...}"),
        ("linear(x)", 0, "`linear` owns parameters | write it as a node: {op: linear, ...}"),
        ("sum(x)", 0, "`sum` is for static values | of one tensor: `reduce_sum`"),
        ("max(x)", 0, "`max` is for static values | of one tensor: `reduce_max`"),
        ("mean(x)", 0, "there is no function or op `mean` | of one tensor: `reduce_mean`"),
        ("len(x)", 0, "`len` is for static values"),
        ("scan(x)", 0, "there is no function or op `scan`"),
        ("int64(x, x)", 0, "`int64` casts one tensor"),
        ("float64(1)", 0, "`float64` takes tensors, not an integer"),
        ("x * (T * 0.5)", 5, "`*` between the size T and a float | a size is a whole number; as a tensor it is"),
        ("x * (T / 2)", 5, "`/` between the size T and an integer | a size is a whole number"),
        ("x * (2 ** T)", 5, "`**` between an integer and the size T"),
        ("x * (T ** -1)", 5, "a size is raised to powers from 0 to 16, not -1"),
        ("x * sqrt(T)", 4, "`sqrt` of the size T | as a tensor: `sqrt(float(...))`"),
        ("x * range(T)[0]", 4, "`range` of the size T"),
        ("x * (6 // T)", 5, "6 // T: a dimension divides by whole numbers only"),
        ("x * (T // 0)", 5, "a dimension divided by zero"),
        ("x * max(T, 0.5)", 4, "`max` of the size T, a float"),
        ("x if T > 2 else x", 5, "whether T > 2 depends on the sizes found at run time | bound the sizes with `dims`"),
        ("x if T == 2 else x", 5, "whether T == 2 depends on the sizes found at run time"),
        ("x if [T] == [2] else x", 5, "`==` of a list that holds tensors or sizes | compare its items"),
        ("x if [x] == [x] else x", 5, "`==` of a list of 1 that holds tensors or sizes | compare its items"),
        ("x * abs(T - 2)", 4, "whether T - 2 >= 0 depends on the sizes found at run time"),
        ("x * T ** 8 ** 8", 4, "a size is raised to powers from 0 to 16, not 16777216"),
        ("x + (T ** 16) ** 2", 5, "a size is a sum of"),
    ],
)
def test_mistakes(formula: str, column: int, message: str) -> None:
    at, found = refused(formula)
    assert found.startswith(message), found
    assert at == column


def test_two_widths_of_one_kind_do_not_mix() -> None:
    text = spec("""
    inputs:
      x: float[N]
      y: float64[N]
      j: int32[N]
      k: int64[N]
    graph:
      - {name: a, value: x + y}
      - {name: b, value: j + k}
      - {name: c, value: float64(x) + y + j}
      - {op: add, name: d, in: [x, y]}
    outputs: {c: c}
    """)
    assert told(text) == [
        "9:22 add: float32 and float64 do not mix; cast one, as in float32(x)",
        "10:22 add: int32 and int64 do not mix; cast one, as in int32(x)",
        "12:5 add: float32 and float64 do not mix; cast one, as in float32(x)",
    ]


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("b + 200", "the number 200 is none of int8"),
        ("b < 1000", "the number 1000 is none of int8"),
        ("u * -1", "the number -1 is none of uint8"),
        ("where(b > 0, b, 128)", "the number 128 is none of int8"),
        ("b + 127", None),
        ("u + 255 - true", None),
        ("float(u) * -1000", None),
        ("h + 1000", None),
    ],
)
def test_a_number_fits_into_the_dtype_of_its_neighbour(formula: str, message: str | None) -> None:
    inputs = "{b: 'int8[N]', u: 'uint8[N]', h: 'float16[N]'}"
    text = spec(f"inputs: {inputs}\ngraph: [{{name: y, value: '{formula}'}}]\noutputs: {{y: y}}\n")
    if message is None:
        assert program(text)
    else:
        assert [one.split(" ", 1)[1] for one in said(text)] == [message]


# ---- rule 13: sizes in conditions, guards

SIZES = """
blocks:
  pick:
    inputs:
      x: float[N, C]
    graph:
      - {{name: y, value: x * 2 if {condition} else x}}
inputs:
  x: float[N, 3]
dims: {{N: [{low}, 8]}}
graph:
  - {{block: pick, name: y}}
outputs: {{y: y}}
"""


@pytest.mark.parametrize(
    ("condition", "low", "wanted"),
    [
        ("C == 3", 1, 2),
        ("C != 3", 1, 1),
        ("C > 3 or C == 3", 1, 2),
        ("N >= 1", 1, 2),
        ("N > 1", 2, 2),
        ("N < 9", 1, 2),
        ("N * C >= 6", 2, 2),
        ("2 * N > N", 1, 2),
        ("N + 1 == N", 1, 1),
        ("N // 3 <= 2", 1, 2),
    ],
)
def test_a_condition_on_sizes_that_is_the_same_for_all_of_them(condition: str, low: int, wanted: int) -> None:
    x = np.ones((2, 3))
    np.testing.assert_array_equal(net(spec(SIZES.format(condition=condition, low=low)))(x=x)["y"], wanted * x)


@pytest.mark.parametrize("condition", ["N > 1", "N == 1", "N != 4", "N % 2 == 0", "N * C > 6", "N > 1 and C == 3"])
def test_a_condition_on_sizes_that_is_not(condition: str) -> None:
    (found,) = told(spec(SIZES.format(condition=condition, low=1)))
    place, message = found.split(" ", 1)
    assert message.startswith("whether ") and "depends on the sizes found at run time" in message
    assert place == "8:35"


def test_the_same_for_a_node() -> None:
    text = spec("""
    inputs:
      x: float[N]
    graph:
      - {op: relu, name: y, when: N > 1, else: x, in: x}
      - {op: relu, name: z, repeat: N, in: x}
    outputs: {y: y}
    """)
    assert told(text) == [
        "6:31 whether N > 1 depends on the sizes found at run time | bound the sizes with `dims`",
        "7:33 `repeat` is a whole number, not the size N",
    ]


def test_equalities_that_cannot_be_decided_are_checked_at_entry() -> None:
    made = program(
        spec("""
        blocks:
          b:
            inputs: {x: 'float[S, S]', z: 'float[S, 3]'}
            graph:
              - {name: y, value: x @ z}
        inputs:
          x: float[A, B]
          z: float[C, D]
          k: float[E]
        graph:
          - {block: b, name: h, in: [x, z]}
          - {name: y, value: 'reduce_sum(h) + k * x[0]'}
          - {op: add, name: w, in: [x, 'z[:, :1]']}
        outputs: {y: y, w: w}
        """)
    )
    guards = [(str(g.left), str(g.right), str(g.loc)) for g in made.entries["main"].guards]
    assert guards == [
        ("B", "A", "m.yaml:13:5"),
        ("C", "A", "m.yaml:13:5"),
        ("D", "3", "m.yaml:13:5"),
        ("B", "C", "m.yaml:7:26"),
        ("B", "E", "m.yaml:14:22"),
    ]


def test_the_guard_of_a_formula_alone_is_kept() -> None:
    made = program(spec("inputs: {x: 'float[N]', z: 'float[M]'}\ngraph: [{name: y, value: x + z}]\noutputs: {y: y}\n"))
    (guard,) = made.entries["main"].guards
    assert {str(guard.left), str(guard.right)} == {"N", "M"}
    assert str(guard.loc) == "m.yaml:4:26"


# ---- rule 7: fields of words and numbers


def padded(padding: str, extra: str = "") -> tuple[int, ...]:
    made = program(
        spec(f"""
        args: {{same: 1, how: {{type: text, default: same}}, many: 2}}
        inputs:
          x: float[N, 1, 9, 9]
        graph:
          - {{op: conv2d, name: y, filters: 1, kernel: 3, padding: {padding}}}
        outputs: {{y: y}}
        """)
    )
    return made.entries["main"].graph.outputs[0].type.shape[2:]  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("padding", "size"),
    [
        ("same", 9),  # its own word first, though an arg has this name
        ("valid", 7),
        ("2", 11),
        ("many", 11),
        ("'1 + same'", 11),
        ("$how", 9),
        ("$many", 11),
        ("$(many - 1)", 9),
        ("how", 9),
        ("[many, 1]", (11, 9)),
    ],
)
def test_a_field_of_words_and_numbers(padding: str, size: Any) -> None:
    assert padded(padding) == ((size, size) if isinstance(size, int) else size)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("padding: sme", "none of the words here, and no name that is known | did you mean `same`?"),
        ("padding: $nope", "the name `nope` is not known here"),
        ("padding: 0.5", "`conv2d`: `padding` is one of same, valid, a whole number of 0 or more, a list of"),
        ("padding: $text", "`conv2d`: `padding` is one of same, valid"),
        ("padding: -1", "`conv2d`: `padding` is one of same, valid, a whole number of 0 or more"),
        (
            "stride: 0",
            "`conv2d`: `stride` is a whole number of 1 or more, or a list of whole numbers of 1 or more, not 0",
        ),
        ("stride: true", "`conv2d`: `stride` is a whole number of 1 or more, or a list of"),
        ("stride: 1.0", "`conv2d`: `stride` is a whole number of 1 or more"),
        ("stride: N", "`conv2d`: `stride` is a whole number of 1 or more, or a list of whole numbers of 1 or more"),
        ("stride: x", "the field `stride` is static; this is float32[N, 1, 9, 9], found at run time only"),
        ("stride: '[1, 2, 3]'", "conv2d: stride has 3 numbers for 2 axes"),
        ("bias: 1", "`conv2d`: `bias` is true or false, not 1"),
        ("bias: 'yes'", "the name `yes` is not known here"),
        ("strid: 1", "`conv2d` has no field `strid` | did you mean `stride`?"),
        ("q: 1", "`conv2d` has no field `q` | its fields: filters, kernel, stride, padding, dilation, groups, bias"),
        ("groups: '1 +'", "the formula ends too early"),
    ],
)
def test_a_field_that_is_mistaken(field: str, message: str) -> None:
    text = spec(f"""
    args: {{text: {{type: text, default: abc}}}}
    inputs:
      x: float[N, 1, 9, 9]
    graph:
      - op: conv2d
        name: y
        filters: 1
        kernel: 3
        {field}
    outputs: {{y: y}}
    """)
    (found,) = told(text)
    place, rest = found.split(" ", 1)
    assert rest.removeprefix(f"`{field.split()[-1]}` is ").startswith(message), found
    assert place.startswith("11:") or (place == "7:5" and rest.startswith("conv2d:"))


def test_a_field_that_is_missing() -> None:
    text = spec("""
    inputs:
      x: float[N, 1, 9, 9]
    graph:
      - {op: conv2d, name: y}
    outputs: {y: y}
    """)
    assert told(text) == [
        "6:5 `conv2d` needs the field `filters` | filters: a whole number of 1 or more",
        "6:5 `conv2d` needs the field `kernel` | "
        "kernel: a whole number of 1 or more, or a list of whole numbers of 1 or more",
    ]


def test_a_text_inserts_names_and_formulas() -> None:
    made = program(
        spec("""
        args: {at: 3, word: {type: text, default: deep}}
        inputs:
          x: float[N, 2]
        graph:
          - {op: linear, path: '$word.$(at + 1).l$at', features: 2}
          - {op: linear, path: 7, features: 2}
          - {op: linear, name: y, features: 1}
        outputs: {y: y}
        """)
    )
    assert [path for path in made.parameters if path.endswith("weight")] == ["deep.4.l3.weight", "7.weight", "y.weight"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("l$x", "what a text inserts is static; this is float32[N, 2], found at run time only"),
        ("l$half", "a text inserts whole numbers and texts, not 0.5"),
        ("l$on", "a text inserts whole numbers and texts, not true"),
        ("l$N", "a text inserts whole numbers and texts, not the size N"),
        ("l$", "nothing is inserted by `$`"),
        ("l$nope", "the name `nope` is not known here"),
    ],
)
def test_what_a_text_cannot_insert(path: str, message: str) -> None:
    text = spec(f"""
    args: {{half: 0.5, on: true}}
    inputs:
      x: float[N, 2]
    graph:
      - {{op: linear, path: {path}, features: 2}}
      - {{name: y, value: x}}
    outputs: {{y: y}}
    """)
    (found,) = told(text)
    assert found.split(" ", 1)[1].startswith(message)
    assert found.startswith("7:2")
