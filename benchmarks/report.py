"""Results as data and as Markdown: ``python -m benchmarks.report FILE.json`` prints the short table of a run again."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .cases import Case
from .race import CONTENDERS, EXPORTED, Result

Data = dict[str, Any]
UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))


def case_data(case: Case, results: Sequence[Result], base: str = EXPORTED) -> Data:
    """A case as JSON data. Ratios are of medians, to those of the contender ``base``."""
    medians = {result.name: statistics.median(result.times) for result in results if result.times}
    unit = medians.get(base)
    return {
        "model": case.name,
        "what": case.what,
        "contenders": {
            result.name: {
                "median_seconds": medians.get(result.name),
                "quartiles_seconds": quartiles(result.times),
                "ratio": medians[result.name] / unit if unit and result.name in medians else None,
                "runs": len(result.times),
                "difference_from_torch": result.error,
                "problem": result.problem or None,
            }
            for result in results
        },
    }


def quartiles(times: Sequence[float]) -> list[float] | None:
    """The first and the third: half of the runs lie between them."""
    if not times:
        return None
    if len(times) == 1:
        return [times[0], times[0]]
    first, _, third = statistics.quantiles(times, n=4, method="inclusive")
    return [first, third]


def short(data: Data) -> str:
    """One table: a row per model, a column per contender, the ratio in brackets."""
    rows = []
    for case in data["cases"]:
        found = case["contenders"]
        rows.append([f"{case['model']} ({case['what']})", *(cell(found[name]) for name in CONTENDERS)])
    threads = data["threads"]
    note = (
        f"Median time of a run at batch 1, float32, {threads} threads each, on {data['machine']['processor']}; in "
        f"brackets the time relative to {EXPORTED} in the same run (below 1 is faster)."
    )
    return f"{table(['model', *CONTENDERS], rows)}\n\n{note}\n"


def cell(found: Mapping[str, Any]) -> str:
    """A median with its ratio in brackets, or a dash."""
    if found["median_seconds"] is None:
        return "-"
    ratio = found["ratio"]
    return seconds(found["median_seconds"]) + (f" ({ratio:.2f})" if ratio else "")


def full(data: Data) -> str:
    """The page of a run: the short table, each contender with its spread, and the machine."""
    parts = [f"# Models beside their peers\n\n{data['date']}, `{data['command']}`\n", short(data)]
    for case in data["cases"]:
        rows = [_row(name, found) for name, found in case["contenders"].items()]
        head = ["contender", "median", "half of the runs", "ratio", "runs", "difference from torch"]
        parts.append(f"## {case['model']}: {case['what']}\n\n{table(head, rows)}\n")
        problems = [f"- {name}: {f['problem']}" for name, f in case["contenders"].items() if f["problem"]]
        parts += ["\n".join(problems) + "\n"] if problems else []
    parts.append("## Machine\n\n" + machine_list(data["machine"]) + "\n")
    return "\n".join(parts)


def machine_list(facts: Mapping[str, str]) -> str:
    """The facts of `machine.facts`."""
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def _row(name: str, found: Mapping[str, Any]) -> list[str]:
    error = found["difference_from_torch"]
    difference = "-" if error is None else f"{error:.0e}"
    if found["median_seconds"] is None:
        return [name, "-", "-", "-", "0", difference]
    low, high = found["quartiles_seconds"]
    ratio = f"{found['ratio']:.2f}" if found["ratio"] else "-"
    middle = seconds(found["median_seconds"])
    return [name, middle, f"{seconds(low)} to {seconds(high)}", ratio, f"{found['runs']:,}", difference]


def seconds(value: float) -> str:
    """A time in the unit that suits it, three digits."""
    unit, scale = next((pair for pair in UNITS if value >= pair[1]), UNITS[-1])
    number = value / scale
    return f"{number:.{max(0, 3 - len(str(int(number))))}f} {unit}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, numbers to the right."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    print(short(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), end="")
