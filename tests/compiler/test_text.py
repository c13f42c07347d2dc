"""The text form: prints and parses to the same, and says where it is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from netwright.compiler.ir import Builder, DType, Entry, Graph, Literal, Port, Program, TensorType, Value
from netwright.compiler.ir.text import TextError, parse_program, print_graph, print_program
from netwright.compiler.ir.verify import verify, verify_graph
from netwright.compiler.ops import OPS
from netwright.compiler.ops.source import Constant
from netwright.compiler.ops.tensor import Tensor, apply

WHOLE = """program "every \\"construct\\"\\n"

parameter "w": float32[4, 3] init "xavier" @"m.yaml":3:5 "fc"
parameter "b": float32[4] init {"kaiming_uniform": 3}
parameter "mean": float32[4] init {"constant": 1.5} frozen
parameter "u": bfloat16[4] init {"xavier": {"fan_in": 3, "fan_out": 4}}
state "cache" [N: 1..8]: float32[N, 4] = 0.0 @"m.yaml":9:1
state "at": int64[] = 3 range 0..8
state "done": bool[] = false

prepare {
  param %0 "w": float32[4, 3]
  %1 = transpose(%0) {axes: [1, 0]} : float32[3, 4]
  pack "w.packed" %1
}

function "f" [H, N] {
  input %0: float32[N, 2*H]
  %1 = slice(%0) {start: [0, H], stop: [N, 2*H]} : float32[N, H]
  output %1
}

entry "main" [H: 2..64, N: 1..8, T: 0..2147483647] {
  input %0 "x": float32[N, 3] from {"image": {"resize": 256, "mean": [0.5, -1.0, 1e-05], "crop": null}} @"m.yaml":4:3
  input %1 "ids": int64[N, T] range -1..9 doc "the \\u00e9 \\"ids\\""
  input %2 "y": float32[N, 2*H]
  param %3 "w.packed": float32[3, 4]
  param %4 "b": float32[4]
  state %5 "cache": float32[N, 4]
  guard N + 2*((H)//2) == max(4, H) - 1 @"m.yaml":7:1 "g"
  guard N == H
  %6 = dot(%0, %3) {precision: "tf32", lhs_contract: [1], rhs_contract: [0]} : float32[N, 4] @"m.yaml":5:2 "fc"
  %7 = normalize_batch(%6, shift=%4, %4, %4) {eps: 0.001} : float32[N, 4]
  %8 = constant() {value: float32[3](inf, -inf, -0.0)} : float32[3]
  %9 = constant() {value: int8[0]()} : int8[0]
  %10 = constant() {value: bool[2](true, false)} : bool[2]
  %11 = constant() {value: float32[](0x0100c07f)} : float32[]
  %12 = call(%2) {function: "f", types: [float32[N, H]]} : float32[N, H]
  %13, %14 = scan(%4, %5, %7) {constants: 1, carries: 1, length: N} : float32[N, 4], float32[N, 4] {
    input %15: float32[4]
    input %16: float32[N, 4]
    input %17: float32[4]
    %18 = add(%15, %17) : float32[4]
    output %16
    output %18
  }
  %19 = while(%4) : float32[4] {
    input %20: float32[4]
    %21 = reduce_sum(%20) : float32[]
    %22 = constant() {value: float32[](100.0)} : float32[]
    %23 = compare(%21, %22) {direction: "lt"} : bool[]
    output %23
  } {
    input %24: float32[4]
    %25 = exp(%24) : float32[4]
    output %25
  }
  output "y" %14
  output "z" %12
  output "w" %19
  update "cache" %13
}
"""


def test_every_construct_round_trips() -> None:
    program = parse_program(WHOLE)
    assert print_program(program) == WHOLE
    verify(program)
    entry = program.entries["main"]
    assert entry.inputs[0].source == {"image": {"resize": 256, "mean": [0.5, -1.0, 1e-5], "crop": None}}
    assert entry.inputs[1].range == (-1, 9) and entry.inputs[1].doc == 'the é "ids"'
    assert program.parameters["mean"].trainable is False
    assert program.state["done"].initial is False
    assert entry.graph.nodes[1].op.present == ("shift",)


def test_without_places() -> None:
    text = print_program(parse_program(WHOLE), locs=False)
    assert "@" not in text
    assert print_program(parse_program(text)) == text


def test_comments_and_space_do_not_matter() -> None:
    text = 'program "p" # the end\n# nothing\nentry "main"{input%0"x":float32[2]output"y"%0}'
    program = parse_program(text)
    assert print_program(program) == 'program "p"\n\nentry "main" {\n  input %0 "x": float32[2]\n  output "y" %0\n}\n'


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_op_round_trips(name: str) -> None:
    for sample in OPS[name].samples():
        if sample.regions:
            continue
        build = Builder()
        arrays = [a for item in sample.inputs for a in (item if isinstance(item, (list, tuple)) else [item])]
        values: list[Value] = []
        lined = []
        for operand, item in zip(sample.op.operands, _lined(sample.op, sample.inputs), strict=True):
            tensors = [Value(TensorType(DType.of(a), a.shape)) for a in ([] if item is None else _list(item))]
            values += tensors
            made = [Tensor(build, value) for value in tensors]
            lined.append(made if operand.endswith("*") else made[0] if made else None)
        assert len(values) == sum(a is not None for a in arrays)
        result = apply(build, sample.op, *lined)
        outputs = [t.value for t in (result if isinstance(result, list) else [result])]
        ports = tuple(Port(f"x{at}", value.type) for at, value in enumerate(values))
        names = tuple(f"y{at}" for at in range(len(outputs)))
        program = Program("op", {"main": Entry("main", build.graph(values, outputs), ports, (), (), names)})
        verify(program)
        text = print_program(program)
        again = parse_program(text)
        assert print_program(again) == text
        assert again.entries["main"].graph.nodes[-1].op == build.nodes[-1].op


def _lined(op, inputs):  # type: ignore[no-untyped-def]
    """Operands of a sample, a variadic one as a list, whichever way it is written; those left off are None."""
    inputs = (*inputs, *[None] * (len(op.operands) - len(inputs)))
    if not op.operands or not op.operands[-1].endswith("*"):
        return inputs
    head = len(op.operands) - 1
    rest = inputs[head:]
    if len(rest) == 1 and isinstance(rest[0], (list, tuple)):
        rest = tuple(rest[0])
    return (*inputs[:head], list(rest))


def _list(item):  # type: ignore[no-untyped-def]
    return list(item) if isinstance(item, (list, tuple)) else [item]


@pytest.mark.parametrize("dtype", list(DType))
def test_literals_are_exact(dtype: DType) -> None:
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 256, 64 * dtype.bytes, dtype=np.uint8)
    if dtype is DType.BOOL:
        bits %= 2
    for count in (0, 1, 3, 64):
        literal = Literal(TensorType(dtype, (count,)), bits[: count * dtype.bytes].tobytes())
        build = Builder()
        value = build.emit(Constant(value=literal), ())
        program = Program("p", {"main": Entry("main", build.graph((), value), (), (), (), ("y",))})
        again = parse_program(print_program(program)).entries["main"].graph.nodes[0].op
        assert isinstance(again, Constant) and again.value == literal


def test_numbers_read_well() -> None:
    build = Builder()
    build.emit(Constant(value=Literal.of(np.array([0.1, 1e-5, 3.0]), DType.FLOAT32)), ())
    build.emit(Constant(value=Literal.of(np.array([0.1]), DType.BFLOAT16)), ())
    assert "float32[3](0.1, 1e-05, 3.0)" in print_graph(build.graph((), ()))
    assert "bfloat16[1](0.1)" in print_graph(build.graph((), ()))


def entry(body: str, symbols: str = "") -> str:
    return f'program "p"\nentry "main"{symbols} {{\ninput %0 "x": float32[4]\n{body}\noutput "y" %0\n}}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1: 'program' belongs here, not the end"),
        ('program "p" entry', "1:18: a name in quotes belongs here"),
        ('program "p" layer "x"', "1:13: layer is no section; they are parameter"),
        ('program "p\n"', "1:9: unexpected"),
        (entry("%1 = tahn(%0) : float32[4]"), "4:6: no op is called tahn; did you mean tanh?"),
        (entry("%1 = tanh(%0) {axis: 1} : float32[4]"), "4:16: tanh has no attribute axis; it has none"),
        (entry("%1 = softmax(%0) {axes: 1} : float32[4]"), "softmax has no attribute axes; it has axis"),
        (entry("%1 = softmax(%0) {axis: 1, axis: 1} : float32[4]"), "axis stands here twice"),
        (entry('%1 = softmax(%0) {axis: "a"} : float32[4]'), "4:6: softmax, axis: Input should be a valid integer"),
        (entry("%1 = dot(%0, %0) {lhs_contract: [0]} : float32[]"), "rhs_contract: Field required"),
        (entry("%1 = tanh(%2) : float32[4]"), "4:11: %2: nothing before defines it"),
        (entry("%0 = tanh(%0) : float32[4]"), "4:1: %0 is defined twice"),
        (entry("%1 = tanh() : float32[4]"), "tanh needs x"),
        (entry("%1 = tanh(%0, %0) : float32[4]"), "4:11: tanh takes x"),
        (entry("%1 = tanh(x=%0) : float32[4]"), "tanh needs x"),
        (entry("%1 = tanh(%0) : float33[4]"), "4:17: float33 is no dtype"),
        (entry("%1 = tanh(%0) : float32[M]"), "4:25: not a dimension: 'M'"),
        (entry("%1 = tanh(%0) : float32[]]"), "a node, an input or an output belongs here, not ']'"),
        (entry("%1, %2 = tanh(%0) : float32[4]"), "tanh has 2 results and 1 types"),
        (entry("%1 = constant() {value: float32[2](1.0)} : float32[2]"), "float32[2] needs 2 numbers of its dtype"),
        (entry("%1 = constant() {value: uint8[1](256)} : uint8[1]"), "uint8[1] needs 1 numbers of its dtype"),
        (entry("%1 = constant() {value: int8[1](1.5)} : int8[1]"), "int8[1] needs 1 numbers of its dtype"),
        (entry("%1 = constant() {value: int32[1](0x0102)} : int32[1]"), "int32[1] needs 4 bytes, not 2"),
        (entry("%1 = constant() {value: int32[N](1)} : int32[1]", " [N]"), "the literal has an unknown size"),
        (entry("guard 4"), "'==' belongs here"),
        (entry("", " [N, N]"), "the symbol N stands here twice"),
        (entry("", " [N: 1]"), "'..' belongs here"),
        (entry("", f" [N: 1..{'9' * 30}]"), "no whole number of at most 20 digits"),
        (entry('output "z" %0\ninput %1 "y": float32[2]'), "output or update belongs here"),
        ('program "p"\nstate "s": int64[] = "a"', "the initial value of a state is a number"),
        ('program "p"\nparameter "w": int64[] init "one"', "2:29: 'one' is no initializer; did you mean ones?"),
        ('program "p"\nparameter "w": int64[] init {"normal": "x"}', "initializer normal, std"),
        (
            'program "p"\nparameter "w": int64[] init "ones"\nparameter "w": int64[] init "ones"',
            "3:11: the parameter 'w' stands here twice",
        ),
        (
            'program "p"\nentry "e" {\nparam %0 "w": int64[]\ninput %1 "x": int64[]\noutput "y" %1\n}',
            "in the order input",
        ),
        (entry("%1 = tanh(%0) : float32[4] @m:1:2"), "a file in quotes belongs here"),
        (entry('%1 = tanh(%0) {x: "\\q"} : float32[4]'), "tanh has no attribute x"),
    ],
)
def test_mistakes_are_placed(text: str, message: str) -> None:
    with pytest.raises(TextError) as caught:
        parse_program(text)
    assert message in str(caught.value)


def test_a_region_sees_its_own_values_only() -> None:
    inside = "%2 = add(%1, %0) : float32[4]\noutput %2"
    text = entry(f"%3 = while(%0) : float32[4] {{\ninput %1: float32[4]\n{inside}\n}}")
    with pytest.raises(TextError, match="%0: another graph defines it"):
        parse_program(text)


@pytest.mark.parametrize("bomb", ["[" * 100_000, "{" * 100_000, '{"a": ' * 100_000, "(" * 100_000])
def test_deep_nesting_is_refused(bomb: str) -> None:
    with pytest.raises(TextError):
        parse_program(entry(f"%1 = softmax(%0) {{axis: {bomb}"))


def test_deep_regions_are_refused() -> None:
    text = "".join(f"%{at} = while(%{at - 1}) : float32[4] {{ input %{at}: float32[4] " for at in range(1, 1000))
    with pytest.raises(TextError):
        parse_program(entry(text))


def test_a_graph_alone() -> None:
    value = Value(TensorType(DType.FLOAT32, (2,)))
    assert print_graph(Graph((value,), (), (value,))) == "{\n  input %0: float32[2]\n  output %0\n}"
    verify_graph(Graph((value,), (), (value,)))
