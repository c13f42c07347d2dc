"""Lessons by name, or all: ``python -m benchmarks.lessons xor``. Pictures and numbers go into the pages."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from netwright.driver.files import write_npz

LESSONS = (
    "perceptron", "xor", "backpropagation", "vanishing", "overfitting", "valley", "gan", "transfer", "memory"
)  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lessons", description=__doc__)
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help=", ".join(LESSONS))
    parser.add_argument("--only-print", action="store_true", help="do not write into the pages")
    parser.add_argument("--data", type=Path, metavar="DIR", help="write the examples for `netwright train`, do no more")
    found = parser.parse_args(arguments)
    for name in found.lessons or LESSONS:
        if name not in LESSONS:
            parser.error(f"there is no lesson {name}; there are {', '.join(LESSONS)}")
        lesson = import_module(f".{name}", __package__)
        if found.data is not None:
            found.data.mkdir(parents=True, exist_ok=True)
            for part, arrays in lesson.data().items():
                write_npz(found.data / f"{part}.npz", arrays)
                print(found.data / f"{part}.npz")
            continue
        start = time.perf_counter()
        measured = lesson.measure()
        print(f"{name}, {time.perf_counter() - start:.0f} s\n\n{measured.table}\n", flush=True)
        if not found.only_print:
            measured.write(name)


if __name__ == "__main__":
    main(sys.argv[1:])
