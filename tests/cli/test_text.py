"""Texts on the command line: words in, words out."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers

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
