"""What the documents of a model say at which place: nodes by file, line and column, and the modules they stand in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ...compiler.ir import Graph
from ...spec.load import LoadedDocument, load_model
from ...spec.model.nodes import Node
from ...spec.model.parts import ModelPart

Place = tuple[str, int, int]
"""A file, a line and a column."""
Home = tuple[str, str]
"""A file, and the name of a block in it (or of its main graph, or of an entry)."""
MAIN = ""
"""The module that is the document's main graph."""


@dataclass(slots=True)
class Written:
    """The nodes of some documents by place, and for each the file and name of the block, entry or main graph it is in.

    ``modules`` are these blocks and graphs by file and name.
    """

    nodes: dict[Place, Node] = field(default_factory=dict)
    homes: dict[Place, Home] = field(default_factory=dict)
    modules: dict[Home, Any] = field(default_factory=dict)
    files: dict[str, LoadedDocument] = field(default_factory=dict)

    def home(self, graph: Graph) -> Home | None:
        """The file and module that a graph was written in."""
        places = ((node.loc.file, node.loc.line, node.loc.column) for node in graph.nodes if node.loc)
        return next((self.homes[place] for place in places if place in self.homes), None)

    def module(self, graph: Graph) -> str:
        """The name of the module that a graph was written in."""
        found = self.home(graph)
        return found[1] if found is not None else ""


def written_in(loaded: LoadedDocument) -> Written:
    """What a document, its libraries and its sub-models say."""
    found = Written()
    for document in _documents(loaded):
        file = document.label
        if file in found.files:
            continue
        found.files[file] = document
        for name, module in _modules(document.document):
            found.modules[file, name] = module
            for node in module.graph or ():
                place = (file, node.span.start_line, node.span.start_column)
                found.nodes[place] = node
                found.homes[place] = (file, name)
    return found


def _documents(loaded: LoadedDocument) -> Iterator[LoadedDocument]:
    yield loaded
    for library in loaded.includes.values():
        yield from _documents(library)
    for part in (loaded.document.parts or {}).values():
        if isinstance(part, ModelPart):
            yield from _documents(load_model(loaded, part.model))


def _modules(document: Any) -> Iterable[tuple[str, Any]]:
    if document.graph is not None:
        yield MAIN, document
    yield from (document.blocks or {}).items()
    # An entry may have the name of a block.
    yield from ((f"entry {name}", entry) for name, entry in (document.entries or {}).items())
