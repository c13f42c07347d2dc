"""``python -m netwright.driver.docs`` writes the pages to ``docs/``; with ``--check`` it says which are out of date."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .ops import ops_page
from .pages import stale, write
from .support import support_page
from .zoo import zoo_pages


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with ``--check`` compare them. The exit code is 1 if any is out of date."""
    pages = {"ops.md": ops_page(), "support.md": support_page(), **zoo_pages()}
    if "--check" not in arguments:
        for name in write(pages):
            print(f"wrote docs/{name}")
        return 0
    names = stale(pages)
    for name in names:
        print(f"docs/{name} is out of date; run python -m netwright.driver.docs")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
