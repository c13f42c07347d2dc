"""Emitted modules that run: imported from the text that was checked; nothing is read twice or cached beside it."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from types import ModuleType

from .api import BackendError


class _Text(importlib.abc.ExecutionLoader):
    """Gives the import system a text that is there already."""

    def __init__(self, text: str, path: str) -> None:
        self.text, self.path = text, path

    def get_source(self, fullname: str) -> str:
        return self.text

    def get_filename(self, fullname: str) -> str:
        return self.path


def import_text(text: str, name: str, path: str, shown: str | None = None) -> ModuleType:
    """The module of a text that `source.check_source` has passed, under a ``name`` that nobody else finds it by.

    ``path`` is where it was read, ``shown`` (by default that) what tracebacks call it. Raises `BackendError`.
    """
    spec = importlib.util.spec_from_loader(name, _Text(text, shown or path))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Named tuples look their module up while they are made.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BackendError(f"{path} cannot be imported: {error}") from error
    finally:
        sys.modules.pop(name, None)
    return module
