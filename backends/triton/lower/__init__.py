"""Lowerings by op name, and templates by the kind of region (a lone anchor is a region of its own kind).

A family is a module with ``LOWERINGS``, ``TEMPLATES`` or both; to add one, write the module and list it here.
"""

from __future__ import annotations

from ..scope import Lowering, Refusal, Template
from . import attention, contract, control, elementwise, index, order, random, scatter, shape, window

LOWERINGS: dict[str, Lowering] = {
    **elementwise.LOWERINGS,
    **shape.LOWERINGS,
    **index.LOWERINGS,
    **attention.LOWERINGS,
    **control.LOWERINGS,
    **order.LOWERINGS,
    **random.LOWERINGS,
    **scatter.LOWERINGS,
}
TEMPLATES: dict[str, Template] = {
    **elementwise.TEMPLATES,
    **contract.TEMPLATES,
    **window.TEMPLATES,
}
REFUSALS: dict[str, Refusal] = {
    **attention.REFUSALS,
}
"""Reasons against single nodes of ops that are lowered otherwise."""
WRITERS = frozenset(TEMPLATES) | elementwise.WRITERS | shape.WRITERS | index.WRITERS
"""The ops whose lowerings take their memory as `Scope.result` gives it."""
