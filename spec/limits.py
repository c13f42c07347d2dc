"""How large a spec may be. Each limit has a name, which its error carries."""

from __future__ import annotations

LARGEST_TEXT = 8 * 1024 * 1024  # bytes of one file; `text`
DEEPEST_YAML = 64  # lists and mappings within each other; `depth`
MOST_NODES = 500_000  # scalars, lists and mappings of one file; `nodes`
LONGEST_KEY = 1_000  # characters of a key; `key`
DEEPEST_INCLUDE = 16  # documents that include each other; `include-depth`
LARGEST_INTEGER = 2**63 - 1  # magnitude of an integer; `integer`
