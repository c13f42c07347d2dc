"""The whole document."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import Discriminator, Tag

from ..diagnostics import Collector
from ..tree import YamlMap, YamlScalar
from .base import Model, NameTable, PatternTable, SymbolTable
from .blocks import Block, Entry
from .declarations import ArgDecl, ConstantDecl, Initializer, Inputs, ParamDecl, StateDecl
from .formulas import StaticFormula, StaticValue
from .nodes import NodeField
from .operands import OperandField
from .parts import PartField
from .placement import Precision, Sharding
from .scalars import Count, FilePath, Name, Prose
from .training import Training
from .unions import Shapes, shape
from .weights import LayoutField

VERSION = 1  # of the language that this reader reads
LIBRARY_KEYS = ("netwright", "summary", "include", "blocks")
MODEL_SIGNS = ("inputs", "outputs")  # a document that has one of them is meant to be a model
NOT_ENTRIES = ("main", "train_step")

SourceField: TypeAlias = Annotated[
    Annotated[Prose, Tag("scalar")] | Annotated[list[Prose], Tag("list")],
    Discriminator(shape),
    Shapes("a title or a list of titles", "scalar", "list"),
]


class Document(Model):
    """A spec: a model if it has `graph`, otherwise a library."""

    what = "the document"

    netwright: Annotated[int, Count()]
    name: Name | None = None
    summary: Prose | None = None
    idea: Prose | None = None
    source: SourceField | None = None
    doc: Prose | None = None
    args: NameTable[ArgDecl] | None = None
    let: NameTable[StaticValue] | None = None
    variants: NameTable[NameTable[StaticValue]] | None = None
    include: NameTable[FilePath] | None = None
    parts: NameTable[PartField] | None = None
    blocks: NameTable[Block] | None = None
    inputs: Inputs | None = None
    dims: SymbolTable[tuple[StaticFormula, StaticFormula]] | None = None
    usual: SymbolTable[StaticFormula] | None = None
    params: NameTable[ParamDecl] | None = None
    constants: NameTable[ConstantDecl] | None = None
    graph: list[NodeField] | None = None
    outputs: NameTable[OperandField] | None = None
    entries: NameTable[Entry] | None = None
    state: NameTable[StateDecl] | None = None
    weights: NameTable[LayoutField] | None = None
    init: PatternTable[Initializer] | None = None
    precision: Precision | None = None
    sharding: Sharding | None = None
    training: Training | None = None

    @property
    def is_library(self) -> bool:
        """Whether it only offers blocks."""
        return self.graph is None

    @property
    def sources(self) -> tuple[Prose, ...]:
        """The papers it is from."""
        if self.source is None:
            return ()
        return tuple(self.source) if isinstance(self.source, list) else (self.source,)

    @classmethod
    def prepare(cls, node: Any, collector: Collector) -> Any:
        prepared = super().prepare(node, collector)
        _check_version(prepared, collector)
        if "graph" in prepared:
            if "outputs" not in prepared:
                collector.report(prepared.key_spans["graph"], "a model needs `outputs`")
        elif signs := [key for key in MODEL_SIGNS if key in prepared]:
            collector.report(prepared.key_spans[signs[0]], "a model needs `graph`")
        else:
            for key in prepared:
                if key not in LIBRARY_KEYS:
                    hint = f"without `graph` a document is a library, which has only {', '.join(LIBRARY_KEYS)}"
                    collector.report(prepared.key_spans[key], f"a library has no `{key}`", hint)
        entries = prepared.get("entries")
        if isinstance(entries, YamlMap):
            for key in NOT_ENTRIES:
                if key in entries:
                    collector.report(
                        entries.key_spans[key], f"`{key}` is no name for an entry: it stands for another graph"
                    )
        return prepared


def _check_version(node: YamlMap, collector: Collector) -> None:
    version = node.get("netwright")
    if isinstance(version, YamlScalar) and type(version.value) is int and not 1 <= version.value <= VERSION:
        message = (
            f"the document is written in version {version.value} of the language, this reader reads up to {VERSION}"
        )
        collector.report(version.span, message)
