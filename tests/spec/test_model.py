"""The document model: what each construct takes and refuses, with places."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.spec.diagnostics import LimitError, SpecError
from netwright.spec.model import (
    AnyType,
    BlockNode,
    BlockPart,
    Document,
    Formula,
    ModelPart,
    OperandList,
    OperandRecord,
    OpNode,
    PartNode,
    RecordType,
    TensorType,
    ValueNode,
)
from netwright.spec.model.errors import validate
from netwright.spec.model.training import Adam, Cosine
from netwright.spec.model.weights import FlatFile
from netwright.spec.reader import read_tree

HEAD = "netwright: 1\nname: t\n"
MODEL = "netwright: 1\nname: t\ninputs: {x: any}\ngraph:\n  - {op: relu, name: y}\noutputs: {y: y}\n"


def load(text: str) -> Document:
    return validate(read_tree(text, "t.yaml"))


def mistakes(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(text)
    return [f"{one.span.start_line}:{one.span.start_column} {one.message}" for one in caught.value.diagnostics]


def hints(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        load(text)
    return " / ".join(str(one.hint) for one in caught.value.diagnostics)


def node(text: str) -> OpNode | ValueNode | BlockNode | PartNode:
    graph = load(f"{HEAD}graph:\n  - {text}\noutputs: {{y: y}}\n").graph
    assert graph is not None
    return graph[0]


def refused_node(text: str) -> str:
    (found,) = mistakes(f"{HEAD}graph:\n  - {text}\noutputs: {{y: y}}\n")
    assert found.startswith("4:")
    return found[2:]


def test_smallest_model_and_library() -> None:
    document = load(MODEL)
    assert document.name == "t"
    assert not document.is_library
    assert document.key_span("graph").start_line == 4
    assert document.has("inputs")
    assert not document.has("state")
    library = load("netwright: 1\nblocks: {b: {graph: [relu]}}\n")
    assert library.is_library


def test_op_node() -> None:
    made = node("{op: conv2d, name: c, in: x, filters: 2 * width, kernel: [3, 1], bias: false, padding: same}")
    assert isinstance(made, OpNode)
    assert made.kind == "op"
    assert made.op.literal == "conv2d"
    assert made.names == ("c",)
    assert made.names[0].span.start_column == 24
    assert isinstance(made.in_, Formula)
    assert not made.bare
    assert list(made.fields) == ["filters", "kernel", "bias", "padding"]
    assert made.fields["bias"].value is False
    assert made.fields["filters"].evaluate({"width": 8}.__getitem__) == 16
    assert made.fields["kernel"].evaluate({}.__getitem__) == [3, 1]
    assert made.fields["padding"].value == "same"
    assert made.fields["padding"].text_template().literal == "same"
    assert made.fields.key_span("kernel").start_column == 54


def test_bare_node() -> None:
    made = node("relu")
    assert isinstance(made, OpNode)
    assert made.bare
    assert made.op.literal == "relu"
    made = node("$act")
    assert isinstance(made, OpNode)
    assert made.op.literal is None
    assert [piece.text for piece in made.op.formulas] == ["act"]


def test_block_and_part_nodes() -> None:
    made = node("{block: $(kind)_step, path: h.$i, repeat: depth, carry: {x: y}, in: {a: 'b[i]'}, width: 3}")
    assert isinstance(made, BlockNode)
    assert made.path is not None
    assert made.path.prefix is not None
    assert made.path.prefix.text == "h.$i"
    assert made.carry is not None
    assert isinstance(made.in_, OperandRecord)
    assert made.fields["width"].value == 3
    made = node("{part: gpt, name: [a, b], in: [x, {k: 0, v: null}], scan: {over: {x: x}, axis: 1}, entry: decode}")
    assert isinstance(made, PartNode)
    assert made.names == ("a", "b")
    assert made.entry == "decode"
    assert isinstance(made.in_, OperandList)
    assert made.scan is not None
    assert made.scan.axis is not None
    made = node("{op: linear, path: {weight: a.w, bias: a.b}, features: 1}")
    assert isinstance(made, OpNode)
    assert made.path is not None
    assert made.path.each is not None
    assert made.path.each["bias"].literal == "a.b"
    made = node("{op: linear, path: 0}")
    assert isinstance(made, OpNode)
    assert made.path is not None
    assert made.path.prefix is not None
    assert made.path.prefix.literal == "0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{op: relu, value: x}", "16 a node has one kind, here are `op` and `value`"),
        ("{name: x}", "5 a node has one of the keys op, value, block, part"),
        ("{opp: relu}", "6 a node has no kind; `opp` is none"),
        ("[relu]", "5 a node is a mapping or the name of an op, here is a list"),
        ("3", "5 a node belongs here, not a number"),
        ("{value: x, in: y}", "16 a value node has no key `in`"),
        ("{value: x, width: 3}", "16 a value node has no key `width`"),
        ("{op: relu, carry: {x: y}}", "16 an op node has no key `carry`"),
        ("{op: relu, scan: {steps: 3}}", "16 an op node has no key `scan`"),
        ("{block: b, compute: float32}", "16 a block node has no key `compute`"),
        ("{part: p, path: a}", "15 a part node has no key `path`"),
        ("{part: p, width: 3}", "15 a part node has no key `width`"),
        ("{op: relu, else: x}", "16 `else` stands without `when`"),
        ("{block: b, repeat: 2, scan: {steps: 2}}", "27 `repeat` and `scan` stand on one node"),
        ("{block: b, scan: {axis: 1}}", "22 `scan` needs `over` or `steps`"),
        ("{block: b, scan: {step: 1, steps: 2}}", "23 `scan` has no key `step`"),
        ("{op: relu, name: Y}", "22 `Y` is not a name: small letters, digits and `_`, starting with a letter"),
        ("{op: relu, name: i}", "22 `i` is a word of the language and cannot be a name"),
        ("{op: relu, name: training}", "22 `training` is a word of the language and cannot be a name"),
        ("{op: relu, name: [a, a]}", "26 the name `a` stands twice in the list"),
        ("{op: relu, name: []}", "22 the list of names is empty"),
        ("{op: relu, name: 3}", "22 a name belongs here, not a number"),
        ("{op: relu, repeat: null}", "24 a number or a static formula belongs here, not null"),
        ("{op: relu, repeat: [1]}", "24 a formula belongs here, not a list"),
        ("{op: relu, size: null}", "22 a value belongs here, not null"),
        ("{op: relu, size: {A: 1}}", "23 `A` is not a name: small letters, digits and `_`, starting with a letter"),
        ("{op: relu, Size: 1}", "16 `Size` is not a name: small letters, digits and `_`, starting with a letter"),
        ("{op: relu, path: 1.5}", "22 text belongs here, not a number"),
        ("{op: relu, path: a.$(i}", "25 `(` is not closed"),
        ("{op: relu, path: a.$(i +)}", "28 the formula ends too early"),
        ("{op: relu, in: a +}", "22 the formula ends too early"),
        ("{op: relu, in: 'x[0'}", "22 `[` is not closed"),
        ("{op: relu, in: {a: b b}}", "26 the formula ends before `b`"),
        ("{value: a < b < c}", "19 the formula ends before `<`"),
        ("{value: [a]}", "13 a formula belongs here, not a list"),
        ("{op: relu, doc: 3}", "21 text belongs here, not a number"),
    ],
)
def test_refused_nodes(text: str, message: str) -> None:
    assert refused_node(text) == message


def test_a_torn_formula_in_a_list() -> None:
    text = MODEL.replace("op: relu", "op: relu, in: [max(a, b)]")
    assert mistakes(text) == ["5:24 `(` is not closed", "5:29 the formula ends before `)`"]
    assert "needs quotes" in hints(text)


def test_hints_of_nodes() -> None:
    assert hints(MODEL.replace("op: relu", "opp: relu")) == "did you mean `op`?"
    assert hints(MODEL.replace("op: relu", "op: relu, carry: {x: y}")) == "`carry` stands on block and part nodes"
    assert hints(MODEL.replace("outputs: {y: y}", "outputs: {y: y}\nstat: {}")) == "did you mean `state`?"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name: t\n", ["1:1 a library has no `name`", "1:1 the key `netwright` is missing here"]),
        ("netwright: 2\n", ["1:12 the document is written in version 2 of the language, this reader reads up to 1"]),
        ("netwright: '1'\n", ["1:12 an integer belongs here, not text"]),
        ("netwright: 1.0\n", ["1:12 an integer belongs here, not a number"]),
        (HEAD, ["2:1 a library has no `name`"]),
        ("netwright: 1\nargs: {a: 1}\n", ["2:1 a library has no `args`"]),
        (HEAD + "graph: [relu]\n", ["3:1 a model needs `outputs`"]),
        (MODEL + "bogus: 1\n", ["7:1 the document has no key `bogus`"]),
        (MODEL + "training: 3\n", ["7:11 `training` is a mapping, here is a number"]),
        (MODEL + "entries: {main: {graph: [relu], outputs: {}}}\n", ["7:11 `main` is no name for an entry: it stands for another graph"]),
        (MODEL + "entries: {go: {graph: [relu]}}\n", ["7:15 the key `outputs` is missing here"]),
        (MODEL.replace("{x: any}", "{x: any, x?: any}"), ["3:18 the input `x` is declared twice"]),
        (MODEL.replace("{x: any}", "{X: any}"), ["3:10 `X` is not a name: small letters, digits and `_`, starting with a letter"]),
        (MODEL + "dims: {t: [1, 2]}\n", ["7:8 `t` is not a dimension symbol: it starts with a capital, then letters, digits and `_`"]),
        (MODEL + "dims: {T: [1]}\n", ["7:11 the list has too few items, the one at 1 is missing"]),
        (MODEL + "dims: {T: [1, 2, 3]}\n", ["7:11 the list has 3 items, at most 2 belong here"]),
        (MODEL + "dims: {T: 3}\n", ["7:11 a list belongs here, not a number"]),
        (MODEL + "args: [1]\n", ["7:7 a mapping belongs here, not a list"]),
        (MODEL + "args: {a: strong}\n", ["7:11 `strong` is not a type of args: int, float, bool, text, list, record, block, op, part"]),
        (MODEL + "args: {a: {default: 3}}\n", ["7:11 the key `type` is missing here"]),
        (MODEL + "args: {a: {type: integer, default: 3}}\n", ["7:18 `integer` is none of int, float, bool, text, list, record, block, op, part"]),
        (MODEL + "args: {a: null}\n", ["7:11 null is not a default"]),
        (MODEL + "params: {w: {path: a}}\n", ["7:13 the key `type` is missing here"]),
        (MODEL + "params: {w: 'float[2]', v: {type: 'float[2]', init: zero}}\n", ["7:53 `zero` is not an initializer"]),
        (MODEL + "init: {'**': {normal: 1, uniform: 2}}\n", ["7:14 an initializer has exactly one key"]),
        (MODEL + "init: {'**': normal}\n", ["7:14 `normal` needs a number"]),
        (MODEL + "init: {'a..b': zeros}\n", ["7:8 `a..b` is not a path: segments joined with single dots"]),
        (MODEL + "parts: {p: {block: b, model: m.yaml}}\n", ["7:23 a part has one kind, here are `block` and `model`"]),
        (MODEL + "parts: {p: {blok: b}}\n", ["7:13 a part has no kind; `blok` is none"]),
        (MODEL + "parts: {p: {op: linear, in: x}}\n", ["7:25 an op part has no key `in`"]),
        (MODEL + "include: {a: 3}\n", ["7:14 a file belongs here, not a number"]),
        (MODEL + "weights: {a: {sequence: []}}\n", ["7:14 the key `each` is missing here", "7:14 the key `header` is missing here"]),
        (MODEL + "weights: {a: 3}\n", ["7:14 a list of rules or a flat file belongs here, not a number"]),
        (MODEL + "weights: {a: [{from: [b, c], to: d}]}\n", ["7:16 `from` is a list, so the rule needs `concat: axis`"]),
        (MODEL + "weights: {a: [{from: b, ignore: true, to: c}]}\n", ["7:39 a rule that ignores has no `to`"]),
        (MODEL + "weights: {a: [{from: b, transpose: 1}]}\n", ["7:36 true or false belongs here, not a number"]),
        (MODEL + "sharding: {mesh: {data: 4}, params: {a: [data, 3]}}\n", ["7:48 a name belongs here, not a number"]),
        (MODEL + "training: {epochs: 3}\n", ["7:11 `training` needs `loss`, `players` or `rule`"]),
        (MODEL + "training: {loss: y, optimizer: {kind: adm}}\n", ["7:39 `adm` is not a kind of optimizer"]),
        (MODEL + "training: {loss: y, optimizer: {momentum: 1}}\n", ["7:32 an optimizer has no `kind`"]),
        (MODEL + "training: {loss: y, optimizer: {kind: adam, momentum: 1}}\n", ["7:45 the optimizer adam has no key `momentum`"]),
        (MODEL + "training: {loss: y}\n", ["7:12 a loss needs an `optimizer`"]),
        (MODEL + "training: {loss: y, optimizer: {kind: sgd}, rate: {kind: cosine}}\n", ["7:51 the key `epochs` is missing here", "7:51 the key `start` is missing here"]),
        (MODEL + "training: {rule: {w: w}, regularize: [{l1: 1, l2: 1}]}\n", ["7:39 a regularizer has exactly one of l1, l2, max_norm"]),
    ],
)  # fmt: skip
def test_refused_documents(text: str, found: list[str]) -> None:
    assert sorted(mistakes(text)) == sorted(found)


def test_all_mistakes_in_one_run() -> None:
    text = (
        "netwright: 1\nnmae: t\nargs: {A: 1}\ngraph:\n  - {op: relu, in: a +}\n  - {block: b, compute: x}\n"
        "  - {value: 'f('}\n  - {}\noutputs: {y: 'x['}\n"
    )
    assert [one.split(" ")[0] for one in mistakes(text)] == ["2:1", "3:8", "5:22", "6:16", "7:15", "8:5", "9:16"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("float", "11 the type `float` has no dims"),
        ("flot[N]", "11 `flot` is not a dtype"),
        ("'float[N, ]'", "21 an item is missing here"),
        ("'float[N'", "17 `[` is not closed"),
        ("'float[N] x'", "21 `x` stands behind the type"),
        ("'float[N, 2 +]'", "23 the formula ends too early"),
        ("'[N]'", "11 a type belongs here: `any` or `dtype[dims]`"),
        ("3", "11 a type belongs here, not a number"),
        ("{type: {K: any}}", "19 `K` is not a name: small letters, digits and `_`, starting with a letter"),
        ("{type: any, range: 3}", "30 a list belongs here, not a number"),
        ("{type: any, from: {image: {fit: longer}}}", "43 `longer` is none of shorter, stretch, letterbox"),
        ("{type: any, from: {text: {}}}", "36 the key `tokenizer` is missing here"),
        ("{type: any, form: {}}", "23 an input has no key `form`"),
    ],
)
def test_refused_inputs(text: str, message: str) -> None:
    assert mistakes(f"{HEAD}inputs:\n  an_inp: {text}\ngraph: [relu]\noutputs: {{y: y}}\n") == [f"4:{message}"]


def test_types() -> None:
    document = load(
        MODEL.replace("{x: any}", "\n  x: float[N, 2 * C, ...]\n  m?: {type: {k: 'bool[]', v: any}, count: 3}")
    )
    assert document.inputs is not None
    assert list(document.inputs) == ["x", "m"]
    assert not document.inputs["x"].optional
    assert document.inputs["m"].optional
    kind = document.inputs["x"].type
    assert isinstance(kind, TensorType)
    assert kind.dtype == "float"
    assert kind.dims[2] is ...
    assert isinstance(kind.dims[1], Formula)
    assert str(kind.dims[1].span) == "t.yaml:4:15"
    assert kind.dims[1].position(4).start_column == 19
    record = document.inputs["m"].type
    assert isinstance(record, RecordType)
    assert isinstance(record.fields["v"], AnyType)
    assert isinstance(record.fields["k"], TensorType)
    assert record.fields["k"].dims == ()


def test_args_and_parts() -> None:
    document = load(
        MODEL + "args: {a: 1, b: 1.0, c: true, d: [1], e: int, f: {type: text, default: x, choices: [x, y]}}\n"
        "parts: {p: {block: b, width: 3, path: .}, m: {model: zoo:m, variant: v, depth: 2, outputs: {a: b.c}}}\n"
    )
    assert document.args is not None
    assert [(arg.type, arg.required) for arg in document.args.values()] == [
        ("int", False),
        ("float", False),
        ("bool", False),
        ("list", False),
        ("int", True),
        ("text", False),
    ]
    assert document.parts is not None
    block, model = document.parts["p"], document.parts["m"]
    assert isinstance(block, BlockPart)
    assert block.fields["width"].value == 3
    assert isinstance(model, ModelPart)
    assert model.model == "zoo:m"
    assert list(model.fields) == ["depth"]


def test_weights_and_training() -> None:
    document = load(
        MODEL + "weights: {a: [], b: {header: 20, sequence: [m.0, 1], each: [weight]}}\n"
        "training: {loss: y, optimizer: {kind: adam}, rate: {kind: cosine, start: 1, epochs: 2}}\n"
    )
    assert document.weights is not None
    flat = document.weights["b"]
    assert isinstance(flat, FlatFile)
    assert flat.sequence == ["m.0", "1"]
    assert document.training is not None
    assert isinstance(document.training.optimizer, Adam)
    assert isinstance(document.training.rate, Cosine)


def test_literals_are_formulas() -> None:
    made = node("{op: clip, in: -0.5, when: true, repeat: 3}")
    assert isinstance(made, OpNode)
    assert isinstance(made.in_, Formula)
    assert made.in_.evaluate({}.__getitem__) == -0.5
    assert made.when is not None
    assert made.when.evaluate({}.__getitem__) is True
    assert made.repeat is not None
    assert made.repeat.evaluate({}.__getitem__) == 3


def test_evaluation_mistakes_have_places() -> None:
    made = node("{op: clip, low: 1 + nothing, repeat: '9 ** 9 ** 9'}")
    assert isinstance(made, OpNode)
    with pytest.raises(SpecError) as caught:
        made.fields["low"].evaluate({}.__getitem__)
    assert str(caught.value.diagnostics[0].span) == "t.yaml:4:25"
    assert made.repeat is not None
    with pytest.raises(LimitError) as limit:
        made.repeat.evaluate({}.__getitem__)
    assert limit.value.limit == "integer"
    assert str(limit.value.diagnostics[0].span) == "t.yaml:4:43"


def test_deep_formula_is_a_limit() -> None:
    with pytest.raises(LimitError) as caught:
        load(MODEL.replace("{y: y}", f"{{y: {'(' * 5000}y{')' * 4000}}}"))
    assert caught.value.limit == "formula-depth"


def test_four_thousand_nodes() -> None:
    lines = [
        f"  - {{op: conv2d, name: c{n}, path: m.{n}, in: x, filters: {n} + 2 * w, kernel: 3}}\n" for n in range(4000)
    ]
    text = f"{HEAD}graph:\n{''.join(lines)}outputs: {{y: c1}}\n"
    assert len(load(text).graph or ()) == 4000


KEYS = [
    "graph",
    "outputs",
    "op",
    "value",
    "block",
    "name",
    "in",
    "args",
    "inputs",
    "parts",
    "scan",
    "training",
    "x",
    "T",
]
VALUES = st.recursive(
    st.sampled_from(["relu", "a +", "'float[N]'", "1", "true", "null", "$x", "$(", "1.5", "any", "[]", "{}", "int"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"
        ),
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from([*Document.keys()]), VALUES, max_size=5))
def test_any_document_is_valid_or_refused(sections: dict[str, str]) -> None:
    text = "".join(f"{key}: {value}\n" for key, value in sections.items())
    try:
        load(text)
    except SpecError as error:
        assert all(one.message for one in error.diagnostics)
        assert all("does not fit here" not in one.message for one in error.diagnostics)
