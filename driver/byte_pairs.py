"""A tokenizer from `vocab.json` and `merges.txt`, as byte-pair encodings are published that have no `tokenizer.json`.

Two kinds are in use. In CLIP's, a piece that ends a word ends in `</w>`; texts are lower case and spaces count nothing.
In GPT-2's, a piece that begins a word begins with its space.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

VOCABULARY, MERGES = "vocab.json", "merges.txt"
FILES = (VOCABULARY, MERGES)
WORD_END = "</w>"
CLIP_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""Radford et al. (2021): short forms, words, single digits, runs of signs."""
CLIP_UNKNOWN = "<|endoftext|>"


def read_byte_pairs(folder: Path) -> Any:
    """The tokenizer of the two files in this folder; words like `<|endoftext|>` are one token.

    Raises what the library raises.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    vocabulary, merges = models.BPE.read_file(str(folder / VOCABULARY), str(folder / MERGES))
    spaced = pre_tokenizers.ByteLevel(add_prefix_space=False)
    marks = [word for word in vocabulary if word.startswith("<|") and word.endswith("|>")]
    if any(word.endswith(WORD_END) for word in vocabulary):
        unknown = CLIP_UNKNOWN if CLIP_UNKNOWN in vocabulary else None
        tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token=unknown, end_of_word_suffix=WORD_END))
        plain = [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
        tokenizer.normalizer = normalizers.Sequence(plain)
        words = pre_tokenizers.Split(Regex(CLIP_WORDS), "removed", invert=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, spaced])
        tokenizer.decoder = decoders.BPEDecoder(suffix=WORD_END)
    else:
        tokenizer = Tokenizer(models.BPE(vocabulary, merges))
        tokenizer.pre_tokenizer = spaced
        tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, normalized=False, special=True) for word in marks])
    return tokenizer
