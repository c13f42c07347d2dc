"""Text to token ids and back, by the `tokenizers` library and its `tokenizer.json`, or by older files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..backends.executable import InputError
from ..backends.signature import Field
from . import byte_pairs

LARGEST_FILE = 256 * 2**20
"""Bytes of the largest tokenizer file that is read."""
LONGEST_TEXT = 2**20
"""Letters of the longest text that is encoded."""
RESULT = "tokens"
"""The output that holds a text."""


class Tokenizers:
    """Where tokenizer files are looked for: ``file`` if it is given, else the name that a spec says in ``folders``."""

    def __init__(self, folders: Iterable[Path] = (), file: Path | None = None) -> None:
        self._folders, self._file = tuple(dict.fromkeys(folders)), file
        self._loaded: dict[Path, Any] = {}

    def encode(self, field: Field, text: str) -> np.ndarray:
        """The ids of a text, int64[1, T], prepared as the spec's `from: text` says. Raises InputError."""
        rules: Mapping[str, Any] = (field.source or {})["text"]
        if len(text) > LONGEST_TEXT:
            raise InputError(f"{field.name}: a text of {len(text):,} letters; {LONGEST_TEXT:,} are the most")
        tokenizer = self._tokenizer(field, rules)
        with _sound(f"{field.name}: the tokenizer cannot read this text"):
            encoding = tokenizer.encode(text.lower() if rules.get("lower") else text, add_special_tokens=False)
        ids = [int(each) for each in encoding.ids]
        before, after = ([int(rules[key])] if key in rules else [] for key in ("start", "end"))
        length = rules.get("length")
        if length is not None:
            ids = ids[: max(0, int(length) - len(before) - len(after))]
        if rules.get("reverse"):
            ids.reverse()
        ids = [*before, *ids, *after]
        if length is not None and "pad" in rules:
            ids += [int(rules["pad"])] * (int(length) - len(ids))
        if not ids:
            raise InputError(f"{field.name}: the text {text[:40]!r} has no tokens")
        return np.array([ids], np.int64)

    def decode(self, field: Field, ids: np.ndarray) -> list[str]:
        """A text for each row of ids. Raises InputError."""
        tokenizer = self._tokenizer(field, (field.source or {})["text"])
        rows = ids.reshape(-1, ids.shape[-1]) if ids.ndim else ids.reshape(1, 1)
        with _sound(f"{field.name}: the tokenizer cannot write these tokens"):
            return [_shown(tokenizer.decode([int(each) for each in row], skip_special_tokens=True)) for row in rows]

    def _tokenizer(self, field: Field, rules: Mapping[str, Any]) -> Any:
        path = self._find(field, str(rules["tokenizer"]))
        if path not in self._loaded:
            if find_spec("tokenizers") is None:
                raise InputError(
                    f"{field.name} is text, which the package tokenizers reads: pip install 'netwright[text]'"
                )
            from tokenizers import Tokenizer

            is_pair = path.is_dir()
            for file in [path / name for name in byte_pairs.FILES] if is_pair else [path]:
                if file.stat().st_size > LARGEST_FILE:
                    raise InputError(f"{file} is larger than {LARGEST_FILE // 2**20} MiB")
            with _sound(f"{path} is no tokenizer file"):
                tokenizer = byte_pairs.read_byte_pairs(path) if is_pair else Tokenizer.from_file(str(path))
                # How long the ids are and what fills them is for the spec to say.
                tokenizer.no_padding()
                tokenizer.no_truncation()
            self._loaded[path] = tokenizer
        return self._loaded[path]

    def _find(self, field: Field, name: str) -> Path:
        """A tokenizer file, or a folder with the two files of byte pairs."""
        if self._file is not None:
            found = self._file if self._file.is_file() else _inside(self._file, Path(name).name)
            if found is None:
                what = (
                    f"no {Path(name).name}, nor {' and '.join(byte_pairs.FILES)}, in"
                    if self._file.is_dir()
                    else "no file"
                )
                raise InputError(f"there is {what} {self._file}")
            return found
        for folder in self._folders:
            found = _inside((folder / name).parent, Path(name).name)
            if found is not None:
                return found
        looked = ", ".join(map(str, self._folders)) or "no folder"
        raise InputError(
            f"{field.name} is text, and {name} is not found (in {looked}): say --tokenizer FILE, or give ids: "
            f"--input {field.name}=[[1, 2]]"
        )


@contextmanager
def _sound(what: str) -> Iterator[None]:
    """The library raises plain exceptions for whatever is wrong with a file, and panics, which are no `Exception`."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:
        raise InputError(f"{what}: {error}") from error


def _inside(folder: Path, name: str) -> Path | None:
    """The tokenizer file in a folder; the folder itself if it holds the two files of byte pairs instead."""
    if (folder / name).is_file():
        return folder / name
    return folder if all((folder / each).is_file() for each in byte_pairs.FILES) else None


def _shown(text: str) -> str:
    """A text that a terminal may show: what could steer it is replaced."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text)


def texts_of(
    entry_inputs: Iterable[Field], outputs: Mapping[str, np.ndarray], tokenizers: Tokenizers | None
) -> dict[str, list[str]]:
    """What outputs of ids say, where the entry reads text and its tokenizer is at hand; nothing otherwise."""
    field = next((each for each in entry_inputs if "text" in (each.source or {})), None)
    if field is None or tokenizers is None or RESULT not in outputs:
        return {}
    try:
        return {RESULT: tokenizers.decode(field, outputs[RESULT])}
    except InputError:
        return {}
