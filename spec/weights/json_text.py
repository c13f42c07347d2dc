"""JSON from files that nobody vouches for: no key twice, no endless nesting."""

from __future__ import annotations

import json
from typing import Any

from .errors import shown


class JsonError(ValueError):
    """The text is no JSON, or says one thing twice."""


def parse_json(text: bytes) -> Any:
    """The value. Raises `JsonError`."""
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except JsonError:
        raise
    except RecursionError as error:
        raise JsonError("it is nested too deep") from error
    except ValueError as error:
        raise JsonError("it is no JSON") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise JsonError(f"{shown(key)} stands twice")
        found[key] = value
    return found
