"""`init` of a document and its sub-models: first values of parameters by patterns of their paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...compiler.ir import Parameter
from ..diagnostics import SpecError
from ..weights.matching import PathPattern
from .body import Body
from .context import Context, ProgramBuilder
from .declared import read_initializer
from .scope import Scope


def first_values(context: Context, builder: ProgramBuilder) -> tuple[dict[str, Parameter], list[str]]:
    """All parameters with the first values that the documents ask for, and warnings about patterns without a match.

    The rules of a sub-model are for its own paths; those of the document that has it as a part come first.
    """
    parameters = builder.parameters()
    settled: set[str] = set()
    warnings: list[str] = []
    for inner in (context, *(one for one in builder.contexts if one is not context)):
        rules: Mapping[str, Any] = inner.loaded.document.init or {}
        for text, declaration in rules.items():
            span = inner.loaded.document.init.key_span(text)  # type: ignore[union-attr]
            try:
                initializer = read_initializer(Scope(inner, Body(builder.shapes), builder.collector), declaration)
            except SpecError as error:
                builder.collector.add(error)
                continue
            pattern = PathPattern.parse(str(text))
            matched = [path for path in parameters if _matches(pattern, path, inner.root.path)]
            if not matched:
                warnings.append(f"{span}: no parameter matches `{text}`")
            for path in matched:
                if path not in settled:
                    settled.add(path)
                    parameters[path] = replace(parameters[path], init=initializer)
    return parameters, warnings


def _matches(pattern: PathPattern, path: str, root: str) -> bool:
    """Whether the pattern matches the path as the document below ``root`` writes it."""
    if root:
        if not path.startswith(f"{root}."):
            return False
        path = path[len(root) + 1 :]
    return pattern.match(path) is not None
