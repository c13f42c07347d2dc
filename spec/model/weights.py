"""How the names and layouts of foreign weights files map to our paths."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import Discriminator, Field, Tag

from ..diagnostics import Collector
from ..tree import YamlMap
from .base import Model
from .scalars import Count, Flag, Pattern, Reference
from .unions import Shapes, shape

FromField: TypeAlias = Annotated[
    Annotated[Pattern, Tag("scalar")] | Annotated[list[Pattern], Tag("list")],
    Discriminator(shape),
    Shapes("a path or a list of paths", "scalar", "list"),
]


class WeightRule(Model):
    """Where the keys that match `from` go. `*` is one segment, `**` any; `$1` in `to` is the first match."""

    what = "a rule of weights"

    from_: FromField = Field(alias="from")
    to: Pattern | None = None
    transpose: Annotated[bool, Flag()] = False
    concat: Annotated[int, Count()] | None = None
    ignore: Annotated[bool, Flag()] = False

    @property
    def sources(self) -> tuple[Pattern, ...]:
        """The patterns of `from`, one or more."""
        return tuple(self.from_) if isinstance(self.from_, list) else (self.from_,)

    @classmethod
    def prepare(cls, node: Any, collector: Collector) -> Any:
        prepared = super().prepare(node, collector)
        if shape(prepared.get("from")) == "list" and "concat" not in prepared:
            collector.report(prepared.key_spans["from"], "`from` is a list, so the rule needs `concat: axis`")
        if isinstance(prepared, YamlMap) and "ignore" in prepared:
            for key in ("to", "transpose", "concat"):
                if key in prepared:
                    collector.report(prepared.key_spans[key], f"a rule that ignores has no `{key}`")
        return prepared


class FlatFile(Model):
    """A file of floats in a fixed order, behind a header of so many bytes."""

    what = "a flat file"

    header: Annotated[int, Count()]
    sequence: list[Pattern]
    each: list[Reference]


Layout: TypeAlias = list[WeightRule] | FlatFile
LayoutField: TypeAlias = Annotated[
    Annotated[list[WeightRule], Tag("list")] | Annotated[FlatFile, Tag("mapping")],
    Discriminator(shape),
    Shapes("a list of rules or a flat file", "list", "mapping"),
]
"""The type of one layout of weights."""
