"""What a person should know of a bundle for Triton: its launches, and what each kernel takes of the device."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..api import Table


def describe(manifest: Mapping[str, Any]) -> list[Table]:
    """Tables from the manifest that `emit` filled."""
    facts = manifest.get("backend", {})
    tables = [_launches(facts["launches"])] if facts.get("launches") else []
    if facts.get("kernels"):
        tables.append(_kernels(facts["kernels"], str(facts.get("device", ""))))
    return tables


def _launches(entries: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = tuple(
        (name, f"{each['launches']:,}", f"{each['in_loops']:,}", f"{each['kernels']:,}")
        for name, each in entries.items()
    )
    columns = ("entry", "launches", "of them in loops", "kernels")
    return Table(columns, rows, numbers=columns[1:])


def _kernels(kernels: Mapping[str, Mapping[str, Any]], device: str) -> Table:
    columns = ("kernel", "registers", "shared", "spills", "warps", "stages")
    rows = tuple(
        (
            name,
            str(each["registers"]),
            f"{each['shared_bytes']:,} B",
            f"{each['spill_bytes']:,} B",
            str(each["warps"]),
            str(each["stages"]),
        )
        for name, each in sorted(kernels.items(), key=lambda item: _place(item[0]))
    )
    spilling = sum(each["spill_bytes"] > 0 for each in kernels.values())
    note = f"{len(rows)} kernels for {device}, {spilling or 'none'} of them with spills"
    return Table(columns, rows, numbers=columns[1:], note=note)


def _place(name: str) -> tuple[int, str]:
    """``k10_dot`` stands behind ``k2_conv``."""
    digits = re.match("k([0-9]+)", name)
    return (int(digits[1]) if digits else 0, name)
