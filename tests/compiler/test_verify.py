"""The verifier refuses what passes must not make, and shows where."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netwright.compiler.ir import DType, Graph, Literal, Node, Program, TensorType, Value
from netwright.compiler.ir.verify import VerifyError, verify, verify_graph
from netwright.compiler.ops.elementwise import Add, Exp, Neg, Tanh
from netwright.compiler.ops.reduce import ReduceSum
from netwright.compiler.ops.source import Constant

from .running import program

FLOATS = TensorType(DType.FLOAT32, (4,))

SOUND = """
parameter "w": float32[4] init "ones"
state "s": float32[4] = 0
prepare {
  param %0 "w": float32[4]
  %1 = neg(%0) : float32[4]
  pack "w.packed" %1
}
function "f" {
  input %0: float32[4]
  %1 = tanh(%0) : float32[4]
  output %1
}
entry "main" [N] {
  input %0 "x": float32[4]
  input %1 "n": float32[N]
  param %2 "w.packed": float32[4]
  state %3 "s": float32[4]
  %4 = call(%0) {function: "f", types: [float32[4]]} : float32[4]
  %5 = add(%4, %2) : float32[4]
  output "y" %5
  output "n" %1
  update "s" %5
}
"""


def test_sound() -> None:
    verify(program(SOUND))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("%5 = add(%4, %2) : float32[4]", "%5 = add(%4, %1) : float32[4]", "may be"),
        ("tanh(%0) : float32[4]\n", "tanh(%0) : float32[5]\n", "function 'f', tanh: gives float32[4], not float32[5]"),
        ("tanh(%0) : float32[4]\n", "not(%0) : float32[4]\n", "takes bool"),
        ('{function: "f",', '{function: "g",', "no function 'g' stands before"),
        ("types: [float32[4]]} : float32[4]", "types: [float32[3]]} : float32[3]", "'f' gives float32[4]"),
        ('param %2 "w.packed"', 'param %2 "v"', "entry 'main': there is no parameter 'v'"),
        ('param %2 "w.packed": float32[4]', 'param %2 "w.packed": float32[3]', "is float32[4], the graph has"),
        ('pack "w.packed"', 'pack "w"', "prepare: 'w' is packed and public"),
        ('param %0 "w": float32[4]', 'param %0 "v": float32[4]', "prepare: there is no parameter 'v'"),
        ('state %3 "s"', 'state %3 "t"', "there is no state 't'"),
        ('update "s" %5', 'update "s" %1', "may be"),
        ('output "n" %1', 'output "y" %1', "the output 'y' stands there twice"),
        ('input %1 "n"', 'input %1 "x"', "the input 'x' stands there twice"),
        ('parameter "w": float32[4]', 'parameter "w": float32[2]', "prepare: parameter 'w' is float32[2]"),
    ],
)
def test_unsound(old: str, new: str, message: str) -> None:
    assert old in SOUND
    changed = program(SOUND.replace(old, new))
    if message == "may be":
        # N may be 4: that is a guard's business, not the verifier's.
        verify(changed)
        return
    with pytest.raises(VerifyError) as caught:
        verify(changed)
    assert message in str(caught.value)


def with_graph(changed: Graph) -> Program:
    sound = program('entry "main" {\ninput %0 "x": float32[4]\noutput "y" %0\n}')
    entry = sound.entries["main"]
    return replace(sound, entries={"main": replace(entry, graph=changed)})


def test_the_message_names_the_pass_and_shows_the_neighbours() -> None:
    x, a, b, c, d = (Value(FLOATS) for _ in range(5))
    nodes = (Node(Exp(), (x,), (a,)), Node(Neg(), (a,), (b,)), Node(Add(), (b, d), (c,)), Node(Tanh(), (c,), (d,)))
    with pytest.raises(VerifyError) as caught:
        verify(with_graph(Graph((x,), nodes, (d,))), "cse")
    assert str(caught.value) == (
        "after cse: entry 'main', add: operand 1 is defined after it, or nowhere\n"
        "    input %0: float32[4]\n"
        "    %1 = exp(%0) : float32[4]\n"
        "    %2 = neg(%1) : float32[4]\n"
        ">   %3 = add(%2, %undefined) : float32[4]\n"
        "    %4 = tanh(%3) : float32[4]\n"
        "    output %4\n"
        "  }"
    )


def test_definitions_are_unique() -> None:
    x, a = Value(FLOATS), Value(FLOATS)
    twice = Graph((x,), (Node(Exp(), (x,), (a,)), Node(Neg(), (x,), (a,))), (a,))
    with pytest.raises(VerifyError, match="neg: a result is defined twice"):
        verify_graph(twice)
    with pytest.raises(VerifyError, match="an input of a graph is defined elsewhere"):
        verify_graph(Graph((x, x), (), (x,)))


def test_outputs_are_defined() -> None:
    with pytest.raises(VerifyError, match="an output is not defined"):
        verify_graph(Graph((), (), (Value(FLOATS),)))


def test_attributes_are_in_normal_form() -> None:
    x, total = Value(FLOATS), Value(TensorType(DType.FLOAT32, ()))
    with pytest.raises(VerifyError, match="not in normal form"):
        verify_graph(Graph((x,), (Node(ReduceSum(), (x,), (total,)),), (total,)))


def test_operands_are_complete() -> None:
    x, y = Value(FLOATS), Value(FLOATS)
    with pytest.raises(VerifyError, match="has 1 operands, takes x, y"):
        verify_graph(Graph((x,), (Node(Add(), (x,), (y,)),), (y,)))


def test_literals_have_their_bytes() -> None:
    value = Value(FLOATS)
    with pytest.raises(VerifyError, match="3 bytes for float32"):
        verify_graph(Graph((), (Node(Constant(value=Literal(FLOATS, b"abc")), (), (value,)),), (value,)))


def test_regions_are_isolated() -> None:
    body = "input %1: float32[4]\n%2 = exp(%1) : float32[4]\noutput %2"
    text = f"""entry "main" {{
      input %0 "x": float32[4]
      %5 = while(%0) : float32[4] {{
        input %3: float32[4]
        %4 = constant() {{value: bool[](false)}} : bool[]
        output %4
      }} {{ {body} }}
      output "y" %5
    }}"""
    sound = program(text)
    verify(sound)
    (loop,) = sound.entries["main"].graph.nodes
    region = loop.regions[1]
    outside = sound.entries["main"].graph.inputs[0]
    broken = Graph(region.inputs, (replace(region.nodes[0], inputs=(outside,)),), region.outputs)
    graph = Graph((outside,), (replace(loop, regions=(loop.regions[0], broken)),), loop.outputs)
    with pytest.raises(VerifyError, match=r"operand 0 is defined in another graph(.|\n)*> +%5 = exp\(%0\)"):
        verify(with_graph(graph))


def test_symbols_are_declared() -> None:
    text = SOUND.replace("[N]", "[N: 1..4]", 1)
    sound = program(text)
    entry = sound.entries["main"]
    with pytest.raises(VerifyError, match="the symbol N is not declared"):
        verify(replace(sound, entries={"main": replace(entry, symbols=())}))
    wider = replace(entry.symbols[0], high=9)
    with pytest.raises(VerifyError, match="the symbol N has two ranges"):
        verify(replace(sound, entries={"main": replace(entry, symbols=(wider,))}))


def test_a_function_calls_earlier_ones_only() -> None:
    call = '%1 = call(%0) {function: "f", types: [float32[4]]} : float32[4]'
    text = SOUND.replace("%1 = tanh(%0) : float32[4]", call)
    with pytest.raises(VerifyError, match="function 'f', call: no function 'f' stands before"):
        verify(program(text))


def test_a_program_has_an_entry() -> None:
    with pytest.raises(VerifyError, match="no entry"):
        verify(Program("p", {}))
