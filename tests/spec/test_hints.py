"""What is advised to a person who comes with the words of another framework, or of another YAML."""

from __future__ import annotations

import pytest

from netwright.spec.diagnostics import suggest
from netwright.spec.elaborate.fields import field_names
from netwright.spec.elaborate.foreign import CELLS, FIELDS, OPS, folded
from netwright.spec.elaborate.vocabulary import find_op, op_names

from .elaborating import mistakes, spec

BODY = "inputs: {{x: 'float[N, 3, 8, 8]'}}\ngraph:\n  - {}\noutputs: {{}}\n"


def hint_of(node: str) -> str:
    """The hint of the first mistake of a graph of this node."""
    return str(mistakes(spec(BODY.format(node)))[0].hint)


@pytest.mark.parametrize(
    ("node", "ours"),
    [
        ("ReLU", "relu"),
        ("GELU", "gelu"),
        ("nn.ReLU", "relu"),
        ("torch.nn.Linear", "linear"),
        ("Conv2D", "conv2d"),
        ("MaxPool2d", "max_pool2d"),
        ("BatchNorm2d", "batch_norm"),
        ("LeakyReLU", "leaky_relu"),
        ("dense", "linear"),
        ("view", "reshape"),
        ("nn.MultiheadAttention", "attention"),
    ],
)
def test_ops_of_other_frameworks(node: str, ours: str) -> None:
    assert hint_of(node) == f"did you mean `{ours}`?"


@pytest.mark.parametrize("node", ["{op: lstm}", "{op: nn.GRU}", "{op: LSTMCell}"])
def test_recurrent_layers_are_blocks(node: str) -> None:
    assert "blocks" in hint_of(node)


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ("out_channels: 8", "did you mean `filters`?"),
        ("kernel_size: 3", "did you mean `kernel`?"),
        ("strides: 3", "did you mean `stride`?"),
        ("in_channels: 3", "leave it out: it is inferred from the operand"),
        ("colour: 3", "its fields: filters, kernel, stride, padding, dilation, groups, bias"),
    ],
)
def test_fields_of_other_frameworks(fields: str, hint: str) -> None:
    assert hint_of(f"{{op: conv2d, name: c, filters: 8, kernel: 3, {fields}}}") == hint


def test_a_field_that_the_op_has_not_is_not_advised() -> None:
    assert hint_of("{op: relu, out_channels: 3}") == "its fields: none"


def test_every_advice_exists() -> None:
    fields = {field for name in op_names() for field in field_names(find_op(name))}  # type: ignore[arg-type]
    assert set(OPS.values()) <= op_names()
    for ours in FIELDS.values():
        assert set((ours,) if isinstance(ours, str) else ours or ()) <= fields


def test_what_we_have_ourselves_is_no_foreign_word() -> None:
    ours = {folded(name) for name in op_names()}
    assert not ours & {*OPS, *CELLS}
    assert all(folded(word) == word for word in (*OPS, *CELLS))


@pytest.mark.parametrize(
    ("node", "hint"),
    [
        ("conv2d: {filters: 8, kernel: 3}", "an op is written {op: conv2d, ...}"),
        ("{op: conv2d, name: c, filters: 8, kernel: 3, bias: yes}", "write `true`"),
        ("{op: conv2d, name: c, filters: 8, kernel: 3, bias: off}", "write `false`"),
        ("{op:relu, name: c}", "a blank belongs behind the colon of a key"),
        ("{value: 'np.exp(x)'}", "write exp(...)"),
        ("{value: x.mean()}", "write mean(...)"),
        ("{value: '2(x)'}", "a product needs `*`"),
        ("{block: res}", "blocks: none"),
    ],
)
def test_habits(node: str, hint: str) -> None:
    assert hint_of(node) == hint


@pytest.mark.parametrize(
    ("type", "hint"),
    [
        ("float[n, 3]", "a size that is found at run time starts with a capital: `N`"),
        ("float32(N, 3)", "dims stand in `[ ]`: `float32[N, 3]`"),
        ("float32", "a scalar is `float32[]`"),
    ],
)
def test_types(type: str, hint: str) -> None:
    (found,) = mistakes(spec(f"inputs: {{x: '{type}'}}\ngraph:\n  - {{op: relu, name: y}}\noutputs: {{y: y}}\n"))
    assert found.hint == hint


def test_a_model_without_a_graph_is_no_library() -> None:
    found = mistakes(spec("inputs: {x: 'float[N, 3]'}\nlayers: [relu]\noutputs: {y: y}\n"))
    assert [one.message for one in found] == ["a model needs `graph`", "the document has no key `layers`"]


def test_case_counts_only_if_it_must() -> None:
    assert suggest("RELU", ["relu", "selu"]) == "did you mean `relu`?"
    assert suggest("Xs", ["xs", "XS", "Xss"]) == "did you mean `Xss`?"
    assert suggest("qqqq", ["relu"]) is None
