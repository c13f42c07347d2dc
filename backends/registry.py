"""Backends by name, found through the entry-point group and imported only when used."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from .api import API_VERSION, Backend, BackendError

GROUP = "netwright.backends"


def names() -> list[str]:
    """Every registered backend, sorted; the modules are not imported."""
    return sorted(_points())


@cache
def get(name: str) -> Backend:
    """The backend of that name. Raises `BackendError` for an unknown, a broken or a foreign one."""
    points = _points()
    if name not in points:
        near = difflib.get_close_matches(name, points, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise BackendError(f"no target is called {name!r}{hint} (installed: {', '.join(sorted(points))})")
    try:
        made = points[name].load()()
    except ImportError as error:
        raise BackendError(f"target {name} cannot be imported: {error}") from error
    if not isinstance(made, Backend) or made.name != name:
        raise BackendError(f"the entry point {points[name].value} is no backend called {name}")
    if made.api_version != API_VERSION:
        raise BackendError(f"target {name} speaks backend API {made.api_version}, this netwright {API_VERSION}")
    return made


@cache
def _points() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if point.name in found and found[point.name].value != point.value:
            raise BackendError(f"two packages register a target called {point.name!r}")
        found[point.name] = point
    return found
