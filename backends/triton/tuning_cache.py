"""What tuning found, kept between processes: one small JSON file per question, named by the hash of the question.

Read with distrust: a file that is damaged, foreign or answers another question is as good as none, and is written anew.
Written aside and renamed, so that two processes that tune at once leave one whole answer. Bounded: the files that were
not used for longest go first. A folder that cannot be read or written is no cache, and no error.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..bundle import cache_folder

FOLDER_VARIABLE = "NETWRIGHT_TUNING_CACHE"
"""Names the folder; by default ``triton-tuning`` in this user's cache folder."""

MOST_FILES = 4096
MOST_BYTES = 16 * 2**20
LARGEST = 64 * 2**10
"""Bytes of one file: no answer of ours comes near."""
_ASIDE = ".writing-"
_STALE = 3600.0
"""Seconds after which a file that was written aside was left by a process that is gone."""


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Candidate(_Record):
    """A config of a kernel."""

    constants: dict[str, int]
    warps: Annotated[int, Field(ge=1, le=64)]
    stages: Annotated[int, Field(ge=0, le=64)]


class Question(_Record):
    """All that decides which config is the fastest.

    ``source`` is the sha256 of the kernel's text and of what it calls, ``arguments`` their types, ``sizes`` the class
    of each size (see `size_class`).
    """

    format: Literal[1] = 1
    source: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    arguments: dict[str, str]
    constants: dict[str, bool | int]
    sizes: dict[str, int]
    candidates: tuple[Candidate, ...]
    triton: str
    device: str
    capability: int

    @property
    def key(self) -> str:
        """The hash of the question."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class Answer(_Record):
    """A file of the cache: the question in full, the place of the best candidate, and the median seconds of each.

    A candidate that the device could not run has no seconds.
    """

    question: Question
    choice: Annotated[int, Field(ge=0)]
    seconds: tuple[float | None, ...]

    def fits(self, question: Question) -> bool:
        """Whether this answers the question, and makes sense."""
        return (
            self.question == question
            and len(self.seconds) == len(question.candidates)
            and self.choice < len(self.seconds)
            and self.seconds[self.choice] is not None
        )


def size_class(size: int) -> int:
    """Sizes that are tuned together: up to the next power of two."""
    return 0 if size <= 0 else 1 << (size - 1).bit_length()


class Cache:
    """The answers in a folder. Safe for any number of processes and threads."""

    def __init__(self, folder: Path | None = None, most_files: int = MOST_FILES, most_bytes: int = MOST_BYTES) -> None:
        """With no folder: the one of the environment, or of this user; none at all for a user without a home."""
        self.folder = folder if folder is not None else default_folder()
        self.most_files, self.most_bytes = most_files, most_bytes

    def get(self, question: Question) -> Answer | None:
        """The answer that stands there, or None."""
        if self.folder is None:
            return None
        path = self._path(self.folder, question)
        text = _read(path)
        if text is None:
            return None
        try:
            answer = Answer.model_validate_json(text)
        except (ValidationError, RecursionError):
            return None
        if not answer.fits(question):
            return None
        # What is used stays.
        with contextlib.suppress(OSError):
            os.utime(path)
        return answer

    def put(self, answer: Answer) -> None:
        """Keep an answer, in the place of whatever stands there. Nothing happens if the folder refuses."""
        if self.folder is None:
            return
        text = answer.model_dump_json(indent=1).encode()
        if len(text) > LARGEST:
            return
        path = self._path(self.folder, answer.question)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            number, name = tempfile.mkstemp(prefix=_ASIDE, dir=self.folder)
            try:
                with os.fdopen(number, "wb") as file:
                    file.write(text)
                os.replace(name, path)
            except OSError:
                os.unlink(name)
                raise
        except OSError:
            return
        self._bound(keep=path)

    def _path(self, folder: Path, question: Question) -> Path:
        return folder / f"{question.key}.json"

    def _bound(self, keep: Path) -> None:
        """Remove what was not used for longest until the rest is small enough, and what was never finished."""
        assert self.folder is not None
        found = sorted(_files(self.folder))
        files, size = len(found), sum(each for _, each, _ in found)
        for _, each, path in found:
            if files <= self.most_files and size <= self.most_bytes:
                return
            if path == keep:
                continue
            with contextlib.suppress(OSError):
                path.unlink()
            files, size = files - 1, size - each


def _read(path: Path) -> bytes | None:
    """A plain file of a likely size; opened once, so that what is checked is what is read."""
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    try:
        with os.fdopen(number, "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST:
                return None
            return file.read(LARGEST + 1)
    except OSError:
        return None


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Last use, size and path of each answer; removes stale files that were written aside."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    now = time.time()
    for entry in entries:
        try:
            facts = entry.stat(follow_symlinks=False)
        except OSError:
            # Another process was faster.
            continue
        if entry.name.startswith(_ASIDE):
            if now - facts.st_mtime > _STALE:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)
        elif entry.name.endswith(".json"):
            yield facts.st_mtime, facts.st_size, Path(entry.path)


def default_folder() -> Path | None:
    """Where answers are kept. None for a user without a home."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    try:
        return cache_folder() / "triton-tuning"
    except RuntimeError:
        return None
