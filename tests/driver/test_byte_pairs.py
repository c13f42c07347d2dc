"""Tokenizers from vocab.json and merges.txt beside those of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer, GPT2Tokenizer

from netwright.backends.executable import InputError
from netwright.backends.signature import Field
from netwright.compiler.ir import DType, TensorType, symbol
from netwright.driver.byte_pairs import read_byte_pairs
from netwright.driver.text import Tokenizers

TRAINED_ON = ["a cute and adorable bunny isn't 100% real, it's 42!", "the bunny and the snow, über café naïve"] * 5
TEXTS = (
    "a cute bunny",
    "A  CUTE\n\tbunny, isn't it? It's 12,345 bunnies!!",
    "café cafe\u0301 über 雪 🐇",
    "snow<|endoftext|>the bunny",
    " leading and trailing ",
    "don't we'll I've he'd they're I'm",
    "",
)


def written(folder: Path, suffix: str | None) -> Path:
    """Both files, small; CLIP's hold each byte twice, inside of a word and at its end."""
    ending: dict[str, Any] = {} if suffix is None else {"end_of_word_suffix": suffix}
    tokenizer = Tokenizer(models.BPE(**ending))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(TRAINED_ON, trainers.BpeTrainer(vocab_size=420, initial_alphabet=letters, **ending))
    tokenizer.model.save(str(folder))
    path = folder / "vocab.json"
    vocabulary = json.loads(path.read_text())
    more = [] if suffix is None else [*(letter + suffix for letter in letters), "<|startoftext|>"]
    for word in (*more, "<|endoftext|>"):
        vocabulary.setdefault(word, len(vocabulary))
    path.write_text(json.dumps(vocabulary))
    return folder


@pytest.mark.parametrize(("suffix", "theirs"), [("</w>", CLIPTokenizer), (None, GPT2Tokenizer)])
def test_ids(tmp_path: Path, suffix: str | None, theirs: Any) -> None:
    folder = written(tmp_path, suffix)
    oracle, ours = theirs.from_pretrained(folder), read_byte_pairs(folder)
    for text in TEXTS:
        wanted = oracle(text, add_special_tokens=False)["input_ids"]
        assert ours.encode(text, add_special_tokens=False).ids == wanted, text
    ids = ours.encode("the bunny and the snow", add_special_tokens=False).ids
    assert ours.decode(ids).strip() == "the bunny and the snow"


def field(name: str) -> Field:
    return Field("prompt", TensorType(DType.INT64, (1, symbol("T"))), None, {"text": {"tokenizer": name}})


def test_where_they_are_found(tmp_path: Path) -> None:
    """Beside the weights where the spec expects the tokenizer, or where a person says; `tokenizer.json` goes first."""
    (tmp_path / "tokenizer").mkdir()
    folder = written(tmp_path / "tokenizer", None)
    wanted = read_byte_pairs(folder).encode("the bunny").ids
    one = field("tokenizer/tokenizer.json")
    assert Tokenizers([tmp_path]).encode(one, "the bunny").tolist() == [wanted]
    assert Tokenizers([], folder).encode(one, "the bunny").tolist() == [wanted]
    Tokenizer(models.WordLevel({"the bunny": 3})).save(str(folder / "tokenizer.json"))
    assert Tokenizers([tmp_path]).encode(one, "the bunny").tolist() == [[3]]
    assert Tokenizers([], folder).encode(one, "the bunny").tolist() == [[3]]


def test_refused(tmp_path: Path) -> None:
    one = field("tokenizer.json")
    with pytest.raises(InputError, match=r"no tokenizer.json, nor vocab.json and merges.txt, in"):
        Tokenizers([], tmp_path).encode(one, "x")
    folder = written(tmp_path, None)
    (folder / "merges.txt").write_text("one two three four\n")
    with pytest.raises(InputError, match="is no tokenizer"):
        Tokenizers([folder]).encode(one, "x")
    (folder / "vocab.json").write_text("[]")
    with pytest.raises(InputError, match="is no tokenizer"):
        Tokenizers([folder]).encode(one, "x")
