"""Texts on the command line: words in, words out."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers

from netwright.spec.zoo_index import ZOO

from .conftest import Cli

SPEC = """\
netwright: 1
name: echo
inputs:
  ids: {type: 'int64[N, T]', range: [0, 9], from: {text: {tokenizer: tokenizer.json, end: 3}}}
graph:
  - {name: tokens, value: ids + 0}
outputs: {tokens: tokens}
"""


def written(folder: Path) -> Path:
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1, "cute": 2, "bunny": 3}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    spec = folder / "echo.yaml"
    spec.write_text(SPEC)
    return spec


def test_words_in_words_out(cli: Cli, tmp_path: Path) -> None:
    spec = written(tmp_path)
    assert cli("run", spec, "-i", "ids=a cute", "--json").json["texts"] == {"tokens": ["a cute bunny"]}
    assert "a cute bunny" in cli("run", spec, "-i", "ids=a cute").fine()


def test_a_bundle(cli: Cli, tmp_path: Path) -> None:
    spec = written(tmp_path)
    cli("compile", spec, "--target", "numpy", "-o", tmp_path / "out").fine()
    assert "say --tokenizer FILE" in cli("run", tmp_path / "out", "-i", "ids=a cute").refused()
    ran = cli("run", tmp_path / "out", "-i", "ids=a cute", "--tokenizer", tmp_path / "tokenizer.json")
    assert "a cute bunny" in ran.fine()


def test_no_tokenizer(cli: Cli) -> None:
    words = ("--set", "depth=1", "--set", "width=12", "--set", "heads=2", "--set", "vocabulary=99", "-i", "ids=hello")
    assert "tokenizer.json is not found" in cli("run", "zoo:gpt2", *words).refused()


def test_an_answer_is_in_other_words(cli: Cli, tmp_path: Path) -> None:
    """A translator reads with one tokenizer and writes with another."""
    for name, words in (("source", ("un", "lapin")), ("target", ("<s>", "</s>", "a", "bunny"))):
        tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token=words[0]))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizer.save(str(tmp_path / f"{name}.json"))
    spec = tmp_path / "turn.yaml"
    text = (
        SPEC.replace("ids:", "source:")
        .replace("ids + 0", "source + 2")
        .replace("tokenizer.json, end: 3", "source.json")
    )
    target = "  target: {type: 'int64[N, S]', from: {text: {tokenizer: target.json}}}\n"
    entry = "entries:\n  generate:\n    " + text[text.index("inputs:") :].replace("\n", "\n    ").rstrip() + "\n"
    spec.write_text(text.replace("graph:", target + "graph:") + entry)
    ran = cli("run", spec, "--entry", "generate", "-i", "source=un lapin", "--json").json
    assert ran["texts"] == {"tokens": ["a bunny"]}


def test_letters(cli: Cli) -> None:
    """The zoo's own: 65 letters of a book, each a token."""
    tokenizer = Tokenizer.from_file(str(ZOO / "transformers" / "letters.json"))
    text = "First Citizen:\nBefore we proceed any further, hear me speak.\n"
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.get_vocab_size() == 65
    assert len(ids) == len(text) and tokenizer.decode(ids) == text
    small = [word for size in ("depth=1", "width=12", "new_tokens=5") for word in ("--set", size)]
    ran = cli("run", "zoo:gpt_lecture", "--entry", "generate", *small, "-i", "ids=To be", "--json").json
    assert len(ran["texts"]["tokens"][0]) == 5
