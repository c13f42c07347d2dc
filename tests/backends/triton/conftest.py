"""Kernels of these tests run in Triton's interpreter; machine code is made in processes of its own."""

from __future__ import annotations

import pytest


@pytest.fixture
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton interprets in this process, unless it has been imported to compile."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
