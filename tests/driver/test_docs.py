"""The made pages: drawings of graphs, text of specs as nothing but text, one page for each model of the zoo."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netwright.driver.docs.drawings import drawings
from netwright.driver.docs.flowchart import escaped
from netwright.driver.docs.model_page import model_page
from netwright.driver.docs.pages import DOCS, NOTE, stale, write
from netwright.driver.docs.tables import amount, code, memory, plain, table
from netwright.driver.model import load
from netwright.driver.summary import summary_of
from netwright.driver.zoo import ZooRow, numbers_of
from netwright.spec.zoo_index import ZOO, zoo_names

TERMINAL = re.compile(r'  ([io]\d+)\(\["([^"]+)"\]\)')
BOX = re.compile(r'  (n\d+)(?:\["([^"]+)"\]|\[\["([^"]+)"\]\])')
EDGE = re.compile(r'  ([in]\d+)(?: -- "([^"]+)")? --> ([no]\d+)')
LABEL = re.compile(r"(?:[A-Za-z0-9 _.,+*/()=:\[\]-]|#\d+;|<br/>)+")


def check(text: str) -> None:
    """A flowchart by the grammar that is used: every line known, every label plain, every edge between known ends."""
    head, *lines = text.split("\n")
    assert head == "flowchart TD"
    ends: set[str] = set()
    joined: set[str] = set()
    for line in lines:
        shape = TERMINAL.fullmatch(line) or BOX.fullmatch(line)
        edge = EDGE.fullmatch(line)
        assert (shape is None) != (edge is None), line
        if shape is not None:
            assert shape.group(1) not in ends and not joined, line
            ends.add(shape.group(1))
            assert LABEL.fullmatch(next(label for label in shape.groups()[1:] if label)), line
        elif edge is not None:
            assert {edge.group(1), edge.group(3)} <= ends, line
            assert edge.group(2) is None or LABEL.fullmatch(edge.group(2)), line
            joined |= {edge.group(1), edge.group(3)}
    assert {end for end in ends if not end.startswith("n")} <= joined


def drawn(tmp_path: Path, text: str) -> list[tuple[str, str]]:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    return [(drawing.block, str(drawing.chart)) for drawing in drawings([load(path)])]


def test_a_drawing(tmp_path: Path) -> None:
    """Repeats are one box, shapes stand where they change, a node is one box however many ops it became."""
    found = drawn(
        tmp_path,
        """netwright: 1
blocks:
  layer:
    args: {stride: 1}
    inputs:
      x: float[N, C, H, W]
    graph:
      - {op: conv2d, name: conv, filters: C, kernel: 3, padding: 1, stride: stride}
      - {name: y, value: relu(conv) + x}
inputs:
  image: {type: 'float[N, 3, S, S]', from: {image: {resize: 32}}}
usual: {S: 64}
graph:
  - {op: conv2d, path: first, filters: 8, kernel: 4, stride: 4}
  - {block: layer, name: stack, path: $i, repeat: 3}
  - {op: reduce_mean, axes: [2, 3]}
  - {op: linear, name: fc, features: 10}
outputs: {scores: fc}
""",
    )
    assert found == [
        (
            "",
            """flowchart TD
  i0(["image<br/>N x 3 x 64 x 64"])
  n0["conv2d<br/>4x4, stride 4"]
  n1[["layer x3<br/>stack"]]
  n2["reduce_mean"]
  n3["linear<br/>fc"]
  o0(["scores<br/>N x 10"])
  i0 --> n0
  n0 -- "N x 8 x 16 x 16" --> n1
  n1 --> n2
  n2 -- "N x 8" --> n3
  n3 --> o0""",
        ),
        (
            "layer",
            """flowchart TD
  i0(["x<br/>N x 8 x 16 x 16"])
  n0["conv2d<br/>3x3<br/>conv"]
  n1["relu(conv) + x<br/>y"]
  o0(["out<br/>N x 8 x 16 x 16"])
  i0 --> n0
  n0 --> n1
  i0 --> n1
  n1 --> o0""",
        ),
    ]


def test_what_only_calls_is_drawn_as_what_it_calls(tmp_path: Path) -> None:
    """And what nobody reads is not drawn, nor is what only passes through."""
    (whole, layer) = drawn(
        tmp_path,
        """netwright: 1
parts:
  net: {block: all_of_it, path: .}
blocks:
  all_of_it:
    inputs: {x: any}
    graph:
      - {block: layer, name: stack, path: $i, repeat: 2, carry: {x: x, kept: x}}
      - {op: tanh, name: read, in: stack.x}
      - {op: tanh, name: unread, in: stack.kept}
    outputs: {y: read, unread: unread}
  layer:
    inputs: {x: any, kept: any}
    graph:
      - {op: linear, name: y, in: x, features: 4}
      - {op: relu, name: z, in: y}
    outputs: {x: z, kept: kept}
inputs:
  x: float[N, 4]
graph:
  - {part: net, name: run}
outputs: {y: run.y}
""",
    )
    assert whole[0] == "" and "layer x2<br/>stack" in whole[1] and "unread" not in whole[1]
    assert layer[0] == "layer" and layer[1].count("(") == 2
    for _, text in (whole, layer):
        check(text)


def test_a_loop_is_drawn_as_one_box() -> None:
    whole, cell = drawings([load("zoo:frnn")])
    assert '[["cell<br/>step by step"]]' in str(whole.chart) and cell.block == "cell"
    check(str(cell.chart))


def test_variants_add_the_blocks_that_they_have_besides() -> None:
    deep, *variants = [load(f"zoo:{name}") for name in ("resnet50", "resnet18", "resnet34")]
    alone = [drawing.block for drawing in drawings([deep])]
    assert alone[0] == "" and "bottleneck" in alone and "basic" not in alone
    assert [drawing.block for drawing in drawings([deep, *variants])] == [*alone, "basic"]


def test_labels_are_nothing_but_text(tmp_path: Path) -> None:
    hostile = '"];\n click n0 "javascript:alert(1)" </script>`%%{init: {}}%%`'
    assert escaped("a[:, 0] * 2") == "a[:, 0] * 2"
    assert escaped('"<b>`#;') == "#34;#60;b#62;#96;#35;#59;"
    assert LABEL.fullmatch(escaped(hostile)) and len(re.sub(r"#\d+;", "c", escaped(hostile))) <= 44
    found = drawn(
        tmp_path,
        """netwright: 1
inputs:
  x: float[N, 4]
graph:
  - {name: y, value: '"<b>" == "```" and x'}
outputs: {y: x}
""".replace("""'"<b>" == "```" and x'""", "x if 1 < 2 else x"),
    )
    for _, text in found:
        check(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a `word` in code", "a `word` in code"),
        ("an_arg and _one_", r"an_arg and \_one\_"),
        ("<script>alert(1)</script>", r"\<script\>alert(1)\</script\>"),
        ("[x](javascript:y) ![z](q)", r"\[x\](javascript:y) \!\[z\](q)"),
        ("# a\n\n---\n| b", r"\# a --- \| b"),
        ("`<b>` ``` $x$", r"\`\<b\>\` \`\`\` \$x\$"),
        ("&lt; \\ *b*", r"\&lt; \\ \*b\*"),
    ],
)
def test_texts_of_specs_are_nothing_but_text(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_cells() -> None:
    assert code("a `b` | c\n d") == "`a 'b' \\| c d`" and code("") == ""
    assert [amount(number) for number in (0, 416_520, 1_135_256_096, 367_402_130_866_176)] == [
        "0",
        "416,520",
        "1.13526 G",
        "367.402 T",
    ]
    assert [memory(number) for number in (12, 2048, 10_436_608)] == ["12 B", "2.0 KiB", "10.0 MiB"]
    assert table(("a", "b"), [("x", "1")], 1, 1) == "| a | b |\n|---|---:|\n| x | 1 |\n"


def test_a_page() -> None:
    model = load("zoo:lenet5")
    numbers = numbers_of(summary_of(model, {}))
    page = model_page([(ZooRow("lenet5", "convolutional", "convolutional/lenet5.yaml", "", (), numbers), model)])
    assert page.startswith("# lenet5\n\n" + NOTE)
    assert "| `zoo:lenet5` | 61,706 | 0 | 416,520 | 852,420 |" in page
    for part in ("**The idea.**", "```mermaid", "netwright run zoo:lenet5 -i image=photo.png", "| `pool` | `max` |"):
        assert part in page
    assert "LeCun, Bottou, Bengio, Haffner (1998)" in page and "(../../zoo/convolutional/lenet5.yaml)" in page


@pytest.mark.parametrize("path", sorted((DOCS / "zoo").glob("*.md")), ids=lambda path: path.stem)
def test_drawings_of_the_zoo(path: Path) -> None:
    """Every page that there is has a drawing, of the model as a whole first, all by the grammar."""
    text = path.read_text()
    found = re.findall(r"^```mermaid\n(.*?)\n```$", text, re.DOTALL | re.MULTILINE)
    assert found and text.index("## The graph") < text.index("```mermaid")
    assert text.count("```") % 2 == 0
    for each in found:
        check(each)


NAMES = (
    "mcculloch_pitts and_gate or_gate not_gate xor_gate perceptron xor_mlp ffnn ann mlp rbf cnn lenet5 alexnet vgg11 "
    "vgg13 vgg16 vgg19 googlenet resnet18 resnet34 resnet50 resnet101 resnet152 seresnet50 seresnet152 senet154 yolov1 "
    "yolov3 yolov8n unet rnn frnn stacked_rnn bidirectional_rnn lstm gru seq2seq seq2seq_attention transformer_base "
    "transformer_big bert_base bert_large gpt1 gpt2 gpt2_medium gpt2_large gpt2_xl gpt3 gpt_lecture t5_small t5_base "
    "t5_large t5_3b t5_11b llama2_7b llama3_8b llama3_1b vit_b16 vit_l16 gan dcgan_generator dcgan_discriminator ddpm "
    "clip_text clip_image sd_unet sd_vae_encoder sd_vae_decoder stable_diffusion"
)
"""What people look for by name."""


def test_every_model_has_a_page() -> None:
    pages = {path.stem for path in (DOCS / "zoo").glob("*.md")}
    models = {path.stem for path in ZOO.rglob("*.yaml") if "\ngraph:" in path.read_text()}
    assert pages == models
    table_of_all = (DOCS / "zoo.md").read_text()
    listed = set(re.findall(r"^\| \[(\w+)\]\(zoo/(\w+)\.md\)", table_of_all, re.MULTILINE))
    assert {page for _, page in listed} == pages
    assert set(NAMES.split()) <= {name for name, _ in listed}
    assert {name for name, _ in listed} == {n for n, (e, *_) in zoo_names().items() if e.path.stem in models}


def test_stale_pages_are_told_and_written(tmp_path: Path) -> None:
    pages = {"ops.md": "ops\n", "zoo/a.md": "a\n"}
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "gone.md").write_text("old")
    (tmp_path / "other.md").write_text("by hand")
    assert stale(pages, tmp_path) == ["ops.md", "zoo/a.md", "zoo/gone.md"]
    assert write(pages, tmp_path) == ["ops.md", "zoo/a.md", "zoo/gone.md"]
    assert stale(pages, tmp_path) == [] and not (tmp_path / "zoo" / "gone.md").exists()
    assert (tmp_path / "other.md").read_text() == "by hand"
    (tmp_path / "ops.md").write_text("changed")
    assert stale(pages, tmp_path) == ["ops.md"]
