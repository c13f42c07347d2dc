"""Our targets beside onnxruntime on torch's own export and torch eager: ``python -m benchmarks.models``."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import tempfile
from pathlib import Path

# What is compared runs on the CPU, whatever else the machine has.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

from . import machine, report
from .cases import CASES, SMALL, Case
from .race import CONTENDERS, Result, race, race_options, said

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure, print the page and, if it is of all cases, write it with its data."""
    options = arguments()
    facts = machine.facts()
    data = {
        "command": " ".join(["python", "-m", f"{__package__}.models", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": facts,
        "threads": options.threads,
        "rounds": options.rounds,
        "cases": [],
    }
    for case in SMALL if options.small else CASES:
        if not options.models or case.name in options.models:
            data["cases"].append(report.case_data(case, measured(case, options)))
    page = report.full(data)
    print(page, end="")
    if not options.small and not options.models:
        stem = f"models-{options.machine}"
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{stem}.md").write_text(page, encoding="utf-8")
        (RESULTS / f"{stem}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def measured(case: Case, options: argparse.Namespace) -> list[Result]:
    """The results of a case; one that cannot even be set up is a problem of all its contenders."""

    def tell(message: str) -> None:
        print(f"{case.name}: {message}", file=sys.stderr, flush=True)

    try:
        with tempfile.TemporaryDirectory(prefix="netwright-benchmark-") as folder:
            return race(case, Path(folder), options.threads, options.rounds, options.seconds, tell)
    except Exception as error:
        # Whatever it is, the other cases are worth their minutes.
        tell(said(error))
        return [Result(name, problem=said(error)) for name in CONTENDERS]


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}.models", description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="some of the cases, only printed; by default all")
    race_options(parser)
    options = parser.parse_args()
    known = [case.name for case in CASES]
    for name in options.models:
        if name not in known:
            parser.error(f"there is no case {name!r} (there are {', '.join(known)})")
    if options.threads < 1 or options.rounds < 1:
        parser.error("--threads and --rounds are 1 or more")
    return options


if __name__ == "__main__":
    main()
