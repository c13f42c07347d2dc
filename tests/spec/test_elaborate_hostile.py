"""Specs that mean harm: each is one clear error, soon, whatever it asks for."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from netwright.compiler.ir.text import parse_program, print_program
from netwright.spec.diagnostics import LimitError, SpecError
from netwright.spec.elaborate.program import Request, elaborate
from netwright.spec.load import load_document

from .elaborating import lowered, mistakes, program, said, spec, told

SECONDS = 8
"""More than enough for any of these, also on a busy machine."""


def limit(text: str, files: dict[str, str] | None = None) -> str:
    """The limit that a spec reaches; it has no other mistake and does not take long."""
    start = time.perf_counter()
    with pytest.raises(LimitError) as caught:
        lowered(text, files)
    assert time.perf_counter() - start < SECONDS
    assert len(caught.value.diagnostics) == 1, str(caught.value)
    str(caught.value)
    return caught.value.limit


def document(nodes: str = "- {name: y, value: x}", head: str = "", inputs: str = "{x: 'float[N, 4]'}") -> str:
    lines = "".join(f"  {line}\n" for line in nodes.strip("\n").split("\n"))
    return spec(f"{head}inputs: {inputs}\ngraph:\n{lines}outputs: {{y: y}}\n")


# ---- one clear error each


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ("- {op: conv2dd, name: y}", "5:10 there is no op `conv2dd` | did you mean `conv2d`?"),
        (
            "- {op: linear, name: y, feature: 3, features: 3}",
            "5:27 `linear` has no field `feature` | did you mean `features`?",
        ),
        ("- {block: b, name: y, wdth: 1}", "5:13 there is no block `b`"),
        ("- {name: y, value: z}", "5:22 the name `z` is not known here"),
        (
            "- {name: a, value: b}\n- {name: b, value: x}\n- {name: y, value: x}",
            "5:22 the name `b` is not known here | it is",
        ),
        ("- {name: y, value: x}\n- {name: y, value: x}", "6:12 the name `y` is taken: it is defined in line 5 already"),
        ("- {name: y, value: x, name: z}", "5:25 the key `name` stands twice in this mapping, first in line 5"),
        ("- {name: y, value: max(x, 0)}", "5:28 "),
        (
            "- {op: reshape, name: y, shape: [N, 2147483648]}",
            "5:5 reshape: a dimension of float32[N, 2147483648] is 2^31 or more",
        ),
    ],
)
def test_one_mistake_is_one_error(nodes: str, message: str) -> None:
    if "max(x" in nodes:
        (found,) = told(document(nodes))
        assert "quotes" in found
        return
    (found, *_) = told(document(nodes)) if "reshape" not in nodes else [_reshape(nodes)]
    place = message.split(" ")[0]
    assert found.startswith((message, place)), found
    assert message.split(" ", 1)[1] in found


def _reshape(nodes: str) -> str:
    (found,) = told(document(nodes, inputs="{x: 'float[N, 2, 1073741824]'}"))
    return found


def test_shapes_that_do_not_go_together_are_both_named() -> None:
    text = document("- {op: linear, name: l, features: 3}\n- {name: y, value: l + x}")
    (one,) = mistakes(text)
    assert "[N, 3] and [N, 4]" in one.message and one.span.start_line == 6
    rendered = one.render()
    assert "m.yaml:6:22: error: " in rendered and "^" in rendered and "- {name: y, value: l + x}" in rendered


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("{x: 'float[N, 2147483648]'}", "a dim lies from 0 to 2^31 - 1, this is 2147483648"),
        ("{x: 'float[N, 99999999999999999999]'}", "the integer does not fit into 64 bits"),
        ("{x: 'float[1048576, 1048576]'}", "float32[1048576, 1048576] needs 2^40 bytes or more"),
        ("{x: 'float[N, 4, 2 ** 70]'}", "the integer does not fit into 64 bits"),
    ],
)
def test_dimensions_that_overflow(inputs: str, message: str) -> None:
    (found,) = said(document("- {name: y, value: 1}", inputs=inputs))
    assert found.endswith(message)


@pytest.mark.parametrize(
    "node",
    [
        "{op: linear, name: y, features: 1000000000}",
        "{op: full, name: y, shape: [1048576, 1048576], fill: 0}",
        "{op: tile, name: y, in: x, repeats: [1000000, 1000000]}",
        "{op: upsample2d, name: y, in: im, scale: 1000000}",
        "{op: pad_constant, name: y, in: x, low: [0, 2000000000], high: [0, 2000000000]}",
        "{op: repeat_elements, name: y, in: x, axis: 1, repeats: 1000000000}",
        "{op: one_hot, name: y, in: k, classes: 100000000000}",
        "{op: linspace, name: y, start: 0, stop: 1, length: 4000000000}",
        "{op: iota, name: y, length: 4000000000}",
        "{op: split, name: y, in: x, parts: 1000000000, axis: 1}",
        "{op: conv2d, name: y, in: im, filters: 2000000000, kernel: 100000}",
        "{op: embedding, name: y, in: k, rows: 2000000000, features: 2000000000}",
    ],
)
def test_tensors_that_no_machine_holds(node: str) -> None:
    start = time.perf_counter()
    found = said(
        document(f"- {node}", inputs="{x: 'float[1000000, 1000]', im: 'float[N, 3, 9, 9]', k: 'int64[1000000]'}")
    )
    assert len(found) == 1
    assert time.perf_counter() - start < SECONDS


# ---- YAML


def test_an_alias_bomb() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    found = said("netwright: 1\nname: m\n" + bomb)
    assert all("anchor, which is refused" in one or "alias, which is refused" in one for one in found)


def test_nested_brackets() -> None:
    assert limit("netwright: 1\nname: m\nargs: {a: " + "[" * 200_000 + "]" * 200_000 + "}\n") == "depth"


# ---- formulas


@pytest.mark.parametrize(
    ("formula", "name"),
    [
        ("9**9**9", "integer"),
        ("2 ** 63", "integer"),
        ("(" * 100_000 + "1" + ")" * 100_000, "formula-length"),
        ("(" * 4_000 + "1" + ")" * 4_000, "formula-depth"),
        ("-" * 4_000 + "1", "formula-depth"),
        ("1" + "+1" * 4_000, "formula-depth"),
        ("1.0e300 ** 9", "float"),
        ("len(range(10000000))", "list"),
        ("len([range(900000), range(900000)])", "list"),
        ("exp(100000)", "float"),
    ],
)
@pytest.mark.parametrize("place", ["let", "repeat", "value", "dim", "path"])
def test_formula_bombs(formula: str, name: str, place: str) -> None:
    if place == "let":
        text = document(head=f"let: {{a: '{formula}'}}\n")
    elif place == "repeat":
        text = document(f"- {{op: relu, name: y, repeat: '{formula}'}}")
    elif place == "value":
        text = document(f"- {{name: y, value: '{formula}'}}")
    elif place == "dim":
        text = document("- {name: y, value: 1}", inputs=f"{{x: 'float[N, {formula}]'}}")
    else:
        text = document(f"- {{op: linear, name: y, path: 'a.$({formula})', features: 1}}")
    assert limit(text) == name


def test_lists_that_hold_each_other() -> None:
    doubled = "let:\n  a: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]\n"
    doubled += "".join(f"  {b}: [{', '.join([a] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghj", strict=True))
    assert limit(document(head=doubled)) == "list"
    doubled = "let:\n  a: [0]\n" + "".join(f"  {b}: '{a} + {a}'\n" for a, b in zip("abcdefgh", "bcdefghj", strict=True))
    assert program(document(head=doubled))
    nodes = "- {name: n0, value: '[x, x]'}\n"
    nodes += "".join(f"- {{name: n{k}, value: '[n{k - 1}, n{k - 1}]'}}\n" for k in range(1, 64))
    assert limit(document(nodes + "- {name: y, value: x}")) == "list"
    nodes = nodes.replace("'[", "[").replace("]'", "]").replace("value: [", "value: '[").replace("]}", "]'}")
    assert limit(document(nodes + "- {name: y, value: x}")) == "list"


def test_texts_that_insert_each_other() -> None:
    grown = "".join(f"  a{i + 1}: \"'$a{i}$a{i}$a{i}$a{i}'\"\n" for i in range(30))
    assert limit(document(head="let:\n  a0: \"'long'\"\n" + grown)) == "text-length"


def test_the_lists_of_a_document_are_counted_together() -> None:
    many = "let:\n" + "".join(f"  l{k}: range(1000000)\n" for k in range(100))
    assert limit(document(head=many)) == "list"
    head = "let: {w: range(1000000)}\nblocks: {b: {args: {v: list}, inputs: {x: any}, graph: [{value: x}]}}\n"
    assert limit(document("- {block: b, name: y, v: w, repeat: 1000}", head)) == "list"


def test_values_that_double_in_each_call() -> None:
    head = "blocks: {b: {inputs: {x: any}, graph: [{value: '[x, x]'}]}}\n"
    assert limit(document("- {block: b, name: y, repeat: 40}", head)) == "values"
    head = "blocks: {b: {inputs: {x: any}, graph: [{value: x}], outputs: {x: {a: x, b: x}}}}\n"
    assert limit(document("- {block: b, name: z, repeat: 40}\n- {name: y, value: x}", head)) == "values"


# ---- repetition


def test_a_repeat_of_a_billion() -> None:
    head = "blocks: {b: {inputs: {x: any}, graph: [{value: x}]}}\n"
    for node in ("{op: relu, name: y, repeat: 1000000000}", "{block: b, name: y, repeat: 1000000000}"):
        assert limit(document(f"- {node}", head)) == "repeat"
    assert limit(document("- {op: relu, name: y, repeat: 2 ** 62}", head)) == "repeat"


def nested(levels: int, each: str = "{block: b%d, path: .}", times: int = 2) -> str:
    blocks = "  b0: {inputs: {x: any}, graph: [relu]}\n"
    for level in range(1, levels):
        blocks += f"  b{level}: {{inputs: {{x: any}}, graph: [{', '.join([each % (level - 1)] * times)}]}}\n"
    return "blocks:\n" + blocks


def test_blocks_that_multiply() -> None:
    assert limit(document("- {block: b20, name: y}", nested(22))) == "expanded-nodes"
    assert limit(document("- {block: b7, name: y}", nested(8, times=10))) == "expanded-nodes"
    repeated = nested(4, "{block: b%d, repeat: 1000, path: .}", 1)
    assert limit(document("- {block: b3, name: y, repeat: 1000}", repeated)) == "expanded-nodes"
    assert limit(document("- {block: b63, name: y}", nested(64))) == "call-depth"
    assert program(document("- {block: b8, name: y}", nested(9)))


def test_blocks_that_multiply_with_new_args_each_time() -> None:
    blocks = "  b0: {args: {k: int}, inputs: {x: any}, graph: [{value: x + k}]}\n"
    for level in range(1, 20):
        calls = ", ".join(f"{{block: b{level - 1}, k: 2 * k + {at}}}" for at in (0, 1))
        blocks += f"  b{level}: {{args: {{k: int}}, inputs: {{x: any}}, graph: [{calls}]}}\n"
    start = time.perf_counter()
    with pytest.raises(LimitError) as caught:
        lowered(document("- {block: b19, name: y, k: 1}", f"blocks:\n{blocks}"))
    assert caught.value.limit == "functions"
    assert time.perf_counter() - start < 2 * SECONDS


def test_calls_within_calls() -> None:
    assert limit(document("- {block: b39, name: y}", nested(40, times=1))) == "call-depth"
    assert program(document("- {block: b22, name: y}", nested(23, times=1)))
    cell = "{block: b%d, carry: {x: x}, scan: {steps: 2}}"
    text = document("- {block: b20, name: y}", nested(21, cell, 1).replace("[relu]", f"[{{value: {'-' * 49}x}}]"))
    assert program(text)


def test_blocks_that_call_themselves() -> None:
    head = "blocks: {b: {inputs: {x: any}, graph: [{block: c}]}, c: {inputs: {x: any}, graph: [{block: b}]}}\n"
    (one,) = mistakes(document("- {block: b, name: y}", head))
    assert one.message == "the block `b` calls itself: b -> c -> b" and one.limit == "block-recursion"
    assert [label for label, _ in one.chain] == ["c", "b"]
    head = "blocks: {b: {args: {f: block}, inputs: {x: any}, graph: [{block: $f, f: $f}]}}\n"
    assert limit(document("- {block: b, name: y, f: b}", head)) == "block-recursion"
    head = "blocks: {b: {args: {k: int}, inputs: {x: any}, graph: [{block: b, k: k - 1, when: k > 0}]}}\n"
    assert limit(document("- {block: b, name: y, k: 3}", head)) == "block-recursion"
    head = "parts: {p: {block: b}}\nblocks: {b: {inputs: {x: any}, graph: [{part: p}]}}\n"
    assert limit(document("- {part: p, name: y}", head)) == "block-recursion"
    head = "blocks: {b: {inputs: {x: any}, graph: [{block: b, carry: {x: x}, scan: {steps: 2}}]}}\n"
    assert limit(document("- {block: b, name: y}", head)) == "block-recursion"


# ---- files


def test_includes_and_models_stay_inside(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "lib.yaml").write_text("netwright: 1\nblocks: {b: {inputs: {x: any}, graph: [{value: x}]}}\n")
    (tmp_path / "sub.yaml").write_text(document())
    os.symlink(tmp_path / "lib.yaml", inner / "link.yaml")
    os.symlink(tmp_path / "sub.yaml", inner / "model.yaml")
    os.symlink(tmp_path, inner / "up")
    for head in (
        "include: {lib: ../lib.yaml}",
        "include: {lib: link.yaml}",
        "include: {lib: up/lib.yaml}",
        "include: {lib: /etc/passwd}",
        "parts: {s: {model: ../sub.yaml}}",
        "parts: {s: {model: model.yaml}}",
        "parts: {s: {model: up/sub.yaml}}",
    ):
        path = inner / "m.yaml"
        path.write_text(document("- {name: y, value: x}", head + "\n"))
        with pytest.raises(SpecError) as caught:
            elaborate(load_document(path), Request())
        assert "outside the folder" in str(caught.value) or "is absolute" in str(caught.value)


def test_documents_that_refer_to_each_other() -> None:
    lib = "netwright: 1\ninclude: {other: b.yaml}\nblocks: {x: {graph: [{value: 1}]}}\n"
    found = said(document(head="include: {a: a.yaml}\n"), {"a.yaml": lib, "b.yaml": lib.replace("b.yaml", "a.yaml")})
    assert found == ["b.yaml:2:18 the documents refer to each other in a circle: a.yaml -> b.yaml -> a.yaml"]
    sub = document("- {part: s, name: t, in: x}\n- {name: y, value: t.y}", "parts: {s: {model: b.yaml}}\n")
    top = sub.replace("b.yaml", "a.yaml")
    found = said(top, {"a.yaml": sub, "b.yaml": sub.replace("b.yaml", "a.yaml")})
    assert "the documents refer to each other in a circle: a.yaml -> b.yaml -> a.yaml" in found[0]


# ---- many mistakes


def test_a_thousand_mistakes_are_enough() -> None:
    nodes = "".join(f"- {{op: tanh, name: n{k}, in: nope{k}}}\n" for k in range(3000))
    start = time.perf_counter()
    found = mistakes(document(nodes + "- {name: y, value: x}"))
    assert time.perf_counter() - start < SECONDS
    assert len(found) == 1000
    with pytest.raises(SpecError) as caught:
        lowered(document(nodes + "- {name: y, value: x}"))
    assert str(caught.value).endswith("... and 950 more") and str(caught.value).count("error: ") == 50


# ---- names and texts

EVIL = [
    "__import__('os').system('true')",
    "a\"b'c",
    '"""',
    "'''",
    "}{%s%n{0}",
    "x\\n\\\\n",
    "; rm -rf / #",
    "${HOME}",
    "<script>alert(1)</script>",
    "a" * 5000,
    "\u202e\u2066",
]


@pytest.mark.parametrize("word", EVIL, ids=range(len(EVIL)))
def test_names_and_texts_that_mean_harm(word: str) -> None:
    quoted = '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
    for text in (
        document(f"- {{name: {quoted}, value: x}}\n- {{name: y, value: x}}"),
        document(f"- {{op: {quoted}, name: y}}"),
        document(f"- {{op: relu, name: y, {quoted}: 1}}"),
        document(f"- {{op: linear, name: y, path: {quoted}, features: 1}}"),
        document(f"- {{name: y, value: {quoted}}}"),
        document(f"- {{block: {quoted}, name: y}}"),
        document(f"- {{part: {quoted}, name: y}}"),
        document(head=f"args: {{{quoted}: 1}}\n"),
        document(head=f"let: {{a: {quoted}}}\n"),
        document(head=f"init: {{{quoted}: zeros}}\n"),
        document(head=f"include: {{a: {quoted}}}\n"),
        document(head=f"precision: {{compute: {quoted}}}\n"),
        document(inputs=f"{{x: {quoted}}}"),
    ):
        try:
            lowered(text)
        except SpecError as error:
            assert "Traceback" not in str(error)
            assert len(str(error)) < 5000


def test_docs_may_say_anything() -> None:
    words = "\n".join(word for word in EVIL if "\u202e" not in word)
    indented = words.replace("\n", "\n        ")
    text = f"""netwright: 1
name: m
summary: |
        {indented}
inputs:
  x:
    type: float[N]
    doc: |
        {indented}
graph:
  - name: y
    doc: |
        {indented}
    value: x * 2
outputs: {{y: y}}
"""
    made = program(text)
    assert made.entries["main"].inputs[0].doc == words + "\n"
    again = parse_program(print_program(made))
    assert print_program(again) == print_program(made)
