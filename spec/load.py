"""Files to documents: a spec with the libraries that it includes, from within one root folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from .diagnostics import Collector, SpecError, error_at, suggest
from .limits import DEEPEST_INCLUDE, LARGEST_TEXT
from .model.document import Document
from .model.errors import validate
from .model.scalars import Word
from .reader import decode, read_source
from .source import Source, Span
from .zoo_index import PREFIX, ZOO, find

# Without O_NONBLOCK a pipe that takes the place of the file would block; not every system has these.
FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True, eq=False)
class LoadedDocument:
    """A document, the file that it is from, and the libraries that it includes by name.

    `root` is the folder that it and all it refers to stay in. `variant` is what a zoo name selected. `chain` are the
    files that led here, outermost first, itself last.
    """

    source: Source
    document: Document = field(repr=False)
    path: Path
    root: Path
    includes: Mapping[str, LoadedDocument] = field(repr=False)
    variant: str | None = None
    zoo: Path = field(default=ZOO, repr=False)
    chain: tuple[Path, ...] = field(default=(), repr=False)

    @property
    def text(self) -> str:
        """The text of the file."""
        return self.source.text

    @property
    def label(self) -> str:
        """The path below the root, the same in whichever folder the spec lies."""
        return self.path.relative_to(self.root).as_posix()


def load_document(name: str | Path, root: str | Path | None = None, *, zoo: Path = ZOO) -> LoadedDocument:
    """Loads a file or `zoo:NAME`, with all libraries that it includes.

    What it refers to stays inside `root`, by default the folder of the file (for the zoo, the zoo). Raises SpecError
    with all mistakes of all files.
    """
    shown = str(name)
    at = Source(shown, "").whole()
    if isinstance(name, str) and name.startswith(PREFIX):
        return _zoo_document(name.removeprefix(PREFIX), at, zoo, ())
    path = _resolved(Path(name), at)
    folder = path.parent if root is None else _resolved(Path(root), at)
    if not path.is_relative_to(folder):
        raise error_at(at, f"the file is outside the root `{root}`")
    return _Loader(folder, zoo, ()).load(path, shown, None, at)


def load_model(parent: LoadedDocument, reference: Word) -> LoadedDocument:
    """The document that a `model:` part of `parent` refers to: a file beside it, or `zoo:NAME`; raises SpecError."""
    if reference.startswith(PREFIX):
        loaded = _zoo_document(reference.removeprefix(PREFIX), reference.span, parent.zoo, parent.chain)
    else:
        path = inside(reference, reference.span, parent.path.parent, parent.root)
        shown = _beside(parent.source.name, reference)
        loaded = _Loader(parent.root, parent.zoo, parent.chain).load(path, shown, None, reference.span)
    if loaded.document.is_library:
        raise error_at(reference.span, f"`{reference}` is a library, not a model", "a library is brought by `include`")
    return loaded


def inside(reference: str, span: Span, folder: Path, root: Path) -> Path:
    """The file that a path of a spec means, relative to `folder`; refuses what leads outside `root`."""
    if not reference or PurePosixPath(reference).is_absolute() or Path(reference).is_absolute():
        raise error_at(span, f"the path `{reference[:80]}` is absolute", "paths are relative to the file")
    if any(char in reference for char in "\\:\0") or reference.startswith("~"):
        raise error_at(span, f"the path `{reference[:80]}` has a character that paths of a spec do not have")
    try:
        path = (folder / reference).resolve()
    except (OSError, RuntimeError):
        raise error_at(span, f"the path `{reference[:80]}` leads nowhere") from None
    if not path.is_relative_to(root):
        raise error_at(span, f"the path `{reference[:80]}` leads outside the folder of the spec")
    try:
        present = path.exists()
    except (OSError, ValueError):
        present = False
    if not present:
        raise error_at(span, f"there is no file `{reference[:80]}`", _nearest_file(path))
    return path


class _Loader:
    """Loads what belongs to one root; a library that two documents include is read once."""

    def __init__(self, root: Path, zoo: Path, chain: tuple[Path, ...]) -> None:
        self.root = root
        self.zoo = zoo
        self.chain = chain
        self.known: dict[Path, LoadedDocument] = {}

    def load(self, path: Path, shown: str, variant: str | None, span: Span) -> LoadedDocument:
        """The document at a resolved path inside the root; `span` is where it was asked for."""
        if path in self.known:
            return self.known[path]
        if path in self.chain:
            cycle = " -> ".join(one.name for one in (*self.chain[self.chain.index(path) :], path))
            raise error_at(span, f"the documents refer to each other in a circle: {cycle}")
        if len(self.chain) >= DEEPEST_INCLUDE:
            message = f"documents refer to each other more than {DEEPEST_INCLUDE} deep"
            raise error_at(span, message, limit="include-depth")
        source = decode(read_bytes(path, span), shown)
        document = validate(read_source(source))
        outer, self.chain = self.chain, (*self.chain, path)
        try:
            includes = self.includes(document, path, shown)
        finally:
            chain, self.chain = self.chain, outer
        loaded = LoadedDocument(source, document, path, self.root, includes, variant, self.zoo, chain)
        self.known[path] = loaded
        return loaded

    def includes(self, document: Document, path: Path, shown: str) -> Mapping[str, LoadedDocument]:
        """The libraries of a document by name; the mistakes of all are reported together."""
        found: dict[str, LoadedDocument] = {}
        collector = Collector()
        for name, reference in (document.include or {}).items():
            try:
                found[name] = self.library(reference, path, shown)
            except SpecError as error:
                collector.add(error)
        collector.raise_any()
        return MappingProxyType(found)

    def library(self, reference: Word, path: Path, shown: str) -> LoadedDocument:
        """The library that a path of `include` means."""
        if reference.startswith(PREFIX):
            loaded = _zoo_document(reference.removeprefix(PREFIX), reference.span, self.zoo, self.chain)
        else:
            target = inside(reference, reference.span, path.parent, self.root)
            loaded = self.load(target, _beside(shown, reference), None, reference.span)
        if not loaded.document.is_library:
            hint = "a model is a part: {model: ...}"
            raise error_at(reference.span, f"`{reference}` is a model, not a library", hint)
        return loaded


def _zoo_document(name: str, span: Span, zoo: Path, chain: tuple[Path, ...]) -> LoadedDocument:
    """The document of the zoo; its root is the zoo folder."""
    entry = find(name, span, zoo)
    root = zoo.resolve()
    path = entry.path.resolve()
    if not path.is_relative_to(root):
        raise error_at(span, f"`{name}` leads outside the zoo")
    shown = f"zoo/{entry.path.relative_to(zoo).as_posix()}"
    return _Loader(root, zoo, chain).load(path, shown, entry.variant, span)


def read_bytes(path: Path, span: Span) -> bytes:
    """The content of a regular file of allowed size; raises SpecError."""
    try:
        descriptor = os.open(path, FLAGS)
    except OSError as error:
        raise error_at(span, f"the file `{path.name}` cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise error_at(span, f"`{path.name}` is no regular file")
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(LARGEST_TEXT + 1)
    if len(data) > LARGEST_TEXT:
        message = f"the file `{path.name}` has more than {LARGEST_TEXT} bytes"
        raise error_at(span, message, limit="text")
    return data


def _resolved(path: Path, span: Span) -> Path:
    """The path without links; refuses what does not exist."""
    try:
        return path.resolve(strict=True)
    except FileNotFoundError:
        raise error_at(span, "there is no such file", _nearest_file(path)) from None
    except (OSError, RuntimeError, ValueError):
        raise error_at(span, "the file cannot be read") from None


def _nearest_file(path: Path) -> str | None:
    """The file of the same folder whose name is nearest."""
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix == ".yaml"]
    except (OSError, ValueError):
        return None
    return suggest(path.name, names)


def _beside(shown: str, reference: str) -> str:
    """How people know a file that another one refers to."""
    return os.path.normpath(os.path.join(os.path.dirname(shown), reference))
