"""Set before any test module is imported: libraries that tests compare with import triton, and whether a process
interprets kernels is decided then. Kernels of tests run in the interpreter; machine code is made in other processes."""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"
