"""Test processes have no GPU: Triton interprets there. It reads this when it is imported, whoever does that first."""

import os

os.environ.setdefault("TRITON_INTERPRET", "1")
