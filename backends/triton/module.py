"""A bundle's `model.py` as a module: checked, and run from the very text that was checked."""

from __future__ import annotations

import itertools
import linecache
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ...compiler.ir import DType
from ..api import BackendError
from ..importing import import_text
from ..source import check_source
from .kernel import Argument, Config, Kernel
from .vocabulary import vocabulary

_count = itertools.count()


@dataclass(frozen=True)
class EntryFacts:
    """An entry: names, and the functions of the module."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dtypes: tuple[str, ...]
    states: tuple[str, ...]
    updates: tuple[str, ...]
    symbols: tuple[str, ...]
    buffers: Any
    shapes: Any
    call: Any


@dataclass(frozen=True)
class Module:
    """What an emitted module says."""

    text: str
    parameters: tuple[tuple[str, str, tuple[int, ...]], ...]
    constants: tuple[tuple[str, tuple[int, ...], bytes], ...]
    kernels: Mapping[str, Kernel]
    functions: Mapping[str, Any]
    entries: Mapping[str, EntryFacts]


def read(path: Path) -> Module:
    """The module at ``path``. Triton must have been imported in the wanted state.

    Raises `BackendError` if it holds what no emitted module does, or cannot be imported.
    """
    try:
        text = path.read_bytes().decode("utf-8")
        check_source(text, vocabulary())
    except (OSError, UnicodeDecodeError) as error:
        raise BackendError(f"{path} cannot be read: {error}") from error
    name = f"_netwright_triton_{next(_count)}"
    # Triton asks for the source of kernels by file and line: it gets the text that was checked.
    shown = f"<{name}>"
    linecache.cache[shown] = (len(text), None, text.splitlines(keepends=True), shown)
    module = import_text(text, name, str(path), shown)
    try:
        return _facts(module, text)
    except Exception as error:
        raise BackendError(f"{path} cannot be imported: {error}") from error


def _facts(module: ModuleType, text: str) -> Module:
    kernels: dict[str, Kernel] = {}
    functions: dict[str, Any] = {}
    for name, (function, arguments, configs, interpreted, special) in module.KERNELS.items():
        functions[name] = function
        kernels[name] = Kernel(
            name,
            "",
            tuple(
                Argument(each, kind, DType(dtype) if dtype else None, written)
                for each, kind, dtype, written in arguments
            ),
            tuple(Config(*config) for config in configs),
            Config(*interpreted),
            tuple(special),
        )
    return Module(
        text,
        tuple((str(name), str(dtype), tuple(shape)) for name, dtype, shape in module.PARAMETERS),
        tuple((str(dtype), tuple(shape), bytes.fromhex(data)) for dtype, shape, data in module.CONSTANTS),
        kernels,
        functions,
        {name: EntryFacts(*facts) for name, facts in module.ENTRIES.items()},
    )
