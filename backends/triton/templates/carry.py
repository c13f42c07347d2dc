"""Values that are kept from one step to the next: states, and what loops carry."""

from __future__ import annotations

from collections.abc import Sequence

from ..arrays import Array
from ..scope import Scope


def hand_on(scope: Scope, places: Sequence[Array], values: Sequence[Array]) -> None:
    """Store new values into the places of old ones, as if all at once: an old value still needed is saved first."""
    memory = {place.buffer for place in places}
    saved = [
        scope.copy(value) if value.buffer in memory and value.buffer is not place.buffer else value
        for place, value in zip(places, values, strict=True)
    ]
    for place, value in zip(places, saved, strict=True):
        if value.buffer is place.buffer and not (value.whole and place.whole):
            value = scope.copy(value)
        if value.buffer is not place.buffer:
            scope.store(place, value)
