"""Evaluation by meanings: regions, functions, float64, sizes, packed weights."""

from __future__ import annotations

import gc
import weakref
from itertools import pairwise

import jax
import numpy as np
import pytest

from netwright.compiler.evaluate import EvaluationError, evaluate, prepare_weights
from netwright.compiler.ir import DType, Graph, Literal, Node, TensorType, Value
from netwright.compiler.ops.elementwise import Add, Exp
from netwright.compiler.ops.source import Constant

from .running import program


def graph_of(text: str) -> Graph:
    return program(f'entry "main" [N, T: 0..99] {{\n{text}\n}}').entries["main"].graph


LOOP = """
  input %0 "x": float32[T, 3]
  input %1 "c": float32[3]
  %2, %3 = scan(%1, %0) {carries: 1, length: T} : float32[3], float32[T, 3] {
    input %4: float32[3]
    input %5: float32[3]
    %6 = add(%4, %5) : float32[3]
    %7 = tanh(%6) : float32[3]
    output %7
    output %6
  }
  output "last" %2
  output "all" %3
"""


def test_a_scan_equals_jax() -> None:
    x, c = np.random.default_rng(0).standard_normal((2, 7, 3)).astype(np.float32)[:, :, :], np.ones(3, np.float32)
    last, every = evaluate(graph_of(LOOP), [x[0], c], {"T": 7})

    def step(carry: jax.Array, row: jax.Array) -> tuple[jax.Array, jax.Array]:
        total = carry + row
        return jax.numpy.tanh(total), total

    wanted_last, wanted_every = jax.lax.scan(step, c, x[0])
    np.testing.assert_allclose(last, wanted_last, rtol=1e-5)
    np.testing.assert_allclose(every, wanted_every, rtol=1e-5)


def test_a_scan_of_no_steps_gives_empty_rows() -> None:
    last, every = evaluate(graph_of(LOOP), [np.zeros((0, 3), np.float32), np.full(3, 2, np.float32)], {"T": 0})
    assert last.tolist() == [2, 2, 2]
    assert every.shape == (0, 3) and every.dtype == np.float32


def test_wide_computes_in_float64() -> None:
    graph = graph_of(
        """
        input %0 "x": float32[N]
        %1 = constant() {value: float32[](0.1)} : float32[]
        %2 = broadcast(%1) {shape: [N], axes: []} : float32[N]
        %3 = mul(%0, %2) : float32[N]
        %4 = cast(%3) {dtype: float16} : float16[N]
        %5 = exp(%4) : float16[N]
        output "y" %5
        """
    )
    x = np.array([0.3, 1.7], np.float32)
    (narrow,) = evaluate(graph, [x], {"N": 2})
    (wide,) = evaluate(graph, [x], {"N": 2}, wide=True)
    assert narrow.dtype == np.float16 and wide.dtype == np.float64
    np.testing.assert_allclose(wide, np.exp(x.astype(np.float64) * np.float64(np.float32(0.1))), rtol=1e-15)
    (again,) = evaluate(graph, [x.astype(np.float64)], {"N": 2}, wide=True)
    assert again.tolist() == wide.tolist()


def test_wide_keeps_the_bits_of_bitcasts() -> None:
    graph = graph_of(
        """
        input %0 "bits": uint32[N]
        input %1 "x": float32[N]
        %2 = bitcast(%0) {dtype: float32} : float32[N]
        %3 = bitcast(%1) {dtype: int32} : int32[N]
        output "float" %2
        output "int" %3
        """
    )
    bits, x = np.array([0x3F800000, 0x40490FDB], np.uint32), np.array([1.5, -0.0], np.float32)
    number, whole = evaluate(graph, [bits, x], {"N": 2}, wide=True)
    assert number.dtype == np.float64 and number.tolist() == bits.view(np.float32).astype(np.float64).tolist()
    assert whole.tolist() == x.view(np.int32).tolist()


def test_functions_regions_and_composites() -> None:
    text = """
    function "gate" [N] {
      input %0: float32[N, 4]
      %1 = softmax(%0) : float32[N, 4]
      output %1
    }
    entry "main" [N] {
      input %0 "x": float32[N, 4]
      input %1 "b": bool[]
      %2 = cond(%1, %0) : float32[N, 4] {
        input %3: float32[N, 4]
        %4 = call(%3) {function: "gate", types: [float32[N, 4]]} : float32[N, 4]
        output %4
      } {
        input %5: float32[N, 4]
        output %5
      }
      output "y" %2
    }
    """
    parsed = program(text)
    graph = parsed.entries["main"].graph
    x = np.random.default_rng(0).standard_normal((2, 4)).astype(np.float32)
    (soft,) = evaluate(graph, [x, np.array(True)], {"N": 2}, parsed.functions)
    np.testing.assert_allclose(soft, jax.nn.softmax(x), rtol=1e-5)
    (same,) = evaluate(graph, [x, np.array(False)], {"N": 2}, parsed.functions)
    assert same.tolist() == x.tolist()
    with pytest.raises(EvaluationError, match="no function is called 'gate'"):
        evaluate(graph, [x, np.array(True)], {"N": 2})


def test_dead_values_are_freed() -> None:
    alive: list[weakref.ref[np.ndarray]] = []

    class Watched(Exp):
        name = "watched"

        def meaning(self, *arrays: np.ndarray) -> np.ndarray:
            gc.collect()
            assert sum(ref() is not None for ref in alive) <= 1
            result = np.exp(arrays[0])
            alive.append(weakref.ref(result))
            return result

    type = TensorType(DType.FLOAT32, (8,))
    values = [Value(type) for _ in range(6)]
    nodes = tuple(Node(Watched(), (a,), (b,)) for a, b in pairwise(values))
    evaluate(Graph((values[0],), nodes, (values[-1],)), [np.zeros(8, np.float32)])
    assert len(alive) == 5


@pytest.mark.parametrize(
    ("inputs", "sizes", "message"),
    [
        ([np.zeros((7, 3), np.float32)], {"T": 7}, "takes 2 inputs, 1 are given"),
        ([np.zeros((7, 3)), np.zeros(3, np.float32)], {"T": 7}, r"input 0 is float64\[7, 3\], the graph takes float32"),
        ([np.zeros((7, 3), np.float32), np.zeros(4, np.float32)], {"T": 7}, r"input 1 is float32\[4\]"),
        ([np.zeros((7, 3), np.float32), np.zeros(3, np.float32)], {}, r"a size of float32\[T, 3\] is not given"),
    ],
)
def test_inputs_that_do_not_fit(inputs: list[np.ndarray], sizes: dict[str, int], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        evaluate(graph_of(LOOP), inputs, sizes)


def test_a_meaning_that_breaks_its_declaration_is_named() -> None:
    class Wrong(Add):
        name = "wrong"

        def meaning(self, *arrays: np.ndarray) -> np.ndarray:
            return arrays[0].astype(np.float64)

    class Failing(Add):
        name = "failing"

        def meaning(self, *arrays: np.ndarray) -> np.ndarray:
            raise ZeroDivisionError("oh")

    type = TensorType(DType.FLOAT32, (2,))
    x, y = Value(type), Value(type)
    array = np.zeros(2, np.float32)
    with pytest.raises(EvaluationError, match=r"wrong gives float64\[2\] where float32\[2\] is declared"):
        evaluate(Graph((x,), (Node(Wrong(), (x, x), (y,)),), (y,)), [array])
    with pytest.raises(EvaluationError, match=r"failing\(float32\[2\], float32\[2\]\): oh"):
        evaluate(Graph((x,), (Node(Failing(), (x, x), (y,)),), (y,)), [array])


def test_packed_weights_are_computed_alone() -> None:
    text = """
    parameter "a": float32[2] init "ones"
    parameter "b": float32[2] init "ones"
    prepare {
      param %0 "a": float32[2]
      param %1 "b": float32[2]
      %2 = exp(%0) : float32[2]
      %3 = add(%2, %0) : float32[2]
      %4 = neg(%1) : float32[2]
      pack "a.packed" %3
      pack "b.packed" %4
    }
    entry "main" {
      param %0 "a.packed": float32[2]
      param %1 "a": float32[2]
      output "y" %0
      output "z" %1
    }
    """
    asked: list[str] = []

    class Asked(dict[str, np.ndarray]):
        def __getitem__(self, name: str) -> np.ndarray:
            asked.append(name)
            return super().__getitem__(name)

    values = Asked(a=np.array([0, 1], np.float32))
    weights = prepare_weights(program(text), values)
    assert list(weights) == ["a.packed", "a"] and len(weights) == 2
    assert asked == []
    np.testing.assert_allclose(weights["a.packed"], np.exp([0.0, 1.0]) + np.array([0, 1]), rtol=1e-6)
    assert asked == ["a"]
    assert weights["a"].tolist() == [0, 1]
    with pytest.raises(KeyError):
        weights["nothing"]


def test_one_number_of_every_dtype() -> None:
    for dtype in DType:
        value = Value(TensorType(dtype, ()))
        node = Node(Constant(value=Literal.of(1, dtype)), (), (value,))
        (result,) = evaluate(Graph((), (node,), (value,)), [])
        assert result.dtype == dtype.numpy and float(result) == 1
