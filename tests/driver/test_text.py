"""Texts as inputs: encoded by the tokenizers library, prepared as a spec says, refused clearly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from netwright.backends.executable import InputError
from netwright.backends.signature import Field
from netwright.compiler.ir import DType, TensorType, symbol
from netwright.driver.inputs import read_input
from netwright.driver.text import Tokenizers, texts_of

WORDS = {"<unk>": 0, "a": 1, "cute": 2, "and": 3, "adorable": 4, "bunny": 5, "A": 6, "\x1b[31m": 7}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def field(**rules: Any) -> Field:
    type = TensorType(DType.INT64, (1, symbol("T")))
    return Field("prompt", type, None, {"text": {"tokenizer": "tokenizer.json", **rules}})


@pytest.mark.parametrize(
    ("rules", "text", "ids"),
    [
        ({}, "a cute bunny", [1, 2, 5]),
        ({}, "A zebra", [6, 0]),
        ({"lower": True}, "A CUTE bunny", [1, 2, 5]),
        ({"start": 8, "end": 9}, "a bunny", [8, 1, 5, 9]),
        ({"start": 8, "end": 9, "pad": 9, "length": 6}, "a bunny", [8, 1, 5, 9, 9, 9]),
        ({"start": 8, "end": 9, "pad": 9, "length": 4}, "a cute and adorable bunny", [8, 1, 2, 9]),
        ({"length": 2}, "a cute bunny", [1, 2]),
        ({"reverse": True, "end": 9}, "a cute bunny", [5, 2, 1, 9]),
        ({"start": 8, "end": 9}, "", [8, 9]),
    ],
)
def test_encoding(folder: Path, rules: dict[str, Any], text: str, ids: list[int]) -> None:
    got = read_input(field(**rules), text, Tokenizers([folder]))
    assert got.dtype == np.int64
    assert got.tolist() == [ids]


def test_ids_and_numbers(folder: Path) -> None:
    """A list is ids; a number is a word like others."""
    assert read_input(field(), "[[1, 2]]", Tokenizers([folder])).tolist() == [[1, 2]]
    assert read_input(field(), "7", Tokenizers([folder])).tolist() == [[0]]


def test_where_it_is_looked_for(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_bytes((folder / "tokenizer.json").read_bytes())
    assert read_input(field(), "a", Tokenizers([], other)).tolist() == [[1]]
    with pytest.raises(InputError, match=r"tokenizer.json is not found \(in .*say --tokenizer FILE"):
        read_input(field(), "a", Tokenizers([folder / "nowhere"]))
    with pytest.raises(InputError, match=r"there is no file .*lost.json"):
        read_input(field(), "a", Tokenizers([folder], folder / "lost.json"))


def test_the_spec_says_how_long_a_text_is(folder: Path) -> None:
    """What a tokenizer file says of filling and cutting, which may be immense, is left aside."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(length=7, pad_id=9)
    tokenizer.enable_truncation(1)
    tokenizer.save(str(folder / "tokenizer.json"))
    assert read_input(field(), "a cute bunny", Tokenizers([folder])).tolist() == [[1, 2, 5]]


def test_a_pattern_without_end(folder: Path) -> None:
    """The library panics, which is no `Exception`."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("(a|aa)+$"), "removed")
    tokenizer.save(str(folder / "tokenizer.json"))
    with pytest.raises(InputError, match="the tokenizer cannot read this text"):
        read_input(field(), "a" * 50 + "b", Tokenizers([folder]))


@pytest.mark.parametrize("content", ["", "{}", "[1, 2", '{"model": 3}', "\x00\x01"])
def test_damaged_files(folder: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(InputError, match="is no tokenizer file"):
        read_input(field(), "a", Tokenizers([folder]))


def test_no_tokens_and_too_many(folder: Path) -> None:
    with pytest.raises(InputError, match="has no tokens"):
        read_input(field(), "", Tokenizers([folder]))
    with pytest.raises(InputError, match="letters"):
        read_input(field(), "a " * 600_000, Tokenizers([folder]))


def test_what_tokens_say(folder: Path) -> None:
    outputs = {"tokens": np.array([[1, 2, 5], [3, 7, 4]]), "count": np.array(3)}
    said = texts_of([field()], outputs, Tokenizers([folder]))
    assert said == {"tokens": ["a cute bunny", "and \ufffd[31m adorable"]}
    assert texts_of([field()], outputs, Tokenizers()) == {}
    assert texts_of([], outputs, Tokenizers([folder])) == {}
