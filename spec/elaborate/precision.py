"""`precision` of a document: dtypes of storage and of computing, and what stays in float32."""

from __future__ import annotations

from dataclasses import dataclass

from ...compiler.ir import DType
from ..diagnostics import Collector, suggest
from ..load import LoadedDocument
from ..model.formulas import Text
from ..source import Source, Span
from .vocabulary import op_names

FLOATS = tuple(dtype.value for dtype in DType if dtype.is_float)


@dataclass(frozen=True, slots=True)
class Precision:
    """Dtypes of a program; ``keep`` are ops and layers that compute in float32 whatever ``compute`` is."""

    storage: DType
    compute: DType
    keep: tuple[str, ...]


def read_precision(loaded: LoadedDocument, dtype: str | None, collector: Collector) -> Precision:
    """The precision of a document; ``dtype`` is what a person asks for in its place. Mistakes are reported."""
    declared = loaded.document.precision
    keep = () if declared is None else tuple(declared.keep_float32 or ())
    for name in keep:
        if name not in op_names():
            collector.report(name.span, f"there is no op `{name}`", suggest(name, op_names()))
    written = None if declared is None else _dtype(declared.compute, collector)
    stored = None if declared is None else _dtype(declared.params, collector)
    compute = written or DType.FLOAT32
    storage = stored or compute
    if dtype is not None:
        _check(dtype, Source(loaded.source.name, "").whole(), collector)
        storage = compute = DType(dtype) if dtype in FLOATS else compute
    return Precision(storage, compute, tuple(map(str, keep)))


def _dtype(text: Text | None, collector: Collector) -> DType | None:
    if text is None:
        return None
    if text.literal is None:
        collector.report(text.span, "a dtype is written out here", ", ".join(FLOATS))
        return None
    return DType(text.literal) if _check(text.literal, text.span, collector) else None


def _check(word: str, span: Span, collector: Collector) -> bool:
    if word in FLOATS:
        return True
    collector.report(span, f"`{word[:40]}` is no float dtype", suggest(word, FLOATS) or ", ".join(FLOATS))
    return False
